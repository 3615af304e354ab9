"""From settings to an open storage."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

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

    Example:
        async with open_storage(StorageConfig.load()) as opened:
            print((await opened.stats()).memory_items)  #> 0
    """
    opened: AbstractAsyncContextManager[StorageAdapter]
    match config.backend:
        case "sqlite":
            opened = SQLiteAdapter.open(config.sqlite_path)
        case "postgres":
            # Imported here: who stays with SQLite need not wait for the driver.
            from .postgres.adapter import PgAdapter

            opened = PgAdapter.open(config.postgres_url)
        case _:
            raise NotSupported(
                f"backend {config.backend} cannot be opened yet, only sqlite and postgres: set "
                "storage.backend in the settings file (or ARGENTBUS_BACKEND) to one of them"
            )
    async with opened as storage:
        yield storage
