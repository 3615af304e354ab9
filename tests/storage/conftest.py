"""Storage on a SQLite file of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bus import Bus
from storage import StorageConfig
from storage.sqlite.adapter import SQLiteAdapter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the test's SQLite file is, or will be."""
    return tmp_path / "memory.db"


@pytest.fixture
async def storage(path: Path) -> AsyncIterator[SQLiteAdapter]:
    """An open storage of three dimensions, so that a test can write its vectors out."""
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
