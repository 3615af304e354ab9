"""Vector search in SQLite: exact, and in step with whoever writes the file, however it is done."""

import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.model.values import pack_vector
from storage.sqlite import cache, nearest, vectors
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.cosine import Nearest, Target, unit_rows
from storage.where import EVERY, Where

pytestmark = pytest.mark.anyio

#: Small enough for a test to cross every border.
SMALL: tuple[tuple[Any, str, int], ...] = (
    (nearest, "FEW", 2),
    (nearest, "MOST", 9),
    (nearest, "CHUNK", 4),
    (cache, "CHUNK", 4),
)
SMALL += ((vectors, "BLOCK", 5), (vectors, "FIRST", 6))

#: Bytes of the room that `n` blocks of three dimensions take.
BLOCKS: Callable[[int], int] = lambda n: n * 5 * (12 + vectors.BESIDE)  # noqa: E731


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in SMALL:
            patch.setattr(module, name, value)
        yield


def packed(vector: Any) -> bytes:
    return np.asarray(vector, dtype="<f4").tobytes()


INSERT = (
    "INTO memory_items (id, agent_id, memory_type, summary, embedding, content_hash, visibility, "
    "created_at, updated_at) VALUES (?1, ?2, 'event', ?1, ?3, ?1, ?4, '2026', '2026')"
)


def insert(connection: sqlite3.Connection, n: int, vector: Any, visibility: str = "public") -> None:
    embedding = vector if vector is None else packed(vector)
    row = (f"i-{n}", f"a-{n % 3}", embedding, visibility)
    connection.execute(f"INSERT {INSERT}", row)


def brute(path: Path, agent: str, wanted: Any, limit: int, condition: str = "1 = 1") -> list[Any]:
    """Ids and similarities, by reading everything and sorting it."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT id, embedding FROM memory_items WHERE embedding IS NOT NULL AND "
            f"(?1 IN ('', agent_id) OR visibility IN ('public', 'family')) AND {condition}",
            (agent,),
        ).fetchall()
    target = np.asarray(wanted, dtype=np.float32).astype(np.float64)
    found = []
    for key, embedding in rows:
        if len(embedding) != 4 * len(target):
            continue
        vector = np.frombuffer(embedding, "<f4").astype(np.float64)
        lengths = float(np.sqrt(vector @ vector) * np.sqrt(target @ target))
        found.append((-float(vector @ target) / lengths if lengths else 0.0, key))
    return [(key, -negative) for negative, key in sorted(found)[:limit]]


async def ours(
    storage: SQLiteAdapter, agent: str, wanted: Any, limit: int, where: Where = EVERY
) -> list[Any]:
    """The same by the code under test, without the fusion above it."""
    search = storage._reads["recall"]._search  # type: ignore[attr-defined]
    found = await search._nearest.nearest(agent, wanted, where, limit)
    return list(found.items())


def same(one: list[Any], other: list[Any]) -> None:
    assert [key for key, _ in one] == [key for key, _ in other]
    assert [value for _, value in one] == pytest.approx([value for _, value in other], abs=1e-12)


def kept(storage: SQLiteAdapter) -> Any:
    """What is kept in memory of the items."""
    search = storage._reads["recall"]._search  # type: ignore[attr-defined]
    return search._nearest._cache._vectors


def fill(path: Path, count: int) -> np.ndarray:
    random = np.random.default_rng(5)
    made = random.normal(size=(count, 3))
    with closing(sqlite3.connect(path)) as connection, connection:
        for n, vector in enumerate(made):
            insert(connection, n, vector, "private" if n % 4 == 0 else "public")
    return made


async def test_the_nearest_are_found_for_whom_may_see_them(
    sqlite: SQLiteAdapter, path: Path
) -> None:
    made = fill(path, 60)
    for agent in ("a-0", "a-1", "nobody", ""):
        for limit in (1, 7, 50, 100):
            for wanted in (made[7], -made[11], [1, 0, 0]):
                same(await ours(sqlite, agent, wanted, limit), brute(path, agent, wanted, limit))
    assert len(kept(sqlite)) == 60, "by rank, from memory"
    where = Where("memory_items.agent_id = $2", ("a-2",))
    same(
        await ours(sqlite, "a-1", made[0], 100, where),
        brute(path, "a-1", made[0], 100, "agent_id = 'a-2'"),
    )


async def test_equally_near_ones_come_by_their_ids(sqlite: SQLiteAdapter, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for n in range(40):
            insert(connection, 39 - n, [(1, 1, 0), (2, 2, 0), (0, 0, 1)][n % 3])
    for wanted in ([1, 0.5, 0], [0, 0, 3], [0, 0, 0]):
        for limit in (3, 10, 30):
            found = await ours(sqlite, "x", wanted, limit)
            assert found == sorted(found, key=lambda pair: (-pair[1], pair[0]))
            same(found, brute(path, "x", wanted, limit))
    assert len(kept(sqlite)) == 40


async def test_numbers_of_any_size_are_compared(sqlite: SQLiteAdapter, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for n, size in enumerate((1e-44, 1e-30, 1e-5, 1, 1e9, 1e30, 3e38)):
            insert(connection, n, [size, size / 2, 0])
        insert(connection, 7, [0, 0, 0])
        insert(connection, 8, [1, 0])
        insert(connection, 9, [float("nan"), 1, 0])
        insert(connection, 10, [float("inf"), 1, 0])
        insert(connection, 11, None)
        insert(connection, 12, [-1, -2, 0.5])
        connection.execute("UPDATE memory_items SET embedding = 'no vector' WHERE id = 'i-11'")
    for wanted in ([1, 0, 0], [3e38, 1e38, 1e38], [1e-30, 0, 0]):
        found = await ours(sqlite, "x", wanted, 20)
        assert {key for key, _ in found[:7]} == {f"i-{n}" for n in range(7)}
        assert [key for key, _ in found[7:]] == ["i-7", "i-12"]
        assert await ours(sqlite, "x", wanted, 3) == found[:3]


ELSEWHERE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    connection.execute("BEGIN")
    for statement in line.split(";"):
        connection.execute(statement)
    connection.execute("COMMIT" if "NEVER" not in line else "ROLLBACK")
    print("done", flush=True)
"""


class Elsewhere:
    """Another process, which has plain sqlite3 and nothing of ours."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, statements: str) -> None:
        """Carry them out in one transaction."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(statements + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def close(self) -> None:
        self._process.communicate()


def blob(vector: Any) -> str:
    return f"x'{packed(vector).hex()}'"


def inserted(key: str, vector: Any) -> str:
    values = f"'{key}', 'a-1', 'event', 'x', {blob(vector)}, '{key}', 'private', '2026', '2026'"
    return f"INSERT {INSERT[: INSERT.index('VALUES')]} VALUES ({values})"


async def test_what_another_process_writes_is_seen_by_the_next_search(
    sqlite: SQLiteAdapter, path: Path
) -> None:
    fill(path, 30)
    wanted = [100.0, 1, 1]
    [(before, _)] = await ours(sqlite, "a-1", wanted, 1)
    read = kept(sqlite)
    with closing(Elsewhere(path)) as elsewhere:
        for statements, nearest_now in (
            (inserted("x", wanted), "x"),
            ("UPDATE memory_items SET agent_id = 'a-2' WHERE id = 'x'", before),
            ("UPDATE memory_items SET visibility = 'family' WHERE id = 'x'", "x"),
            (f"UPDATE memory_items SET embedding = {blob([-1, 0, 0])} WHERE id = 'x'", before),
            (f"UPDATE memory_items SET embedding = {blob(wanted)} WHERE id = 'i-5'", "i-5"),
            ("DELETE FROM memory_items WHERE id = 'i-5'", before),
            # Rolled back; then another row has the number of the one that never was.
            (inserted("NEVER", wanted), before),
            (inserted("y", [-1, 0, 0]), before),
            (f"UPDATE memory_items SET embedding = {blob(wanted)} WHERE id = 'y'", "y"),
            ("UPDATE memory_items SET rowid = 1000 WHERE id = 'y'", "y"),
            (f"{inserted('z', wanted)}; DELETE FROM memory_items WHERE id = 'y'", "z"),
            ("UPDATE memory_items SET embedding = NULL WHERE id = 'z'", before),
        ):
            elsewhere(statements)
            found = await ours(sqlite, "a-1", wanted, 1)
            same(found, brute(path, "a-1", wanted, 1))
            assert [key for key, _ in found] == [nearest_now], statements
    assert kept(sqlite) is read, "only what had changed was read"
    assert len(read) == 30


def _change(connection: sqlite3.Connection, draw: Callable[..., Any], n: int) -> None:
    """Something that a program may do to the table."""
    vector = draw(st.sampled_from([None, (1, 0), (0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 0.001, 0)]))
    embedding = None if vector is None else packed(vector)
    some = f"i-{draw(st.integers(0, n))}"
    visibility = draw(st.sampled_from(["private", "public"]))
    agent = f"a-{draw(st.integers(0, 2))}"
    what = draw(st.integers(0, 9))
    if what <= 2:
        connection.execute(f"INSERT OR IGNORE {INSERT}", (f"i-{n}", agent, embedding, visibility))
    elif what == 3:
        connection.execute(f"INSERT OR REPLACE {INSERT}", (some, agent, embedding, visibility))
    elif what == 4:
        connection.execute("DELETE FROM memory_items WHERE id = ?", (some,))
    elif what == 5:
        connection.execute("UPDATE memory_items SET embedding = ? WHERE id = ?", (embedding, some))
    elif what == 6:
        connection.execute(
            "UPDATE memory_items SET visibility = ?, agent_id = ? WHERE id = ?",
            (visibility, agent, some),
        )
    elif what == 7:
        name = draw(st.sampled_from(["rowid", "seq", "oid"]))
        number = draw(st.integers(1, 12))
        connection.execute(
            f"UPDATE OR REPLACE memory_items SET {name} = ? WHERE id = ?", (number, some)
        )
    elif what == 8:
        connection.execute("DELETE FROM memory_items WHERE agent_id = ?", (agent,))
    elif draw(st.booleans()):
        connection.execute("DELETE FROM memory_items_changes")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of ours with nothing in it."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"

    async def make() -> None:
        async with SQLiteAdapter.open(path, dimensions=3):
            pass

    anyio.run(make)
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_after_any_history_the_same_is_found_as_by_brute_force(
    data: st.DataObject, empty: bytes
) -> None:
    async def history(path: Path) -> None:
        room = BLOCKS(data.draw(st.sampled_from([0, 1, 2, 100])))
        async with SQLiteAdapter.open(path, dimensions=3, vector_cache=room) as storage:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                # Full-text tables do not go together with REPLACE, in any file.
                connection.execute("DROP TRIGGER memory_items_deleted")
                connection.execute("DROP TRIGGER memory_items_inserted")
                n = 0
                for _ in range(data.draw(st.integers(1, 8))):
                    connection.execute("BEGIN IMMEDIATE")
                    for _ in range(data.draw(st.integers(0, 6))):
                        n += 1
                        _change(connection, data.draw, n)
                    connection.execute(data.draw(st.sampled_from(["COMMIT", "COMMIT", "ROLLBACK"])))
                    wanted = data.draw(st.sampled_from([(1, 0, 0), (0, 1, 0.5), (0, 0, 0)]))
                    agent = data.draw(st.sampled_from(["a-0", "a-1", ""]))
                    limit = data.draw(st.integers(1, 12))
                    found = await ours(storage, agent, wanted, limit)
                    same(found, brute(path, agent, wanted, limit))
            assert storage._database.vector_room.taken <= room  # type: ignore[attr-defined]

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "memory.db"
        path.write_bytes(empty)
        anyio.run(history, path)


def meeting(met: list[bool]) -> Callable[[Any], Any]:
    """Makes functions note, for each call, whether another one was under way."""
    inside = threading.Lock()

    def alone(method: Any) -> Any:
        def call(*args: Any) -> Any:
            free = inside.acquire(blocking=False)
            met.append(not free)
            time.sleep(0.001)  # long enough for another one to come in between
            try:
                return method(*args)
            finally:
                if free:
                    inside.release()

        return call

    return alone


async def test_no_search_mixes_two_states_of_the_file(
    sqlite: SQLiteAdapter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[bool] = []
    alone = meeting(met)
    for name in ("put", "ranked"):
        monkeypatch.setattr(vectors.Vectors, name, alone(getattr(vectors.Vectors, name)))
    fill(path, 40)
    wanted = [100.0, 1, 1]
    near, far = packed(wanted), packed([-100.0, 1, 1])
    stop = anyio.Event()

    def swap(turn: int) -> None:
        # The one that is near is deleted, the other gets its vector, and a third one its number.
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM memory_items WHERE id LIKE 's-%'")
            for key, embedding in sorted({f"s-{turn}": near, f"s-{turn}-far": far}.items()):
                row = (key, "a-1", embedding, "public")
                connection.execute(f"INSERT {INSERT}", row)
            connection.execute("COMMIT")

    async def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            await anyio.to_thread.run_sync(swap, turn)

    async def read() -> None:
        for _ in range(60):
            [(key, similarity)] = await ours(sqlite, "a-0", wanted, 1)
            assert similarity == pytest.approx(1), key
            assert not key.endswith("far")

    swap(0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        async with anyio.create_task_group() as readers:
            for _ in range(3):
                readers.start_soon(read)
        stop.set()
    assert not any(met), "nobody changes what another compares with"
    assert not any(met), "nobody changes what another compares with"


async def test_what_has_no_room_is_read_from_the_file_and_found_all_the_same(path: Path) -> None:
    async with SQLiteAdapter.open(path, dimensions=3, vector_cache=BLOCKS(4)) as storage:
        room = storage._database.vector_room  # type: ignore[attr-defined]
        made = fill(path, 20)
        same(await ours(storage, "", made[3], 5), brute(path, "", made[3], 5))
        assert (len(kept(storage)), room.taken) == (20, BLOCKS(4))
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            insert(connection, 20, made[3])
            same(await ours(storage, "", made[3], 5), brute(path, "", made[3], 5))
            assert (kept(storage), room.taken) == (None, 0), "one too many"
            connection.execute("DELETE FROM memory_items WHERE id IN ('i-20', 'i-19', 'i-18')")
            same(await ours(storage, "", made[3], 5), brute(path, "", made[3], 5))
            assert kept(storage) is None, "not tried again at each search"
            connection.execute("UPDATE memory_items SET embedding = embedding")
            same(await ours(storage, "", made[3], 5), brute(path, "", made[3], 5))
            assert (len(kept(storage)), room.taken) == (18, BLOCKS(4))


async def test_one_bound_is_for_all_tables(path: Path) -> None:
    async with SQLiteAdapter.open(path, dimensions=3, vector_cache=BLOCKS(4)) as storage:
        made = fill(path, 18)
        agent = storage.scoped("a")
        for n, vector in enumerate(made):
            await agent.knowledge.publish(
                category="fact", title=f"t {n}", content="c", embedding=vector.tolist()
            )
        for _ in range(2):
            same(await ours(storage, "", made[3], 5), brute(path, "", made[3], 5))
            found = await agent.knowledge.search_shared("", embedding=made[3].tolist(), limit=1)
            assert [hit.knowledge.title for hit in found] == ["t 3"]
            assert storage._database.vector_room.taken == BLOCKS(4)  # type: ignore[attr-defined]


async def test_a_table_that_has_changed_too_much_is_read_anew(
    sqlite: SQLiteAdapter, path: Path
) -> None:
    made = fill(path, 20)
    await ours(sqlite, "", made[3], 5)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE memory_items SET embedding = ? WHERE id = 'i-9'", (packed([9, 9, 9]),)
        )
        connection.execute(
            "WITH RECURSIVE n AS (SELECT 1 AS v UNION ALL SELECT v + 1 FROM n WHERE v < 50001) "
            "INSERT INTO memory_items_changes (seq) SELECT 3 FROM n"
        )
        [(left,)] = connection.execute("SELECT count(*) FROM memory_items_changes").fetchall()
    assert left == 50_000
    same(await ours(sqlite, "", [1, 1, 1], 5), brute(path, "", [1, 1, 1], 5))


async def test_a_file_that_was_put_back_is_read_anew(sqlite: SQLiteAdapter, path: Path) -> None:
    made = fill(path, 20)
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as live,
        closing(sqlite3.connect(path.with_name("backup.db"), isolation_level=None)) as backup,
    ):
        live.backup(backup)
        live.execute("UPDATE memory_items SET embedding = ? WHERE id = 'i-9'", (packed([9, 9, 9]),))
        await ours(sqlite, "", [1, 1, 1], 5)
        backup.backup(live)
        same(await ours(sqlite, "", [1, 1, 1], 5), brute(path, "", [1, 1, 1], 5))
        # As many changes as had been made before, but others.
        live.execute("UPDATE memory_items SET embedding = ? WHERE id = 'i-9'", (packed([9, 9, 9]),))
        await ours(sqlite, "", [1, 1, 1], 5)
        backup.backup(live)
        live.execute("UPDATE memory_items SET embedding = ? WHERE id = 'i-8'", (packed([9, 9, 9]),))
        same(await ours(sqlite, "", [1, 1, 1], 5), brute(path, "", [1, 1, 1], 5))
    assert made.shape == (20, 3)


async def test_a_search_that_is_cancelled_leaves_the_next_one_whole(
    sqlite: SQLiteAdapter, path: Path
) -> None:
    made = fill(path, 60)
    for n in range(40):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            insert(connection, 100 + n, made[n] * 2)
        with anyio.move_on_after(0.0004 * (n % 20)):
            await ours(sqlite, "", made[3], 5)
        if n % 5 == 0:
            with anyio.fail_after(5):
                same(await ours(sqlite, "", made[n], 9), brute(path, "", made[n], 9))


async def test_vectors_are_compared_in_other_threads(
    sqlite: SQLiteAdapter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()

    def noted(method: Any) -> Any:
        def call(*args: Any) -> Any:
            threads.add(threading.get_ident())
            return method(*args)

        return call

    for kind, name in ((vectors.Vectors, "put"), (vectors.Vectors, "ranked"), (Nearest, "offer")):
        monkeypatch.setattr(kind, name, noted(getattr(kind, name)))
    made = fill(path, 40)
    await ours(sqlite, "", made[3], 5)
    assert threads
    assert threading.get_ident() not in threads


_numbers = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False) | st.just(0.0)


@given(
    rows=st.lists(st.lists(_numbers, min_size=4, max_size=4), max_size=30),
    wanted=st.lists(_numbers, min_size=4, max_size=4),
    limit=st.integers(1, 10),
)
def test_by_parts_the_same_are_nearest_as_all_at_once(
    rows: list[list[float]], wanted: list[float], limit: int
) -> None:
    named = [(f"{n:02}", packed(row)) for n, row in enumerate(rows)]
    target = Target(wanted)
    all_at_once, by_parts = Nearest(target, limit), Nearest(target, limit)
    all_at_once.offer(named)
    for start in range(0, len(named), 3):
        by_parts.offer(named[start : start + 3])
    exact = target.exact(np.array(rows, dtype="<f4").reshape(-1, 4)).tolist()
    best = sorted(zip((-value for value in exact), (key for key, _ in named), strict=True))
    expected = {key: -value for value, key in best[:limit]}
    assert list(all_at_once.found().items()) == list(expected.items())
    assert list(by_parts.found().items()) == list(expected.items())
    units = unit_rows(np.array(rows, dtype="<f4").reshape(-1, 4))
    assert np.abs(units @ target.unit - np.array(exact)).max(initial=0) <= target.slack


def test_vectors_of_another_length_are_passed_over() -> None:
    good, short = pack_vector("v", [1, 0, 0], 3), pack_vector("v", [1, 0], 2)
    best = Nearest(Target([1, 0, 0]), 5)
    best.offer([("short", short), ("good", good)])
    assert best.found() == {"good": 1.0}
    best = Nearest(Target([1, 0, 0]), 5)
    best.offer([])
    assert best.found() == {}
