"""Why a process ended, in one line."""

import contextlib
import json
import os
import signal
from pathlib import Path


def obituary(name: str, status: int, log: Path) -> str:
    """Say how the process `name` ended: by which signal, or with which last line in its log.

    Args:
        status: Its exit status; negative where a signal killed it.
    """
    if status < 0:
        return f"{name} was killed by {_signal(-status)}"
    lines: list[str] = []
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        lines = file.read().decode(errors="replace").strip().splitlines()
    said = f", saying: {_last_words(lines[-1].strip())}" if lines and status else ""
    return f"{name} ended with status {status}{said}; its log is {log}"


def _last_words(line: str) -> str:
    """What a line of a log says, where it is one of JSON (`--log-format json`)."""
    try:
        said = json.loads(line)
        facts = said.get("fields", {})
        return str(facts.get("error") or said["message"])
    except (ValueError, AttributeError, KeyError):
        return line


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"
