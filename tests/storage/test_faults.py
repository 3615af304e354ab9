"""Disks that are full or read only, damaged files, connections that are lost within a transaction:
an error that says what to do, nothing half written, and all goes on once it is mended.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from storage import DatabaseUnavailable
from storage.adapter import DatabaseAdapter
from storage.postgres.adapter import PgAdapter
from storage.sqlite.adapter import SQLiteAdapter
from tests.disks import Disk, disk
from tests.postgres import PostgresServer, renamed, served
from tests.proxy import cutting_proxy
from tests.storage.backends import BACKENDS, Raw, RawPostgres, RawSQLite
from tests.storage.test_apply import at, create, entries, reinforce
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class OnADisk:
    """A database that is alone on a small disk."""

    def __init__(self, backend: str, on: Disk, server: PostgresServer | None) -> None:
        self.backend, self.disk, self.server = backend, on, server
        self.path = on.path / "memory.db"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[DatabaseAdapter, Raw]]:
        if self.server is None:
            async with SQLiteAdapter.open(self.path, dimensions=3) as sqlite:
                yield sqlite, RawSQLite(self.path)
        else:
            name = "template_3"
            async with (
                PgAdapter.open(self.server.user_url(name), dimensions=3) as postgres,
                RawPostgres.open(self.server.url(name)) as raw,
            ):
                yield postgres, raw


@pytest.fixture(params=BACKENDS)
def on_a_disk(request: pytest.FixtureRequest) -> Iterator[OnADisk]:
    with tempfile.TemporaryDirectory(prefix="argentbus-") as place:
        if request.param == "sqlite":
            with disk(Path(place) / "disk", 16) as small:
                yield OnADisk("sqlite", small, None)
        else:
            # Its segments of WAL are of 16 MB, and made before they are needed.
            with disk(Path(place) / "disk", 300) as small, served(small.path / "pg") as server:
                yield OnADisk("postgres", small, server)


async def test_a_full_disk_is_said_to_be_full_and_nothing_is_half_written(
    on_a_disk: OnADisk,
) -> None:
    async with on_a_disk.open() as (storage, raw):
        await storage.apply([create(1)], position=at(1), entry_ids=entries(1))
        before = await raw.everything()
        on_a_disk.disk.fill()
        large = [reinforce(1), *(create(n, f"{n} " * 2000) for n in range(2, 200))]
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable, match="make room on its disk; what waits"):
                await storage.apply(large, position=at(200))
            assert await raw.everything() == before
            assert await storage.positions() == {0: at(1)}
        # What there is can be read meanwhile.
        [item] = await storage.scoped("scout").memory.list_items()
        assert item.reinforcement_count == 1
        on_a_disk.disk.clear()
        await storage.apply(large, position=at(200))
        assert (await storage.stats()).memory_items == 199
        [first] = [
            one for one in await storage.scoped("scout").memory.list_items(limit=1000)
            if one.id == "i-1"
        ]  # fmt: skip
        assert first.reinforcement_count == 2


async def test_a_server_that_says_its_disk_is_full_is_understood(
    storage: DatabaseAdapter, raw: Raw, backend: str
) -> None:
    """The same where nobody may mount a disk: the words are the server's own, and its SQLSTATE."""
    if backend == "sqlite":
        pytest.skip("`test_sqlite` bounds the file's pages")
    await storage.apply([create(1)], position=at(1))
    before = await raw.everything()
    await raising(raw, 'could not extend file "base/5/16384": No space left on device', "53100")
    with pytest.raises(DatabaseUnavailable, match="No space left.*make room on its disk"):
        await storage.apply([create(2), create(3)], position=at(3))
    assert await raw.everything() == before
    assert await storage.positions() == {0: at(1)}
    await raw.allow("memory_items")
    await storage.apply([create(2), create(3)], position=at(3))


async def raising(raw: Raw, message: str, state: str) -> None:
    """Let the server refuse new memory items with an error of its own."""
    await raw.query(
        "CREATE FUNCTION refuse_memory_items() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = '{state}'; END $$"
    )
    await raw.query(
        "CREATE TRIGGER refuse_memory_items BEFORE INSERT ON memory_items FOR EACH ROW "
        "EXECUTE FUNCTION refuse_memory_items()"
    )


# read only


async def test_a_file_on_a_read_only_disk_says_what_to_do(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 16) as small:
        path = small.path / "memory.db"
        async with SQLiteAdapter.open(path, dimensions=3) as storage:
            await storage.apply([create(1)])
        before = await RawSQLite(path).everything()
        small.remount("ro")
        with pytest.raises(DatabaseUnavailable, match=r"memory\.db: .*writable for this user"):
            async with SQLiteAdapter.open(path, dimensions=3):
                pass
        small.remount("rw")
        async with SQLiteAdapter.open(path, dimensions=3) as storage:
            await storage.apply([create(2)])
        rows = await RawSQLite(path).everything()
        assert [row for row in rows["memory_items"] if row.id == "i-1"] == before["memory_items"]


async def test_a_file_that_becomes_read_only_refuses_writes_and_is_still_read(
    sqlite: SQLiteAdapter,
) -> None:
    await sqlite.apply([create(1)], position=at(1))
    writer: Any = sqlite._database._writer  # type: ignore[attr-defined]
    await writer.execute_fetchall("PRAGMA query_only = ON")  # as the kernel would have it
    with pytest.raises(DatabaseUnavailable, match="readonly.*: make the file and its dir"):
        await sqlite.apply([create(2)], position=at(2))
    assert len(await sqlite.scoped("scout").memory.list_items()) == 1
    await writer.execute_fetchall("PRAGMA query_only = OFF")
    await sqlite.apply([create(2)], position=at(2))


async def test_a_server_that_becomes_read_only_refuses_writes_and_is_still_read(
    own_postgres: PostgresServer, own_name: str
) -> None:
    async with (
        PgAdapter.open(own_postgres.user_url(own_name), dimensions=3) as storage,
        RawPostgres.open(own_postgres.url()) as raw,
    ):
        await storage.apply([create(1)], position=at(1))
        await read_only(raw, storage, on=True)
        with pytest.raises(DatabaseUnavailable, match="read-only.*name the primary"):
            await storage.apply([create(2)], position=at(2))
        assert len(await storage.scoped("scout").memory.list_items()) == 1
        await read_only(raw, storage, on=False)
        await storage.apply([create(2)], position=at(2))


async def read_only(raw: Raw, storage: DatabaseAdapter, *, on: bool) -> None:
    """Have the whole server refuse writes, or not; wait until it has taken effect."""
    await raw.query(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
    await raw.query("SELECT pg_reload_conf()")
    shown = "SELECT current_setting('default_transaction_read_only')"

    async def so() -> bool:
        [(now,)] = await raw.query(shown)
        pool: Any = storage._database._pool  # type: ignore[attr-defined]
        async with pool.acquire() as connection:
            return now == await connection.fetchval(shown) == ("on" if on else "off")

    await eventually(so)


# damaged


@pytest.fixture
def own_name(own_postgres: PostgresServer) -> Iterator[str]:
    """A database of three dimensions on a server of the test's own."""
    with own_postgres.database(3) as name:
        yield name


async def test_a_damaged_table_of_a_server_is_said_to_be_damaged(
    own_postgres: PostgresServer, own_name: str
) -> None:
    url = own_postgres.user_url(own_name)
    async with PgAdapter.open(url, dimensions=3) as storage:
        await storage.apply([create(n) for n in range(500)])
        await storage.scoped("scout").tasks.create_task(title="whole")
    async with RawPostgres.open(own_postgres.url(own_name)) as raw:
        await raw.query("CHECKPOINT")
        [(file,)] = await raw.query("SELECT pg_relation_filepath('memory_items')")
    own_postgres.stop()
    with (own_postgres.data / str(file)).open("r+b") as table:
        for page in range(8):
            table.seek(page * 8192 + 100)
            table.write(b"\xff" * 4000)
    own_postgres.start()
    async with PgAdapter.open(url, dimensions=3) as storage:
        with pytest.raises(DatabaseUnavailable, match="invalid page.*damaged; restore a backup"):
            await storage.scoped("scout").memory.list_items(limit=1000)
        assert len(await storage.scoped("scout").tasks.list_tasks()) == 1, "the rest is readable"


async def test_a_file_that_is_damaged_while_it_is_open_is_said_to_be_damaged(path: Path) -> None:
    async with SQLiteAdapter.open(path, dimensions=3) as storage:
        await storage.apply([create(n) for n in range(2000)])
    async with SQLiteAdapter.open(path, dimensions=3) as storage:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(size // 2)
            file.write(b"\xff" * (size - size // 2))
        with pytest.raises(DatabaseUnavailable, match="malformed.*damaged; restore a backup"):
            await storage.scoped("scout").memory.list_items(limit=10_000)


# lost within a transaction


async def test_a_connection_that_the_server_ends_within_a_transaction_leaves_nothing(
    own_postgres: PostgresServer, own_name: str
) -> None:
    async with (
        PgAdapter.open(own_postgres.user_url(own_name), dimensions=3) as storage,
        RawPostgres.open(own_postgres.url(own_name)) as raw,
    ):
        await storage.apply([create(1)], position=at(1))
        before = await raw.everything()
        await raw.query(
            "CREATE FUNCTION refuse_memory_items() RETURNS trigger LANGUAGE plpgsql "
            "SECURITY DEFINER AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); "
            "RETURN new; END $$"
        )
        await raw.query(
            "CREATE TRIGGER refuse_memory_items BEFORE INSERT ON memory_items FOR EACH ROW "
            "WHEN (new.id = 'i-9') EXECUTE FUNCTION refuse_memory_items()"
        )
        # The first of these had been written by then, in the same transaction.
        batch = [reinforce(1), create(2), reinforce(2), create(9)]
        with anyio.fail_after(10):
            with pytest.raises(DatabaseUnavailable, match="the connection is lost; try again"):
                await storage.apply(batch, position=at(5))
        assert await raw.everything() == before
        assert await storage.positions() == {0: at(1)}
        await raw.allow("memory_items")
        await storage.apply(batch, position=at(5))
        assert (await storage.stats()).memory_items == 3


async def test_a_connection_that_is_cut_within_a_transaction_leaves_nothing(
    own_postgres: PostgresServer, own_name: str
) -> None:
    url = own_postgres.user_url(own_name)
    async with RawPostgres.open(own_postgres.url(own_name)) as raw, cutting_proxy(url) as proxy:
        port = proxy.proxied.rpartition(":")[2]
        through = renamed(url.replace(f":{own_postgres.port}/", f":{port}/"), own_name)
        async with PgAdapter.open(through, dimensions=3) as storage:
            await storage.apply([create(1)], position=at(1))
            before = await raw.everything()
            await raw.query(
                "CREATE FUNCTION refuse_memory_items() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN new; END $$"
            )
            await raw.query(
                "CREATE TRIGGER refuse_memory_items BEFORE INSERT ON memory_items FOR EACH ROW "
                "WHEN (new.id = 'i-9') EXECUTE FUNCTION refuse_memory_items()"
            )
            await raw.query("SELECT pg_advisory_lock(42)")
            batch = [reinforce(1), create(2), reinforce(2), create(9)]
            waits = "SELECT count(*) FROM pg_locks WHERE objid = 42 AND NOT granted"

            async def cut() -> None:
                async def so() -> bool:
                    return await raw.query(waits) == [(1,)]

                await eventually(so)
                while proxy._live:
                    await proxy.cut()

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cut)
                    with pytest.raises(
                        DatabaseUnavailable, match="the connection is lost; try again"
                    ):
                        await storage.apply(batch, position=at(5))
                await raw.query("SELECT pg_advisory_unlock(42)")
                # Its server notices when it would answer, and undoes it.
                await storage.apply(batch, position=at(5))
            assert (await storage.stats()).memory_items == 3
            [first] = [row for row in (await raw.everything())["memory_items"] if row.id == "i-1"]
            [old] = before["memory_items"]
            assert first.reinforcement_count == old.reinforcement_count + 1, "once, not twice"
