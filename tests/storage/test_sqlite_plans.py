"""SQLite finds what an agent sees by indexes, and ranked rows by their numbers."""

import re
from pathlib import Path

import pytest

from storage import queries
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.nearest import SQLiteNearest
from storage.where import EVERY
from tests.storage.rows import query

pytestmark = pytest.mark.anyio

#: Tables that have vectors, what says which rows are seen, and by which indexes they are found.
TABLES = [
    ("memory_items", "shared", ("memory_items_agent_created", "memory_items_shared")),
    ("lessons", "shared", ("lessons_agent_seen", "lessons_shared")),
    ("knowledge_chunks", "readable", ("sqlite_autoindex_knowledge_chunks_2",)),
    # Everybody sees all of it.
    ("shared_knowledge", "everybody", ()),
]


@pytest.mark.parametrize(("table", "visible", "indexes"), TABLES)
async def test_a_vector_search_looks_at_no_row_that_it_need_not(
    sqlite: SQLiteAdapter, path: Path, table: str, visible: str, indexes: tuple[str, ...]
) -> None:
    sql = queries.load("storage.sqlite", "search.sql", this=table, visible=visible)
    search = SQLiteNearest(sqlite._database, sql)  # type: ignore[arg-type]

    def plan(statement: str) -> list[str]:
        asked = EVERY.placed(statement)[0].replace("$", "?")
        count = max(map(int, re.findall(r"\?(\d+)", asked)), default=0)
        rows = query(path, f"EXPLAIN QUERY PLAN {asked}", *["1"] * count)
        return [str(row[3]) for row in rows]

    for name in ("seen", "all"):
        steps = plan(search._of("an agent", name))
        assert all(any(f" {index} " in step for step in steps) for index in indexes), steps
        assert (f"SCAN {table}" in steps) == (not indexes), steps
    for name in ("some", "embeddings_of"):
        assert f"SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)" in plan(sql[name])
    [step] = plan(sql["since"])
    assert step == f"SEARCH {table}_changes USING INTEGER PRIMARY KEY (rowid>?)"
    words = plan(sql["keyword"].replace("%s", f"{table}.id"))
    assert words[0].startswith(f"SCAN {table}_fts VIRTUAL TABLE INDEX ")
    assert f"SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)" in words
