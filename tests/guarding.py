"""A guard for the servers of the tests: they end with who started them, also after a kill -9."""

import atexit
import subprocess
import sys
from typing import Final

from argentbus import guard

_guarded: Final[dict[int, subprocess.Popen[bytes]]] = {}
_guards: Final[list[subprocess.Popen[bytes]]] = []


def guarded(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Have `process`, which leads a process group, end with this process; return it."""
    if not _guards:
        _guards.append(_start())
        atexit.register(_dismiss)
    _forget_the_ended()
    _guarded[process.pid] = process
    _tell(f"+{process.pid}")
    return process


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _forget_the_ended() -> None:
    """Their numbers may become those of others."""
    for pid, process in list(_guarded.items()):
        if process.returncode is not None:
            del _guarded[pid]
            _tell(f"-{pid}")


def _tell(line: str) -> None:
    stdin = _guards[0].stdin
    assert stdin is not None, "started with a pipe"
    stdin.write(f"{line}\n".encode())
    stdin.flush()


def _dismiss() -> None:
    _forget_the_ended()
    _guards[0].communicate()
