"""The agents' processes. None outlives the demonstration, however that ends."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import argentbus
from argentbus import guard
from argentbus.errors import DemoFailed
from argentbus.obituary import obituary
from storage.config import StorageConfig

#: Seconds that an agent may take to leave.
LEAVING: Final = 5.0


class Crew:
    """The processes of an example whose first argument is a role. Made by `crew`.

    Args:
        script: The example.
        logs: Directory for what they print.
        guardian: The input of a guard, which ends them if this process is killed.
    """

    def __init__(self, script: Path, env: dict[str, str], logs: Path, guardian: IO[bytes]) -> None:
        self._script = script
        self._env = env
        self._logs = logs
        self._guardian = guardian
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, role: str, *arguments: str) -> int:
        """Start an agent in a session of its own; return its process id."""
        with self._log(role).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(self._script), role, *arguments],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[role] = process
        self._tell(f"+{process.pid}")
        return process.pid

    def kill(self, role: str) -> None:
        """End an agent without warning."""
        process = self._processes.pop(role)
        process.kill()
        process.wait()
        self._tell(f"-{process.pid}")

    def check(self) -> None:
        """Raise `DemoFailed` where an agent ended by itself."""
        for role, process in self._processes.items():
            status = process.poll()
            if status is not None:
                raise DemoFailed(obituary(role, status, self._log(role)))

    def end(self) -> None:
        """Have every agent leave; kill those that do not."""
        for process in self._processes.values():
            process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            try:
                process.wait(LEAVING)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _log(self, role: str) -> Path:
        return self._logs / f"demo-{role}.log"

    def _tell(self, line: str) -> None:
        # Without a guard they are still ended here; only not if this process is killed as well.
        with contextlib.suppress(BrokenPipeError):
            self._guardian.write(f"{line}\n".encode())
            self._guardian.flush()


@contextmanager
def crew(script: Path, config: StorageConfig, env: Mapping[str, str]) -> Iterator[Crew]:
    """Have agents until the context ends.

    Args:
        env: Added to this process's environment.

    Raises:
        OSError: the logs cannot be written.
    """
    logs = config.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    tree = str(Path(argentbus.__file__).parent.parent)
    whole = os.environ | {
        "ARGENTBUS_REDIS_URL": config.redis_url,
        "ARGENTBUS_NAMESPACE": config.namespace,
        "PYTHONPATH": os.pathsep.join(filter(None, (tree, os.environ.get("PYTHONPATH")))),
        **env,
    }
    with subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__], stdin=subprocess.PIPE, start_new_session=True
    ) as guardian:
        assert guardian.stdin is not None
        company = Crew(script, whole, logs, guardian.stdin)
        try:
            yield company
        finally:
            company.end()
