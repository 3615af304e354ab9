"""The schema, as numbered SQL files: each is run once, under the write lock, and remembered."""

import hashlib
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from typing import Final, NamedTuple

import aiosqlite

from storage.errors import SchemaMismatch

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
  version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,
  applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""


class Migration(NamedTuple):
    """One file of `schema/`."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known() -> list[Migration]:
    """All migrations that this program has, in order."""
    found = [
        Migration(int(file.name[:4]), file.name[5:-4], file.read_text(encoding="utf-8"))
        for file in files(__package__).joinpath("schema").iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found)


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


async def run(connection: aiosqlite.Connection) -> list[Migration]:
    """Bring the schema up to date; return what was run.

    Raises:
        SchemaMismatch: the file is newer than this program, or a migration it has was another one.
    """
    migrations = known()
    # A file that is up to date is opened also while somebody else holds its write lock.
    if await connection.execute_fetchall(
        "SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations'"
    ) and not await _pending(connection, migrations):
        return []
    await connection.execute_fetchall("BEGIN IMMEDIATE")
    try:
        await connection.execute_fetchall(_LEDGER)
        pending = await _pending(connection, migrations)
        for migration in pending:
            for statement in statements(migration.sql):
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


async def _pending(
    connection: aiosqlite.Connection, migrations: list[Migration]
) -> list[Migration]:
    rows = await connection.execute_fetchall("SELECT version, checksum FROM schema_migrations")
    applied = {int(version): str(checksum) for version, checksum in rows}
    _check(applied, migrations)
    return [migration for migration in migrations if migration.version not in applied]


def _check(applied: dict[int, str], migrations: list[Migration]) -> None:
    newest = max((migration.version for migration in migrations), default=0)
    if max(applied, default=0) > newest:
        raise SchemaMismatch(
            f"the SQLite file has schema {max(applied)}, this program knows {newest}: update it "
            "(`pip install -U argentbus`), or name another file with --sqlite"
        )
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise SchemaMismatch(
                f"the SQLite file's schema {migration.version} ({migration.name}) was made by "
                "another text than this program's: the file comes from another version"
            )


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
