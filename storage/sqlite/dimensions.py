"""Changing the dimension of a SQLite file's vectors."""

from pathlib import Path
from typing import Any

import aiosqlite
import msgspec

from storage.dimensions import STATEMENTS, Change, counted
from storage.errors import DatabaseUnavailable, SchemaMismatch

from . import migrations
from .database import SQLiteDatabase
from .settings import STORE, STORED, dimensions_of


async def look(path: Path, wanted: int) -> Change:
    """What a change to `wanted` dimensions would do; the file is only read.

    Raises:
        DatabaseUnavailable: there is no such file, or it cannot be read.
        SchemaMismatch: its schema is older or newer than this program, or another program's.
    """
    async with migrations.reading(path) as file:
        if file is None:
            raise DatabaseUnavailable(
                f"SQLite file {path} is not there: it is made, with the dimension of the settings, "
                "when it is opened first"
            )
        missing = await migrations.missing(file)
        if missing:
            raise SchemaMismatch(
                f"the schema of SQLite file {path} lacks {len(missing)} migrations (the first is "
                f"{missing[0].version:04}_{missing[0].name}): run `argentbus migrate schema`"
            )
        # All of it as of one moment.
        await file.execute_fetchall("BEGIN")
        stored = dimensions_of(list(await file.execute_fetchall(STORED)), path)
        tables = await counted(lambda sql: _fetch(file, sql), stored)
    return Change(f"SQLite file {path}", stored, wanted, tables)


async def change(path: Path, wanted: int) -> Change:
    """Drop the vectors, and have `wanted` dimensions from now on: all of it or nothing.

    Raises:
        DatabaseUnavailable: as `look`; it cannot be written, or another process holds its lock.
        SchemaMismatch: as `look`; or another process has just changed it.
    """
    found = await look(path, wanted)
    if not found.needed:
        return found
    async with (
        SQLiteDatabase.open(path, found.stored) as database,
        database.transaction() as transaction,
    ):
        tables = await counted(transaction.fetch, found.stored)
        for statements in STATEMENTS.values():
            await transaction.fetch(statements["drop"])
        await transaction.fetch(STORE, str(wanted))
    return msgspec.structs.replace(found, tables=tables, made=True)


async def _fetch(file: aiosqlite.Connection, sql: str) -> list[Any]:
    return list(await file.execute_fetchall(sql))
