"""Bringing a SQLite file's schema up to date, under its write lock."""

import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import aiosqlite
import anyio

from storage import migrations
from storage.errors import DatabaseUnavailable, SchemaMismatch
from storage.migrations import Migration, Status

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,
  applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""


async def refuse_others(connection: aiosqlite.Connection) -> None:
    """Check that the file is new, or one of ours; it is only read.

    Raises:
        SchemaMismatch: it is a database of another program.
    """
    tables = await connection.execute_fetchall(
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    )
    names = {str(row[0]) for row in tables}
    if names and "schema_migrations" not in names:
        raise SchemaMismatch(
            f"the SQLite file is of another program (it has the tables "
            f"{', '.join(sorted(names)[:5])}): name another file with --sqlite"
        )


async def run(connection: aiosqlite.Connection, dimensions: int) -> list[Migration]:
    """Bring the schema up to date; return what was run.

    Args:
        dimensions: Of vectors, where the file does not say yet.

    Raises:
        SchemaMismatch: the file is newer than this program, or a migration it has was another one.
    """
    # A file that is up to date is opened also while somebody else holds its write lock.
    if not await missing(connection):
        return []
    await connection.execute_fetchall("BEGIN IMMEDIATE")
    try:
        await connection.execute_fetchall(_LEDGER)
        pending = await missing(connection)
        for migration in pending:
            for statement in statements(migration.sql.replace("{dimensions}", str(dimensions))):
                await connection.execute_fetchall(statement)
            await connection.execute_fetchall(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES (?, ?, ?)",
                (migration.version, migration.name, migration.checksum),
            )
        await connection.execute_fetchall("COMMIT")
    except BaseException:
        await connection.rollback()
        raise
    return pending


async def status(path: Path) -> list[Status]:
    """Every migration that this program has, with the time at which it was run on `path`.

    Raises:
        SchemaMismatch: the file is newer than this program, or another program's.
        DatabaseUnavailable: it cannot be read.
    """
    known = migrations.known(__package__)
    times: dict[int, datetime] = {}
    async with reading(path) as file:
        if file is not None and len(await missing(file)) < len(known):
            rows = await file.execute_fetchall("SELECT version, applied_at FROM schema_migrations")
            times = {row[0]: datetime.fromisoformat(row[1]) for row in rows}
    return [Status(one, times.get(one.version)) for one in known]


@asynccontextmanager
async def reading(path: Path) -> AsyncGenerator[aiosqlite.Connection | None]:
    """The file, to be read only; None where there is none.

    Raises:
        SchemaMismatch: it is a database of another program.
        DatabaseUnavailable: it cannot be read.
    """
    file_path = await anyio.Path(path).absolute()
    if not await file_path.exists():
        yield None
        return
    try:
        async with aiosqlite.connect(f"{file_path.as_uri()}?mode=ro", uri=True) as file:
            await refuse_others(file)
            yield file
    except sqlite3.Error as error:
        raise DatabaseUnavailable(f"SQLite file {path}: {error}") from error


async def missing(connection: aiosqlite.Connection) -> list[Migration]:
    """The migrations that were not run.

    Raises:
        SchemaMismatch: the file is newer than this program, or a migration it has was another one.
    """
    known = migrations.known(__package__)
    if not await connection.execute_fetchall(
        "SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations'"
    ):
        return known
    rows = await connection.execute_fetchall("SELECT version, checksum FROM schema_migrations")
    applied = {int(version): str(checksum) for version, checksum in rows}
    return migrations.pending(applied, known, "SQLite file", "name another file with --sqlite")


def statements(sql: str) -> Iterator[str]:
    """Split a script where statements end (a trigger's body has semicolons of its own)."""
    gathered = ""
    for line in sql.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            yield gathered
            gathered = ""
    if gathered.strip():
        yield gathered
