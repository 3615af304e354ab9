"""Keeps a few processes going, and leaves none behind.

Each service runs in a session of its own, so that Ctrl-C and a closing terminal reach only the
supervisor, which then ends the services in the right order. Should the supervisor itself be killed,
the guard ends them.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process, TaskGroup

from . import guard
from .errors import ServiceFailed
from .obituary import obituary

#: Seconds before a service that ended is started again: doubling from the first to the last.
FIRST_DELAY: Final = 0.5
LAST_DELAY: Final = 30.0

#: A service that ran for so many seconds is taken to be well again.
WELL_AFTER: Final = 30.0

#: Seconds that a service may take to get ready, and to end in good order.
START_PATIENCE: Final = 30.0
STOP_PATIENCE: Final = 10.0

#: A log that is larger when its service starts is set aside as `<name>.log.1`.
LARGEST_LOG: Final = 10 << 20


@dataclass(frozen=True)
class Service:
    """A process to keep going.

    Attributes:
        is_ready: Given its process id, whether it does its work by now.
        log: File for what it prints.
        stop: The signal that ends it in good order.
    """

    name: str
    command: Sequence[str]
    log: Path
    is_ready: Callable[[int], Awaitable[bool]]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    pass_fds: Sequence[int] = ()
    stop: signal.Signals = signal.SIGTERM


class Supervisor:
    """Starts services, starts them again when they die, and ends them, the last one first.

    Args:
        report: Told in words when a service ended, and when it was started again.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._tasks: TaskGroup | None = None
        self._guard: Process | None = None
        self._running: dict[str, Process] = {}
        self._stops: dict[str, signal.Signals] = {}
        self._stopping = False
        self._spawning = anyio.Lock()

    @asynccontextmanager
    async def supervising(self) -> AsyncGenerator[None]:
        """Supervise until the context ends; then end every service."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._keep_guard)
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._stop()
                    tasks.cancel_scope.cancel()
                    await self._dismiss_guard()

    async def start(self, service: Service) -> None:
        """Start a service, return when it is ready, and keep it going from then on.

        Raises:
            ServiceFailed: it ended, or was not ready in time.
        """
        assert self._tasks is not None, "start services inside `supervising`"
        process = await self._spawn(service)
        with anyio.move_on_after(START_PATIENCE):
            await self._until_ready(service, process)
            self._tasks.start_soon(self._keep, service, process)
            return
        raise ServiceFailed(
            f"{service.name} was not ready within {START_PATIENCE:g} s; its log is {service.log}"
        )

    async def _stop(self) -> None:
        """End every service, the one started last first. SIGKILL for what does not go in time."""
        async with self._spawning:
            self._stopping = True
        for name, process in reversed(self._running.items()):
            await self._end(name, process)

    def kill(self) -> None:
        """End every service at once."""
        for process in self._running.values():
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)

    # one service

    async def _spawn(self, service: Service) -> Process:
        """Start a process. Not to be cut short: nobody would own what was half started.

        Raises:
            ServiceFailed: everything is being stopped.
        """
        if service.log.exists() and service.log.stat().st_size > LARGEST_LOG:
            service.log.replace(service.log.with_suffix(".log.1"))
        with anyio.CancelScope(shield=True):
            async with self._spawning:
                if self._stopping:
                    raise ServiceFailed(f"{service.name} is not started: everything is stopping")
                with service.log.open("ab") as output:
                    process = await anyio.open_process(
                        service.command,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        cwd=service.cwd,
                        env={**os.environ, **service.env},
                        start_new_session=True,
                        pass_fds=service.pass_fds,
                    )
                self._running[service.name] = process
                self._stops[service.name] = service.stop
                await self._tell_guard(f"+{process.pid}")
        return process

    async def _until_ready(self, service: Service, process: Process) -> None:
        while True:
            ready = await service.is_ready(process.pid)
            # Asked last: what answered may be another program, which was quicker to take the port.
            if ready and process.returncode is None:
                return
            if process.returncode is not None:
                await self._tell_guard(f"-{process.pid}")
                raise ServiceFailed(obituary(service.name, process.returncode, service.log))
            await anyio.sleep(0.05)

    async def _keep(self, service: Service, process: Process) -> None:
        delay = FIRST_DELAY
        while True:
            started = anyio.current_time()
            status = await process.wait()
            await self._tell_guard(f"-{process.pid}")
            if self._stopping:
                return
            if anyio.current_time() - started > WELL_AFTER:
                delay = FIRST_DELAY
            self._report(
                f"{obituary(service.name, status, service.log)}; starting it again in {delay:g} s"
            )
            await anyio.sleep(delay)
            delay = min(LAST_DELAY, delay * 2)
            try:
                process = await self._spawn(service)
            except ServiceFailed:
                return
            except OSError as error:
                self._report(f"{service.name} could not be started: {error}")
                continue
            self._report(f"{service.name} was started again (process {process.pid})")

    async def _end(self, name: str, process: Process) -> None:
        if process.returncode is None:
            process.send_signal(self._stops[name])
            with anyio.move_on_after(STOP_PATIENCE):
                await process.wait()
        if process.returncode is None:
            self._report(f"{name} did not end within {STOP_PATIENCE:g} s and is killed")
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    # the guard

    async def _keep_guard(self) -> None:
        """See that there is always a guard, told of everybody who is running."""
        while True:
            guardian = await anyio.open_process(
                [sys.executable, "-I", "-S", guard.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._guard = guardian
            for process in list(self._running.values()):
                if process.returncode is None:
                    await self._tell_guard(f"+{process.pid}")
            await guardian.wait()
            self._report("the guard ended; another takes its place")

    async def _dismiss_guard(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            await self._guard.stdin.aclose()
            with anyio.move_on_after(STOP_PATIENCE):
                await self._guard.wait()
            if self._guard.returncode is None:  # frozen, as with all that there was to guard
                self._guard.kill()
                await self._guard.wait()

    async def _tell_guard(self, line: str) -> None:
        if self._guard is None or self._guard.stdin is None:
            return  # it is told of everybody when it is there
        with contextlib.suppress(anyio.BrokenResourceError):  # another one is coming
            await self._guard.stdin.send(f"{line}\n".encode())
