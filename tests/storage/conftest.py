"""Storage on a SQLite file of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
