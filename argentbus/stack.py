"""What `argentbus up` runs: servers (where none is configured), the sidecar, the dashboard."""

import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from bus import Bus
from storage.config import StorageConfig
from storage.postgres import migrations
from storage.postgres.setup import setup

from .checkup import persistence
from .discovery import Running
from .embedded import EmbeddedPostgres, EmbeddedRedis
from .embedded.redis import HOST, port_is_taken
from .errors import DataDirectoryUnusable, PortTaken
from .logs import Logs
from .supervisor import Service, Supervisor


class Stack:
    """The services of one copy, on one data directory.

    Args:
        config: Settings; `redis_url` counts where `redis` is None.
        redis: The embedded server to start, or None to use the one that is configured.
        postgres: The same for PostgreSQL; None also where the database is SQLite.
        dashboard_port: Port of the page.
        logs: How the services log.
        lock: Descriptor of the data directory's lock, for the embedded server to hold as well: the
            directory is not free while that server writes in it.
    """

    def __init__(
        self,
        config: StorageConfig,
        redis: EmbeddedRedis | None,
        postgres: EmbeddedPostgres | None,
        dashboard_port: int,
        logs: Logs,
        lock: int,
    ) -> None:
        if redis is not None:
            config = msgspec.structs.replace(config, redis_url=redis.url)
        self.config = config
        self._redis = redis
        self._postgres = postgres
        self._port = dashboard_port
        self._logging = logs
        self._lock = lock

    async def start(self, supervisor: Supervisor, pid: int) -> Running:
        """Start everything in order and return where it is.

        Raises:
            PortTaken, DataDirectoryUnusable: before anything was started.
            bus.BusError: the Redis that is configured cannot be reached, or is of no use.
            ServiceFailed: a service did not get ready.
        """
        self._check_dashboard_port()
        logs = self._logs()
        if self._redis is not None:
            self._redis.prepare()
            await supervisor.start(self._redis_service(self._redis))
        if self._postgres is not None:
            await self._start_postgres(supervisor, self._postgres)
        async with Bus.connect(self.config.redis_url, namespace=self.config.namespace) as bus:
            await supervisor.start(self._service("sidecar", logs, _is_present(bus)))
        address = ("--host", HOST, "--port", str(self._port))
        await supervisor.start(self._service("dashboard", logs, self._page_is_served, *address))
        return Running(
            pid=pid,
            redis_url=self.config.redis_url,
            embedded=self._redis is not None,
            dashboard_url=f"http://{HOST}:{self._port}/",
            sqlite_path=str(self.config.sqlite_path),
            namespace=self.config.namespace,
            backend="postgres" if self.config.backend == "postgres" else "sqlite",
            postgres_url=self.config.postgres_url if self.config.backend == "postgres" else None,
        )

    async def warnings(self) -> list[str]:
        """What is to be said of a Redis that is not ours: that it forgets, if it does."""
        if self._redis is not None:
            return []
        async with Bus.connect(self.config.redis_url, namespace=self.config.namespace) as bus:
            found = await persistence(bus)
        return [finding.detail for finding in found if finding.verdict == "fault"]

    def _check_dashboard_port(self) -> None:
        if port_is_taken(self._port):
            raise PortTaken(
                f"port {self._port} of {HOST}, for the dashboard, is taken: choose another with "
                "--dashboard-port"
            )

    def _logs(self) -> Path:
        logs = self.config.home / "logs"
        try:
            logs.mkdir(exist_ok=True)
        except OSError as error:
            raise DataDirectoryUnusable(
                f"cannot write in the data directory {self.config.home}: {error.strerror}"
            ) from None
        return logs

    def _redis_service(self, redis: EmbeddedRedis) -> Service:
        async def answers(_pid: int) -> bool:
            return await anyio.to_thread.run_sync(redis.answers)

        return Service(
            name="redis",
            command=redis.command(),
            log=redis.log,
            is_ready=answers,
            cwd=redis.directory,
            pass_fds=(self._lock,),
        )

    async def _start_postgres(self, supervisor: Supervisor, postgres: EmbeddedPostgres) -> None:
        """Start it, and make in it what the sidecar needs: roles, the database, its schema."""
        await anyio.to_thread.run_sync(postgres.prepare)

        async def answers(_pid: int) -> bool:
            return await anyio.to_thread.run_sync(postgres.answers)

        service = Service(
            name="postgres",
            command=postgres.command(),
            log=postgres.log,
            is_ready=answers,
            cwd=Path("/"),
            pass_fds=(self._lock,),
            stop=signal.SIGINT,
        )
        await supervisor.start(service)
        url = postgres.url("argentbus", "argentbus")
        await setup(postgres.url(), url)
        await migrations.run(postgres.url("argentbus"), dimensions=self.config.dimensions)
        self.config = msgspec.structs.replace(self.config, postgres_url=url)

    def _service(
        self, name: str, logs: Path, is_ready: Callable[[int], Awaitable[bool]], *arguments: str
    ) -> Service:
        # By the environment, not by options: a URL may contain a password, and anybody who may
        # list processes sees their options.
        config, keys = self.config, self.config.signing_key_file
        return Service(
            name=name,
            command=[sys.executable, "-m", "argentbus", name, *arguments],
            log=logs / f"{name}.log",
            is_ready=is_ready,
            env={
                "ARGENTBUS_HOME": str(config.home),
                "ARGENTBUS_NAMESPACE": config.namespace,
                "ARGENTBUS_PARTITIONS": str(config.partitions),
                "ARGENTBUS_REDIS_URL": config.redis_url,
                "ARGENTBUS_SQLITE_PATH": str(config.sqlite_path),
                "ARGENTBUS_BACKEND": config.backend,
                "ARGENTBUS_POSTGRES_URL": config.postgres_url,
                **self._logging.environment(),
                **({"ARGENTBUS_SIGNING_KEY_FILE": str(keys)} if keys else {}),
            },
        )

    async def _page_is_served(self, _pid: int) -> bool:
        try:
            async with await anyio.connect_tcp(HOST, self._port) as stream:
                request = f"GET /healthz HTTP/1.0\r\nHost: {HOST}\r\n\r\n"
                await stream.send(request.encode())
                with anyio.move_on_after(2.0):
                    return (await stream.receive()).startswith(b"HTTP/1.")
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
            pass
        return False


def _is_present(bus: Bus) -> Callable[[int], Awaitable[bool]]:
    """Whether the sidecar that is process `pid` of this machine has joined."""

    async def joined(pid: int) -> bool:
        agents = (await bus.registry.snapshot()).agents.values()
        here = socket.gethostname()
        return any((a.role, a.pid, a.host) == ("sidecar", pid, here) for a in agents)

    return joined
