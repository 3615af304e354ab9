"""From settings to an open storage."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from .adapter import StorageAdapter
from .config import StorageConfig
from .errors import NotSupported
from .sqlite.adapter import SQLiteAdapter


@asynccontextmanager
async def open_storage(config: StorageConfig) -> AsyncGenerator[StorageAdapter]:
    """Open the storage that `config` asks for, until the context ends; never another.

    Raises:
        NotSupported: this release cannot open that backend.
        DatabaseUnavailable: the database cannot be opened or written.
        SchemaMismatch: its schema is newer than this program.
    """
    if config.backend != "sqlite":
        raise NotSupported(
            f"backend {config.backend} cannot be opened yet, only sqlite: set storage.backend in "
            "the settings file (or ARGENTBUS_BACKEND, --backend) to sqlite"
        )
    async with SQLiteAdapter.open(config.sqlite_path) as storage:
        yield storage
