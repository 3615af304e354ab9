"""A change of the dimension that fails, is killed or is held up: all of it is done, or nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import asyncpg
import pytest

from storage import DatabaseUnavailable
from storage.dimensions import TABLES
from storage.postgres import dimensions as postgres
from storage.sqlite import database as of_sqlite
from storage.sqlite.adapter import SQLiteAdapter
from tests.postgres import PostgresServer
from tests.shell import Shell
from tests.storage.backends import Raw, RawSQLite
from tests.storage.places import Place, fill, indexes_of
from tests.storage.rows import query
from tests.storage.test_apply import create
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def own_name(own_postgres: PostgresServer) -> Iterator[str]:
    """A database of three dimensions on a server of the test's own."""
    with own_postgres.database(3) as name:
        yield name


async def refuse_the_last(raw: Raw) -> None:
    """Let the change fail when it comes to the last table."""
    if isinstance(raw, RawSQLite):
        await raw.query(
            f"CREATE TRIGGER refuse BEFORE UPDATE OF embedding ON {TABLES[-1]} "
            "BEGIN SELECT RAISE(ABORT, 'not here'); END"
        )
    else:
        await rewriting(raw, "RAISE EXCEPTION 'not here'")


async def rewriting(raw: Raw, statement: str) -> None:
    """Run `statement` when PostgreSQL writes the last table anew."""
    await raw.query(
        "CREATE FUNCTION on_rewrite() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF pg_event_trigger_table_rewrite_oid() = '{TABLES[-1]}'::regclass THEN "
        f"{statement}; END IF; END $$"
    )
    await raw.query(
        "CREATE EVENT TRIGGER on_rewrite ON table_rewrite EXECUTE FUNCTION on_rewrite()"
    )


async def test_a_change_that_fails_on_the_way_changes_nothing(place: Place) -> None:
    async with place.open(3) as (storage, raw):
        before = await fill(storage, raw)
        indexes = await indexes_of(raw)
        await refuse_the_last(raw)
        with pytest.raises(Exception, match="not here"):
            await place.change(4)
        assert await raw.everything() == before
        if place.backend == "postgres":
            assert await indexes_of(raw) == indexes
        assert (await place.look(4)).stored == 3
        await storage.scoped("a").memory.embed_item("private", [0, 1, 0])


async def test_a_change_that_is_killed_leaves_a_sqlite_file_as_it_was(
    path: Path, shell: Shell
) -> None:
    async with SQLiteAdapter.open(path, dimensions=3) as storage:
        raw = RawSQLite(path)
        before = await fill(storage, raw)
        await storage.apply([create(n) for n in range(300)])
        before = await raw.everything()
        # The last table is never through: a product of as many rows takes years.
        everything = ", ".join(f"memory_items AS i{n}" for n in range(5))
        await raw.query(
            f"CREATE TRIGGER endless BEFORE UPDATE OF embedding ON {TABLES[-1]} "
            f"BEGIN SELECT count(*) FROM {everything}; END"
        )
    change = shell.start("migrate", "dimension", "4", "--yes", "--sqlite", str(path))
    try:
        await eventually(lambda: is_locked(path), timeout=20)
        assert change.poll() is None
    finally:
        change.kill()
        change.communicate()
    assert await raw.everything() == before
    assert query(path, "SELECT value FROM settings") == [("3",)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    async with SQLiteAdapter.open(path, dimensions=3) as storage:
        await storage.scoped("a").memory.embed_item("private", [0, 1, 0])


def is_locked(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            return "locked" in str(error)
        connection.execute("ROLLBACK")
        return False


async def test_a_server_that_is_killed_in_a_change_has_what_it_had(
    own_postgres: PostgresServer, own_name: str, path: Path
) -> None:
    place = Place("postgres", path, own_postgres, own_name)
    async with place.open(3) as (storage, raw):
        before = await fill(storage, raw)
        indexes = await indexes_of(raw)
        await rewriting(raw, "PERFORM pg_advisory_xact_lock(42)")
        await raw.query("SELECT pg_advisory_lock(42)")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fails, place)
            waits = "SELECT count(*) FROM pg_locks WHERE objid = 42 AND NOT granted"
            await eventually(lambda: has(raw, waits))
            own_postgres.kill()
    own_postgres.start()
    async with place.open(3) as (storage, raw):
        assert await raw.everything() == before
        assert await indexes_of(raw) == indexes
        await storage.scoped("a").memory.embed_item("private", [0, 1, 0])


async def has(raw: Raw, sql: str) -> bool:
    return await raw.query(sql) == [(1,)]


async def fails(place: Place) -> None:
    with pytest.raises(DatabaseUnavailable):
        await place.change(4)


async def test_a_table_that_others_do_not_let_go_of_is_not_waited_for_without_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_sqlite, "BUSY", 0.2)
    monkeypatch.setattr(postgres, "PATIENCE", 0.2)
    async with place.open(3) as (storage, raw):
        before = await fill(storage, raw)
        if place.backend == "sqlite":
            async with storage._database.transaction():
                with pytest.raises(DatabaseUnavailable, match="locked: another process"):
                    await place.change(4)
        else:
            other = await asyncpg.connect(place.server.url(place.name))
            async with other.transaction():
                await other.execute("LOCK TABLE lessons IN ACCESS SHARE MODE")
                with pytest.raises(DatabaseUnavailable, match="do not let go; stop them"):
                    await place.change(4)
            await other.close()
        assert await raw.everything() == before
        assert (await place.change(4)).made
