"""From settings to an open storage."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from .adapter import StorageAdapter
from .config import StorageConfig
from .embedding import Embedder
from .embedding.opening import open_embedder
from .errors import NotSupported
from .secrets import Keyring
from .sqlite.adapter import SQLiteAdapter


@asynccontextmanager
async def open_storage(config: StorageConfig) -> AsyncGenerator[StorageAdapter]:
    """Open the storage that `config` asks for, until the context ends; never another.

    Raises:
        NotSupported: this release cannot open that backend.
        DatabaseUnavailable: the database cannot be opened or written.
        SchemaMismatch: its schema is newer than this program.
        ConfigurationError: the file with the embedder's key cannot be used.

    Example:
        async with open_storage(StorageConfig.load()) as opened:
            print((await opened.stats()).memory_items)  #> 0
    """
    keyring = config.keyring()
    async with (
        open_embedder(config) as embedder,
        _opened(config, embedder, keyring) as storage,
    ):
        yield storage


def _opened(
    config: StorageConfig, embedder: Embedder | None, keyring: Keyring | None
) -> AbstractAsyncContextManager[StorageAdapter]:
    match config.backend:
        case "sqlite":
            return SQLiteAdapter.open(
                config.sqlite_path,
                dimensions=config.dimensions,
                embedder=embedder,
                keyring=keyring,
                vector_cache=config.sqlite_vector_cache,
            )
        case "postgres":
            # Imported here: who stays with SQLite need not wait for the driver.
            from .postgres.adapter import PgAdapter

            return PgAdapter.open(
                config.postgres_url,
                dimensions=config.dimensions,
                embedder=embedder,
                keyring=keyring,
            )
        case _:
            raise NotSupported(
                f"backend {config.backend} cannot be opened yet, only sqlite and postgres: set "
                "storage.backend in the settings file (or ARGENTBUS_BACKEND) to one of them"
            )
