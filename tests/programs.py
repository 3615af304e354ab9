"""Programs of a fleet, as real processes: started, heard, stopped, killed, frozen."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.shell import ROOT
from tests.waiting import eventually


class Program:
    """A running program, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, errors: Path) -> None:
        self.process = process
        self._output = output
        self._errors = errors

    @property
    def lines(self) -> list[str]:
        return self._output.read_text().splitlines()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    async def says(self, text: str, *, timeout: float = 20.0) -> str:
        """Wait until it has printed a line with `text`, and return that line."""
        await eventually(lambda: any(text in line for line in self.lines), timeout=timeout)
        return next(line for line in self.lines if text in line)

    async def ends(self, *, timeout: float = 20.0) -> int:
        """Wait until it has ended; return its exit status."""
        await eventually(lambda: self.process.poll() is not None, timeout=timeout)
        return self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


class Fleet:
    """Starts programs of `examples/` on one namespace, and ends what is left of them."""

    def __init__(self, url: str, namespace: str, directory: Path) -> None:
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("ARGENT")} | {
            "ARGENTBUS_REDIS_URL": url,
            "ARGENTBUS_NAMESPACE": namespace,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        self._directory = directory
        self._programs: list[Program] = []

    def start(self, example: str, *arguments: str) -> Program:
        number = len(self._programs)
        output, errors = (self._directory / f"{number}.{what}" for what in ("out", "err"))
        with output.open("wb") as stdout, errors.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, f"examples/{example}.py", *arguments],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        program = Program(process, output, errors)
        self._programs.append(program)
        return program

    async def run(self, example: str, *arguments: str) -> list[str]:
        """Run one to its end, which must be a good one, and return what it printed."""
        program = self.start(example, *arguments)
        assert (await program.ends(), program.errors) == (0, "")
        return program.lines

    def close(self) -> None:
        for program in self._programs:
            if program.process.poll() is None:
                program.process.kill()  # also one that is frozen
                program.process.wait()
