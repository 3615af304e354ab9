"""SQLite files: of other versions, of other programs, damaged, locked, full; and half a write."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from storage import (
    CommandRefused,
    DatabaseUnavailable,
    NotSupported,
    SchemaMismatch,
    StorageConfig,
    open_storage,
)
from storage.migrations import known
from storage.sqlite import database
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.migrations import statements
from tests.storage.rows import everything, query
from tests.storage.test_apply import at, create, entries, reinforce

pytestmark = pytest.mark.anyio


def change(path: Path, sql: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(sql)
    connection.close()


async def opens(path: Path, dimensions: int = 768) -> None:
    async with SQLiteAdapter.open(path, dimensions=dimensions):
        pass


async def test_a_file_is_made_with_its_directory_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new ü" / "dir" / "memory.db"
    async with SQLiteAdapter.open(path) as storage:
        await storage.scoped("scout").memory.create_item(summary="x", memory_type="event")
    async with SQLiteAdapter.open(path) as storage:
        assert (await storage.stats()).memory_items == 1
    assert query(path, "SELECT version FROM schema_migrations") == [
        (m.version,) for m in known("storage.sqlite")
    ]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


async def test_many_open_a_new_file_at_once(path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(opens, path)
    assert len(query(path, "SELECT * FROM schema_migrations")) == len(known("storage.sqlite"))


async def test_a_schema_that_is_newer_is_refused(path: Path) -> None:
    await opens(path)
    change(path, "INSERT INTO schema_migrations (version, name, checksum) VALUES (99, 'x', 'y')")
    with pytest.raises(SchemaMismatch, match=r"has schema 99, this program knows \d+: update it"):
        await opens(path)


async def test_a_migration_of_another_text_is_refused(path: Path) -> None:
    await opens(path)
    change(path, "UPDATE schema_migrations SET checksum = 'other' WHERE version = 1")
    with pytest.raises(SchemaMismatch, match="schema 1 .* another text"):
        await opens(path)


async def test_a_database_of_another_program_is_refused_and_left_as_it_is(path: Path) -> None:
    # ArgentOS's own dashboard.db has a table of this name.
    change(path, "CREATE TABLE tasks (id TEXT PRIMARY KEY, title TEXT)")
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match="another program.*--sqlite"):
        await opens(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


async def test_what_is_no_sqlite_file_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"these are my notes\n" * 1000)
    before = path.read_bytes()
    with pytest.raises(DatabaseUnavailable, match=r"memory\.db: .*not a database: .*--sqlite"):
        await opens(path)
    assert path.read_bytes() == before


async def test_a_damaged_file_is_said_to_be_damaged(path: Path) -> None:
    async with SQLiteAdapter.open(path) as storage:
        await storage.apply([create(n) for n in range(500)])
    content = bytearray(path.read_bytes())
    content[4096 : len(content)] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(DatabaseUnavailable, match=r"malformed.*(damaged|recover)"):
        await opens(path)


@pytest.mark.parametrize("where", ["file/memory.db", "file/sub/memory.db", ".", "gone/../file/x"])
async def test_a_path_that_cannot_be_is_refused_with_a_remedy(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("a regular file")
    with pytest.raises(DatabaseUnavailable, match="memory.db|directory|file"):
        await opens(tmp_path / where)


async def test_a_backend_that_cannot_be_opened_is_never_replaced_by_another(path: Path) -> None:
    config = StorageConfig(backend="dual", sqlite_path=path)
    with pytest.raises(NotSupported, match="dual"):
        async with open_storage(config):
            pass
    assert not path.exists()


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The write lock is held by another process."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD,
            str(path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
    finally:
        holder.communicate()


async def test_a_lock_that_another_holds_is_waited_for_and_then_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY", 0.2)
    async with SQLiteAdapter.open(path, dimensions=3) as storage:
        with locked(path):
            with pytest.raises(DatabaseUnavailable, match=r"locked: another process .* 0\.2 s"):
                await storage.apply([create(1)], position=at(1))
            await opens(path, 3)
            assert await storage.scoped("scout").memory.list_items() == [], "reads go on"
        await storage.apply([create(1)], position=at(1))
        assert (await storage.stats()).memory_items == 1
    with locked(path):
        assert everything(path)["memory_items"]
    monkeypatch.setattr(database, "BUSY", 20.0)
    async with (
        SQLiteAdapter.open(path, dimensions=3) as storage,
        anyio.create_task_group() as tasks,
    ):
        with locked(path):
            tasks.start_soon(storage.apply, [create(2)])
            await anyio.sleep(0.2)  # it waits meanwhile
    assert len(everything(path)["memory_items"]) == 2


async def test_a_new_file_that_another_has_locked_is_not_half_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY", 0.2)
    with locked(path):
        with pytest.raises(DatabaseUnavailable, match="locked: another process"):
            await opens(path)
    assert query(path, "SELECT * FROM sqlite_master") == []
    await opens(path)


async def test_a_full_disk_is_said_to_be_full_and_nothing_is_half_written(path: Path) -> None:
    async with SQLiteAdapter.open(path, dimensions=3) as storage:
        await storage.apply([create(1)], position=at(1), entry_ids=entries(1))
        before = everything(path)
        writer = storage._database._writer  # type: ignore[attr-defined]
        [(pages,)] = await writer.execute_fetchall("PRAGMA page_count")
        await writer.execute_fetchall(f"PRAGMA max_page_count = {pages + 2}")
        large = [reinforce(1), *(create(n, f"{n}" * 2000) for n in range(2, 50))]
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable, match="full: make room"):
                await storage.apply(large, position=at(50))
            assert everything(path) == before
            assert await storage.positions() == {0: at(1)}
        await writer.execute_fetchall("PRAGMA max_page_count = 1000000")
        await storage.apply(large, position=at(50))
        assert (await storage.stats()).memory_items == 49


async def test_a_cancelled_transaction_leaves_nothing_and_the_next_one_works(
    sqlite: SQLiteAdapter, path: Path
) -> None:
    for n in range(30):
        with anyio.move_on_after(0.0005 * n):
            await sqlite.apply(
                [*(create(k) for k in range(n * 50, n * 50 + 50)), reinforce(n * 50)],
                position=at(n + 1),
            )
        rows, position = query(
            path,
            "SELECT count(*), (SELECT entry_id FROM positions) FROM memory_items WHERE id IN "
            "(SELECT 'i-' || value FROM json_each(?))",
            f"[{','.join(str(k) for k in range(n * 50, n * 50 + 50))}]",
        )[0]
        assert (rows, position) in {(50, f"1000-{n + 1}"), (0, position)}
        assert (position == f"1000-{n + 1}") == (rows == 50), "both or neither"
    assert await sqlite.apply([create(5000)], position=at(100)) is not None
    assert (await sqlite.positions())[0] == at(100)


async def test_a_cancelled_writer_does_not_hold_the_others_up(sqlite: SQLiteAdapter) -> None:
    async with anyio.create_task_group() as tasks:
        for n in range(20):
            tasks.start_soon(sqlite.apply, [create(n)])
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(5):
        await sqlite.apply([create(99)])
    assert await sqlite.scoped("scout").memory.get_item("i-99") is not None


async def test_readers_and_writers_do_not_wait_for_each_other(sqlite: SQLiteAdapter) -> None:
    async def read() -> None:
        for _ in range(20):
            items = await sqlite.scoped("scout").memory.list_items(limit=10_000)
            assert len(items) % 100 == 0, "only whole batches are seen"

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(read)
        for n in range(10):
            await sqlite.apply([create(k) for k in range(n * 100, n * 100 + 100)])
    assert (await sqlite.stats()).memory_items == 1000


async def test_readers_cannot_write(sqlite: SQLiteAdapter) -> None:
    with pytest.raises(DatabaseUnavailable, match="readonly"):
        await sqlite._database.fetch("DELETE FROM memory_items", scope="")


async def test_a_refusal_inside_a_batch_does_not_leave_a_transaction_open(
    sqlite: SQLiteAdapter, path: Path
) -> None:
    with pytest.raises(CommandRefused):
        await sqlite.apply([create(1), reinforce(99)])
    change(path, "INSERT INTO positions VALUES (9, 'e', '1-1', 1)")  # nobody holds the lock


async def test_the_index_of_words_stays_whole(sqlite: SQLiteAdapter, path: Path) -> None:
    await sqlite.apply([create(n) for n in range(50)])
    memory = sqlite.scoped("scout").memory
    for n in range(0, 50, 2):
        await memory.update_item(f"i-{n}", summary=f"changed {n}", lesson="l")
    for n in range(0, 50, 5):
        await memory.delete_item(f"i-{n}")
    change(path, "VACUUM")
    change(path, "INSERT INTO memory_items_fts (memory_items_fts) VALUES ('integrity-check')")
    assert [hit.item.id for hit in await memory.search("48")] == ["i-48"]


def test_a_script_is_split_where_statements_end() -> None:
    script = (
        "CREATE TABLE a (b);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n SELECT 1;\nEND;\n-- x\n"
    )
    assert [part.strip() for part in statements(script)][:2] == [
        "CREATE TABLE a (b);",
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n SELECT 1;\nEND;",
    ]
    versions = [migration.version for migration in known("storage.sqlite")]
    assert versions == list(range(1, len(versions) + 1))
