"""Other processes under a test's hand: told what to do, suspended, killed, and listened to."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Member:
    """A Python process running a program of this folder, which prints a line of JSON an event."""

    def __init__(self, program: str, *arguments: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.suspended = False
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bus.{program}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    @property
    def last(self) -> str:
        """What happened last."""
        return str(self.events[-1]["event"]) if self.events else ""

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def suspend(self) -> None:
        self.suspended = True
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        self.suspended = False
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # a command was on its way
                pipe.close()

    def end(self) -> None:
        """Let it end by itself, or kill it after a while."""
        if self.process.poll() is None:
            self.resume()
            assert self.process.stdin is not None
            self.process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        self.kill()

    def until(self, condition: Callable[[], bool], *, timeout: float = 20.0) -> None:
        """Return once `condition()` holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, f"it ended: {self.events[-3:]}"
            assert time.monotonic() < deadline, f"not so within {timeout:g} s: {self.events[-5:]}"
            time.sleep(0.005)

    def until_last(self, *events: str, timeout: float = 20.0) -> dict[str, Any]:
        """Return what happened last, once it is one of `events`."""
        self.until(lambda: self.last in events, timeout=timeout)
        return self.events[-1]
