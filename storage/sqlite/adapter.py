"""`SQLiteAdapter`: the storage logic on a SQLite file."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from storage.adapter import DatabaseAdapter
from storage.commands import DIMENSIONS
from storage.embedding import Embedder
from storage.secrets import Keyring

from .database import SQLiteDatabase


class SQLiteAdapter(DatabaseAdapter):
    """Storage in one SQLite file. Made by `SQLiteAdapter.open`."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        dimensions: int = DIMENSIONS,
        embedder: Embedder | None = None,
        keyring: Keyring | None = None,
    ) -> "AsyncGenerator[SQLiteAdapter]":
        """Open (or make) the file `path` until the context ends.

        Raises:
            DatabaseUnavailable: it cannot be opened or written, or is not a SQLite file.
            SchemaMismatch: its schema is newer than this program, or was changed by hand; or its
                vectors have another dimension.
        """
        async with SQLiteDatabase.open(path, dimensions) as database:
            yield cls(database, dimensions, embedder=embedder, keyring=keyring)
