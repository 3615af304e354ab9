"""A PostgreSQL for the tests: one server for the session, and a database for each test."""

import itertools
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import anyio
import asyncpg
import psutil

from argentbus.embedded import EmbeddedPostgres, free_port
from storage.postgres import migrations
from storage.postgres.setup import setup
from tests.guarding import guarded

_numbers = itertools.count()

#: What makes a test quick: nothing here has to outlive a power cut.
QUICK = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
QUICK |= {"deadlock_timeout": "50ms"}

#: Databases that are set up and empty, by the dimensions of their embeddings.
TEMPLATES = {3: "template_3", 768: "template_768"}


class PostgresServer(EmbeddedPostgres):
    """The embedded PostgreSQL with what tests do to it."""

    def spawn(self, *, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        return guarded(super().spawn(pass_fds=pass_fds))

    def kill(self) -> None:
        """End it with SIGKILL, and wait for its backends: one at work may finish that first."""
        assert self.process is not None, "the server has not been started"
        backends = psutil.Process(self.process.pid).children(recursive=True)
        super().kill()
        deadline = time.monotonic() + 10
        while any(_runs(backend) for backend in backends):
            assert time.monotonic() < deadline, "a backend outlives its server"
            time.sleep(0.002)

    def user_url(self, database: str) -> str:
        """How the sidecar logs in."""
        return self.url(database, "argentbus")

    @contextmanager
    def database(self, dimensions: int) -> Iterator[str]:
        """A new database with our schema, and nothing in it: its name."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        template = TEMPLATES[dimensions]
        admin = self.url()
        anyio.run(execute, admin, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            anyio.run(
                execute,
                admin,
                f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; "
                f"GRANT CONNECT ON DATABASE {name} TO argentbus",
            )
            yield name
        finally:
            if self.answers():
                anyio.run(execute, admin, f"DROP DATABASE {name} WITH (FORCE)")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def execute(url: str, sql: str) -> None:
    """Run statements, as whoever the URL says."""
    connection = await asyncpg.connect(url)
    try:
        for statement in sql.split("; "):
            await connection.execute(statement)
    finally:
        await connection.close()


async def empty(url: str) -> None:
    """Delete what agents and the sidecar have written: quicker than a new database."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND tablename <> 'schema_migrations'"
        )
        await connection.execute("; ".join(f"DELETE FROM {row[0]}" for row in tables))
    finally:
        await connection.close()


def renamed(url: str, database: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


async def make_templates(server: PostgresServer) -> None:
    """Set the server up, with an empty database for each number of dimensions."""
    for dimensions, name in TEMPLATES.items():
        await setup(server.url(), server.user_url(name))
        await migrations.run(server.url(name), dimensions=dimensions)


@contextmanager
def served(directory: Path, settings: dict[str, str] = QUICK) -> Iterator[PostgresServer]:
    """A PostgreSQL with its templates, until the context ends."""
    server = PostgresServer(directory, free_port(), settings=settings)
    server.start()
    try:
        anyio.run(make_templates, server)
        yield server
    finally:
        server.stop()
