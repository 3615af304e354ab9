"""`PgAdapter`: the storage logic on a PostgreSQL database."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from storage.adapter import DatabaseAdapter
from storage.commands import DIMENSIONS
from storage.embedding import Embedder
from storage.secrets import Keyring

from .database import PgDatabase


class PgAdapter(DatabaseAdapter):
    """Storage in a PostgreSQL database. Made by `PgAdapter.open`."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        dimensions: int = DIMENSIONS,
        embedder: Embedder | None = None,
        keyring: Keyring | None = None,
    ) -> "AsyncGenerator[PgAdapter]":
        """Open the database at `url` until the context ends.

        Raises:
            DatabaseUnavailable: it cannot be reached, or not with this user.
            SchemaMismatch: its schema is older or newer than this program, or its vectors have
                another dimension.
        """
        async with PgDatabase.open(url, dimensions) as database:
            yield cls(database, dimensions, embedder=embedder, keyring=keyring)
