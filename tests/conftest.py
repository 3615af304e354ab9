"""Real servers for the tests: a Redis and a PostgreSQL for the session, and one for each test that
kills its own.
"""

import itertools
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from argentbus.embedded import EmbeddedRedis, free_port
from tests.guarding import guarded
from tests.postgres import PostgresServer, served
from tests.shell import Shell

_numbers = itertools.count()


class RedisServer(EmbeddedRedis):
    """The embedded Redis with what a test does to it: kill, start again, freeze, thaw."""

    def freeze(self) -> None:
        """Stop the process where it stands: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)

    def spawn(self, *, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        return guarded(super().spawn(pass_fds=pass_fds))

    @property
    def written(self) -> int:
        """Bytes of its append-only file."""
        return self._file.stat().st_size

    def lose_tail(self, written: int) -> None:
        """Kill it, and start it again without what it wrote behind `written`: a crash before that
        was synced, or a replica that had not got it and is the primary now.
        """
        self.kill()
        os.truncate(self._file, written)
        self.start()

    @property
    def _file(self) -> Path:
        [file] = (self.directory / "appendonlydir").glob("*.incr.aof")
        return file

    def terminate(self) -> None:
        """End it in good order."""
        self.stop()

    def stop(self, *, timeout: float = 10.0) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
        super().stop(timeout=timeout)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "the server has not been started"
        os.kill(self.process.pid, number)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio, unless a folder's own conftest says otherwise."""
    return "asyncio"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A redis-server for the whole session: leave it alive, and keep to your `namespace`."""
    yield from served_redis(tmp_path_factory.mktemp("redis"))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server for this test alone, to be killed, frozen and started again."""
    yield from served_redis(tmp_path / "redis")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL for the whole session: leave it alive, and keep to databases of your own."""
    with _place_for_postgres() as place, served(place) as server:
        yield server


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for this test alone, to be killed and started again on what it has synced."""
    with _place_for_postgres() as place, served(place, {"shared_buffers": "32MB"}) as server:
        yield server


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"test-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """The command line, in a home directory of the test's own."""
    home = tmp_path / "a home"
    home.mkdir()
    shell = Shell(home)
    try:
        yield shell
    finally:
        shell.close()


@contextmanager
def _place_for_postgres() -> Iterator[Path]:
    """A directory that the user whom root has PostgreSQL run as can reach.

    Not below pytest's own: each session that starts closes those of all others to other users.
    """
    with tempfile.TemporaryDirectory(prefix="argentbus-", ignore_cleanup_errors=True) as place:
        yield Path(place) / "postgres"


def served_redis(directory: Path) -> Iterator[RedisServer]:
    """A redis-server, ended when the iteration goes on."""
    server = RedisServer(directory, free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()
