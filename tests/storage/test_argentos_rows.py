"""Rows of ArgentOS files as others may have them: read, kept as JSON, or refused by name."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from storage import DatabaseUnavailable, InvalidValue, SchemaMismatch, Task
from storage.migration.argentos import SourceFile, rows_for
from storage.migration.argentos.rows import agent_of
from tests.storage.test_argentos_files import AT, rows_of


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
