"""Bringing a PostgreSQL database's schema up to date, under an advisory lock."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from storage import migrations
from storage.commands import DIMENSIONS
from storage.migrations import Migration, Status
from storage.settings import without_password

from . import catalog
from .catalog import SCHEMA_ROLE
from .errors import translated

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  version bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_REMEMBER: Final = "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"


async def run(url: str, *, dimensions: int = DIMENSIONS) -> list[Migration]:
    """Run what is missing, all of it or nothing, and return it.

    Args:
        url: Of a user who may take on the role argentbus_schema.
        dimensions: Of vectors, where the schema is new; an older one keeps its own.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or not with this user.
        SchemaMismatch: it is newer than this program, or another program's.
    """
    where = without_password(url)
    async with connected(url) as connection, connection.transaction():
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('argentbus.schema', 0));"
            f"SET LOCAL ROLE {SCHEMA_ROLE}"
        )
        missing = await catalog.missing(connection)
        if missing:
            await connection.execute(_LEDGER)
            dimensions = await catalog.stored_dimensions(connection, where) or dimensions
        for migration in missing:
            await connection.execute(migration.sql.replace("{dimensions}", str(dimensions)))
            await connection.execute(
                _REMEMBER, migration.version, migration.name, migration.checksum
            )
    return missing


async def status(url: str) -> list[Status]:
    """Every migration that this program has, with the time at which it was run.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or not with this user.
        SchemaMismatch: it is newer than this program, or another program's.
    """
    async with connected(url) as connection, connection.transaction(readonly=True):
        await connection.execute(f"SET LOCAL ROLE {SCHEMA_ROLE}")
        missing = await catalog.missing(connection)
        times = {}
        if await catalog.applied(connection):
            rows = await connection.fetch("SELECT version, applied_at FROM schema_migrations")
            times = {row[0]: row[1] for row in rows}
    known = migrations.known(__package__)
    return [Status(one, None if one in missing else times[one.version]) for one in known]


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Any]:
    """A connection of its own, what goes wrong on it raised as errors of storage."""
    with translated(without_password(url)):
        connection = await asyncpg.connect(url, timeout=10, statement_cache_size=0)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)
