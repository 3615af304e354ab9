"""Storage for a test of its own: on each backend in turn, or on a SQLite file."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from bus import Bus
from storage import StorageConfig
from storage.adapter import DatabaseAdapter
from storage.sqlite.adapter import SQLiteAdapter
from tests.postgres import empty
from tests.storage.backends import BACKENDS, Raw, opened
from tests.storage.places import Place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's SQLite file is, or will be."""
    return tmp_path / "memory.db"


class Opened(NamedTuple):
    """A storage on one of the backends."""

    storage: DatabaseAdapter
    raw: Raw


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The backend that the test is run on: one after the other."""
    name: str = request.param
    return name


@pytest.fixture
def database(backend: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL database of three dimensions for this test, where that is the backend."""
    if backend == "sqlite":
        yield ""
    elif request.node.get_closest_marker("kept_database"):
        name = request.getfixturevalue("kept_database")
        anyio.run(empty, request.getfixturevalue("postgres_server").url(name))
        yield name
    else:
        with request.getfixturevalue("postgres_server").database(3) as name:
            yield name


@pytest.fixture(scope="session")
def kept_database(postgres_server: Any) -> Iterator[str]:
    """The database of all tests that are content with an empty one."""
    with postgres_server.database(3) as name:
        yield name


@pytest.fixture
async def both_sides(
    backend: str, path: Path, database: str, request: pytest.FixtureRequest
) -> AsyncIterator[Opened]:
    """The storage, and what is behind it."""
    server: Any = request.getfixturevalue("postgres_server") if database else None
    async with opened(backend, path, server, database) as (storage, raw):
        yield Opened(storage, raw)


@pytest.fixture
def storage(both_sides: Opened) -> DatabaseAdapter:
    """An open storage of three dimensions, so that a test can write its vectors out."""
    return both_sides.storage


@pytest.fixture
def raw(both_sides: Opened) -> Raw:
    """The database behind `storage`, past the code under test."""
    return both_sides.raw


@pytest.fixture
def place(backend: str, path: Path, database: str, request: pytest.FixtureRequest) -> Place:
    """A database of three dimensions, which is not opened yet."""
    server = request.getfixturevalue("postgres_server") if database else None
    return Place(backend, path, server, database)


@pytest.fixture
async def sqlite(path: Path) -> AsyncIterator[SQLiteAdapter]:
    """An open SQLite file of three dimensions."""
    async with SQLiteAdapter.open(path, dimensions=3) as storage:
        yield storage


@pytest.fixture
def config(redis_server: Any, namespace: str, path: Path) -> StorageConfig:
    """Settings for a sidecar on the session's Redis."""
    return StorageConfig(
        redis_url=redis_server.url,
        namespace=namespace,
        sqlite_path=path,
        partitions=2,
        lease=1.0,
    )


@pytest.fixture
async def bus(config: StorageConfig) -> AsyncIterator[Bus]:
    """The bus that the test's agents are on."""
    async with Bus.connect(config.redis_url, namespace=config.namespace, ttl=5.0) as bus:
        yield bus
