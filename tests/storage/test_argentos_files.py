"""Files that ArgentOS wrote: every column has a place here, and every row fits."""

import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from storage.adapter import DatabaseAdapter
from storage.migration import argentos
from storage.migration.argentos import Internal, SourceFile, place_of, rows_for
from storage.migration.argentos.places import KINDS
from storage.model.imports import ImportedRow
from storage.model.values import content_hash
from storage.rows import Rows
from tests.storage.backends import TABLES, Raw
from tests.storage.places import Place

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = ("memory", "dashboard")
AT = datetime(2026, 11, 24, tzinfo=UTC)

#: What their columns are here, where it is not a table and a column of the same names.
RENAMED = {
    "memory_categories": "categories",
    "category_items": "item_categories",
    "live_memory_candidates": "live_candidates",
}
KEPT = {"memory_promotion_events", "personal_skill_candidates", "personal_skill_reviews"}

#: Columns of ours that their tables have not: given by who imports, or at their defaults.
GIVEN = {"agent_id", "visibility", "context", "claim_id", "claim_expires_at"}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files, unpacked: not to be changed."""
    directory = tmp_path_factory.mktemp("argentos")
    found = {name: directory / f"{name}.db" for name in NAMES}
    for name, path in found.items():
        path.write_bytes(gzip.decompress((FIXTURES / f"argentos-{name}.db.gz").read_bytes()))
    return found


def plainly(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def columns(path: Path) -> Iterator[tuple[str, str]]:
    """Every table and column of a file, by plain sqlite3, the indexes' own too."""
    for (table,) in plainly(path, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        for row in plainly(path, f"PRAGMA table_info({table})"):
            yield table, row[1]


def rows_of(file: SourceFile, table: str) -> Iterator[list[msgspec.Struct]]:
    for row in file.rows(table):
        yield rows_for(
            table, row, file.keys[table], agent="main", source="argentos memory.db", at=AT,
            dimensions=768,
        )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_column_of_theirs_has_a_place_or_a_reason(files: dict[str, Path], name: str) -> None:
    with SourceFile.open(files[name]) as file:
        assert (file.kind, file.version) == (f"{name}.db", 11 if name == "memory" else None)
        seen = Counter[str]()
        for table, column in columns(files[name]):
            place = place_of(table, column, file.internal)
            if "_fts" in table:
                assert place == Internal("a full-text index, made of the rows that it is for")
            elif table == "memu_meta":
                assert isinstance(place, Internal)
                assert "version" in place.reason
            elif table in KEPT:
                assert place == argentos.Place("imported_rows", "content")
            else:
                assert place == argentos.Place(RENAMED.get(table, table), column)
                assert column in TABLES[place.table].__struct_fields__
            seen[table] += 1
        assert seen.keys() == {*file.tables, *file.internal}
        assert seen.total() == {"memory": 208, "dashboard": 52}[name]


def test_every_column_of_ours_comes_from_theirs_or_is_given(files: dict[str, Path]) -> None:
    found: dict[str, set[str]] = {}
    for path in files.values():
        with SourceFile.open(path) as file:
            for table in file.tables:
                if table in KINDS:
                    found[KINDS[table].table] = {*file.tables[table]}
    assert found.keys() == {kind.table for kind in KINDS.values()}
    for table, theirs in found.items():
        assert {*TABLES[table].__struct_fields__} - theirs <= GIVEN, table


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_theirs_says_the_same_here(files: dict[str, Path], name: str) -> None:
    with SourceFile.open(files[name]) as file:
        for table in file.tables.keys() & KINDS.keys():
            raw = plainly(files[name], f"SELECT * FROM {table} ORDER BY 1, 2")
            theirs = [dict(zip(file.tables[table], row, strict=True)) for row in raw]
            ours = [row for rows in rows_of(file, table) for row in rows]
            assert len(ours) == len(theirs) > 0, table
            assert not any(isinstance(row, ImportedRow) for row in ours), "nothing was left over"
            for row, their in zip(ours, theirs, strict=True):
                for column, value in their.items():
                    check_same(f"{table}.{column}", getattr(row, column), value)


def check_same(column: str, ours: Any, theirs: Any) -> None:
    """See that a value says what theirs did, each kind read by other means than the code's."""
    match ours:
        case datetime() if isinstance(theirs, int):
            assert round(ours.timestamp() * 1000) == theirs, column
        case datetime():
            shown = ours.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
            assert shown == theirs, column
        case list() | dict():
            assert ours == ([] if isinstance(ours, list) else {}) or ours == json.loads(theirs)
            assert theirs is None or ours == json.loads(theirs), column
        case bool():
            assert int(ours) == theirs, column
        case _:
            assert (ours, type(ours)) == (theirs, type(theirs)), column


def test_their_vectors_are_little_endian_float32(files: dict[str, Path]) -> None:
    with SourceFile.open(files["memory"]) as file:
        rows: list[Any] = [row for rows in rows_of(file, "memory_items") for row in rows]
    vectors = [row.vector for row in rows if row.embedding]
    assert len(vectors) == 221
    norms = [sum(number * number for number in vector) for vector in vectors]
    assert all(0.99 < norm < 1.01 for norm in norms), "of length one, unless read the wrong way"
    assert all(row.content_hash == content_hash(row.summary) for row in rows)


@pytest.fixture
def wide(backend: str, path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A database of 768 dimensions."""
    if backend == "sqlite":
        yield Place(backend, path, None, "")
    else:
        server = request.getfixturevalue("postgres_server")
        with server.database(768) as name:
            yield Place(backend, path, server, name)


@pytest.mark.parametrize("name", NAMES)
async def test_all_rows_of_theirs_stand_in_both_databases(
    files: dict[str, Path], name: str, wide: Place
) -> None:
    with SourceFile.open(files[name]) as file:
        async with wide.open(768) as (storage, raw):
            wanted = {}
            for table, kind in KINDS.items():
                if table in file.tables:
                    rows = [row for found in rows_of(file, table) for row in found]
                    await insert(storage, kind.table, rows)
                    wanted[kind.table] = sorted(rows, key=repr)
            stored = await raw.everything()
            assert {table: rows for table, rows in stored.items() if table in wanted} == wanted
            await is_found(storage, raw, name)


async def insert(storage: DatabaseAdapter, table: str, structs: list[Any]) -> None:
    database = storage._database
    rows: Rows[Any] = Rows(TABLES[table], database.spelling, table)
    places = ", ".join(f"${n}" for n, _ in enumerate(rows.columns, 1))
    sql = f"INSERT INTO {table} ({', '.join(rows.columns)}) VALUES ({places})"
    async with database.transaction() as transaction:
        await transaction.execute_many(sql, [rows.to_row(struct) for struct in structs])


async def is_found(storage: DatabaseAdapter, raw: Raw, name: str) -> None:
    """What they knew is found by our searches."""
    if name == "memory":
        memory = storage.scoped("main").memory
        [item] = await memory.search("日本語 docs current", limit=1)
        assert "日本語" in item.item.summary
        embedded = next(
            row for row in (await raw.everything())["memory_items"] if row.embedding is not None
        )
        [near] = await memory.search("", embedding=embedded.vector, limit=1)
        assert near.item.id == embedded.id
    else:
        tasks = storage.operator().tasks
        assert len(await tasks.list_tasks(limit=1000)) == 120
        assert {task.status for task in await tasks.ready(limit=1000)} == {"pending"}
