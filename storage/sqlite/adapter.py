"""`SQLiteAdapter`: the storage logic on a SQLite file."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from storage.adapter import DatabaseAdapter
from storage.commands import DIMENSIONS
from storage.embedding import Embedder
from storage.secrets import Keyring

from .database import SQLiteDatabase
from .vectors import VECTOR_CACHE


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
        vector_cache: int = VECTOR_CACHE,
    ) -> "AsyncGenerator[SQLiteAdapter]":
        """Open (or make) the file `path` until the context ends.

        Args:
            vector_cache: Bytes that the vectors which searches compare with may take in memory.
                Where they have no room, they are read from the file at each search.

        Raises:
            DatabaseUnavailable: it cannot be opened or written, or is not a SQLite file.
            SchemaMismatch: its schema is newer than this program, or was changed by hand; or its
                vectors have another dimension.
        """
        async with SQLiteDatabase.open(path, dimensions, vector_cache) as database:
            yield cls(database, dimensions, embedder=embedder, keyring=keyring)
