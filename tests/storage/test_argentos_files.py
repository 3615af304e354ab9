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

from storage import DatabaseUnavailable, InvalidValue, SchemaMismatch, Task
from storage.adapter import DatabaseAdapter
from storage.migration import argentos
from storage.migration.argentos import Internal, SourceFile, place_of, rows_for
from storage.migration.argentos.places import KINDS
from storage.migration.argentos.rows import agent_of
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
GIVEN = {"agent_id", "visibility", "claim_id", "claim_expires_at"}


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


# what these files have not, and others may


def test_times_of_sqlites_own_form_and_values_that_are_missing() -> None:
    row: dict[str, Any] = {
        "id": "x", "trigger_type": "manual", "content": "x", "lessons_extracted": None,
        "entities_involved": "", "self_insights": "[]", "created_at": "2026-01-02 03:04:05",
        "period_end": "2026-01-02T03:04:05+02:00",
    }  # fmt: skip
    [reflection] = read("reflections", row)
    assert reflection.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert reflection.period_end == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert reflection.lessons_extracted == reflection.entities_involved == []


def read(table: str, row: dict[str, Any], key: tuple[str, ...] = ("id",)) -> list[Any]:
    return rows_for(table, row, key, agent="main", source="argentos memory.db", at=AT, dimensions=3)


TASK = {"id": "t", "title": "x", "created_at": 0, "updated_at": 1795425251894}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"status": "done"}, "tasks.status: of row t: is 'done', and must be pending"),
        ({"created_at": None}, "tasks.created_at: of row t: is missing"),
        ({"created_at": "yesterday"}, "tasks.created_at: of row t: is 'yesterday', and must be a"),
        ({"created_at": 1e300}, "tasks.created_at: of row t: is 1e.300, and must be a time"),
        ({"created_at": float("nan")}, "tasks.created_at: of row t: is nan, and must be a time"),
        ({"created_at": b"\xff"}, "tasks.created_at: of row t: is b"),
        ({"tags": "{"}, "tasks.tags: of row t: is '{', and must be JSON"),
        ({"tags": '"x"'}, "tasks.tags: of row t: is a str, and must be a list"),
        ({"tags": "[" * 100_000}, "tasks.tags: of row t: is .*, and must be JSON"),
        ({"metadata": "[1]"}, "tasks.metadata: of row t: is a list, and must be an object"),
        ({"metadata": '{"a": NaN}'}, "tasks.metadata: of row t: has a NaN"),
        ({"title": "a\udcffb"}, "tasks.title: of row t: has half of a surrogate pair"),
        ({"title": b"x"}, "tasks.title: of row t: is a bytes"),
        ({"title": 5}, "tasks.title: of row t: is a int"),
        ({"title": ""}, "tasks.title: of row t: has 0 characters"),
    ],
)
def test_what_does_not_fit_is_named_with_its_table_its_column_and_its_row(
    change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidValue, match=f"^{problem}"):
        read("tasks", TASK | change)


def test_a_vector_of_another_dimension_is_refused() -> None:
    row = {"id": "x", "memory_type": "event", "summary": "x", "embedding": b"\0" * 8}
    times = {"created_at": 0, "updated_at": 0}
    with pytest.raises(InvalidValue, match="^memory_items.embedding: of row x: has 2 dimensions"):
        read("memory_items", row | times)
    with pytest.raises(InvalidValue, match="^model_feedback.success: of row x: is 2"):
        read("model_feedback", {"id": "x", "success": 2})


def test_what_has_no_table_or_no_column_here_is_kept_as_json() -> None:
    [task, kept] = read("tasks", TASK | {"colour": "red", "shape": None})
    assert isinstance(task, Task)
    assert task.updated_at == datetime(2026, 11, 23, 9, 14, 11, 894_000, tzinfo=UTC)
    assert (kept.agent_id, kept.source_table, kept.source_key) == ("main", "tasks", "t")
    assert kept.content == {"colour": "red", "shape": None}
    assert len(read("tasks", TASK | {"shape": None})) == 1, "there is nothing to keep"
    row = {"a": 1, "b": "x", "raw": b"\0\xff", "far": float("inf"), "none": None}
    [skill] = read("personal_skill_candidates", row, ("a", "b"))
    assert skill.source_key == '[1, "x"]'
    assert skill.content == {
        "a": 1, "b": "x", "raw": {"base64": "AP8="}, "far": "inf", "none": None,
    }  # fmt: skip
    [again] = read("personal_skill_candidates", row | {"none": 5}, ("a", "b"))
    assert again.id == skill.id


def test_a_member_is_the_agent_whose_session_it_is() -> None:
    assert agent_of("agent:writer:7", "main") == "writer"
    for key in ("7", "agent:", "agent::7", "user:writer:7"):
        assert agent_of(key, "main") == "main"
    row = {"team_id": "x", "session_key": "agent:writer:7", "joined_at": 0}
    [member] = read("team_members", row, ("team_id", "session_key"))
    assert member.agent_id == "writer"


def make(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


def test_a_file_of_another_program_or_of_none_is_refused_with_what_to_do(tmp_path: Path) -> None:
    cases = [
        (tmp_path / "gone.db", DatabaseUnavailable, "gone.db: unable to open"),
        (make(tmp_path / "a.db", "CREATE TABLE notes (x)"), SchemaMismatch, "has notes.*memory.db"),
        (make(tmp_path / "b.db"), SchemaMismatch, "no tables"),
    ]
    (tmp_path / "c.db").write_bytes(b"these are my notes\n" * 1000)
    cases.append((tmp_path / "c.db", DatabaseUnavailable, "not a database"))
    for path, kind, problem in cases:
        with pytest.raises(kind, match=problem):
            with SourceFile.open(path):
                pass


def test_what_other_versions_of_a_file_have_is_read_too(tmp_path: Path) -> None:
    path = make(
        tmp_path / "memory.db",
        "CREATE TABLE memu_meta (key TEXT PRIMARY KEY, value TEXT)",
        "INSERT INTO memu_meta VALUES ('schema_version', 'none')",
        "CREATE TABLE memory_items (id TEXT PRIMARY KEY, summary TEXT)",
        "INSERT INTO memory_items VALUES ('x', CAST(x'61ff62' AS TEXT))",
        'CREATE TABLE loose (a, "odd ""name" INTEGER)',
        "INSERT INTO loose VALUES (1, 2), (1, 2)",
        "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT)",
        # As sqlite-vec leaves them, which this sqlite3 has not.
        "PRAGMA writable_schema = on",
        "INSERT INTO sqlite_master VALUES ('table', 'vec_items', 'vec_items', 0, "
        "'CREATE VIRTUAL TABLE vec_items USING vec0(embedding float[768])')",
        "CREATE TABLE vec_items_chunks (chunk_id INTEGER PRIMARY KEY)",
    )
    with SourceFile.open(path) as file:
        assert file.version is None
        assert file.internal == {
            "sqlite_sequence": "SQLite's own",
            "vec_items": "a vector index, made of the rows that it is for",
            "vec_items_chunks": "a vector index, made of the rows that it is for",
        }
        assert file.keys["loose"] == ("rowid",)
        kept = [row for rows in rows_of(file, "loose") for row in rows]
        assert [row.source_key for row in kept] == ["1", "2"]  # type: ignore[attr-defined]
        with pytest.raises(InvalidValue, match="^memory_items.(memory_type|summary)"):
            list(rows_of(file, "memory_items"))
