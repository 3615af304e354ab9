"""The command line as its users have it: real processes, in a home directory of the test's own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from argentbus.embedded import free_port
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]


class Copy:
    """A running `argentbus up`."""

    def __init__(self, process: subprocess.Popen[str], running: dict[str, str]) -> None:
        self.process = process
        self.running = running

    @property
    def redis_url(self) -> str:
        return self.running["redis_url"]

    def processes(self) -> dict[str, psutil.Process]:
        """Its services, and its guard, by name."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            for name in ("redis-server", "bin/postgres", "sidecar", "dashboard", "guard.py"):
                if name in _words(child):
                    found[name.rpartition("/")[2]] = child
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)


class Shell:
    """Runs `argentbus` with a home directory, and an environment, of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / ".local/state/argentbus"
        self.copies: list[Copy] = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("ARGENT", "XDG_"))}
        self.env |= {"HOME": str(home), "PYTHONPATH": _python_path(), "COLUMNS": "200"}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "argentbus", *arguments]

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )

    def fails(self, *arguments: str, status: int = 1, **env: str) -> str:
        """Run a command that must fail; return the one line that says why."""
        ended = self.run(*arguments, **env)
        assert ended.returncode == status, ended
        assert "Traceback" not in ended.stderr, ended.stderr
        lines = ended.stderr.strip().splitlines()
        assert len(lines) == 1 or status == 2, ended.stderr
        return lines[-1]

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start a command; whoever starts it ends it."""
        return subprocess.Popen(
            self.command(*arguments),
            **{
                "env": self.env,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **options,
            },  # type: ignore[call-overload]
        )

    def up(self, *arguments: str) -> Copy:
        """Start a copy on free ports, and return when it says that it is up."""
        if "--redis-url" not in arguments:
            arguments = ("--port", str(free_port()), *arguments)
        ports = ("--dashboard-port", str(free_port()))
        process = self.start("up", "--json", *ports, *arguments)
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        if not line:
            process.wait(30)
            raise AssertionError(process.stderr.read())
        copy = Copy(process, json.loads(line))
        self.copies.append(copy)
        return copy

    async def gone(self, processes: dict[str, psutil.Process]) -> None:
        """Wait until none of `processes` runs."""
        await eventually(lambda: not any(_runs(one) for one in processes.values()), timeout=20)

    def close(self) -> None:
        for copy in self.copies:
            if copy.process.poll() is None:
                copy.end()
            for stream in (copy.process.stdout, copy.process.stderr):
                assert stream is not None
                stream.close()


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie is one, too
        return ""


def _python_path() -> str:
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
