"""Searches are served by the intended indexes: under row-level security in PostgreSQL, whose plans
are asked for as searches run, and in SQLite.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import anyio
import asyncpg
import pytest

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from storage.postgres import nearest
from storage.postgres.adapter import PgAdapter
from storage.postgres.database import PgDatabase
from tests.postgres import PostgresServer

pytestmark = pytest.mark.anyio

#: Half of each table is `big`'s, the rest that of 20 others; one row in 101 has a certain word.
FILL = """
CREATE TEMP TABLE made AS SELECT n, TIMESTAMPTZ '2026-01-02Z' + n * INTERVAL '1 s' AS at,
    CASE WHEN n % 2 = 0 THEN 'big' ELSE 'a-' || n / 2 % 20 END AS agent,
    'some word' || n * 7919 % 101 AS words,
    ('[' || sin(n) || ',' || cos(n * 1.1) || ',' || sin(n * 0.7 + 1) || ']')::vector AS v
  FROM generate_series(1, 8000) AS n;
INSERT INTO memory_items (id, agent_id, memory_type, summary, embedding, content_hash, extra,
    created_at, updated_at)
  SELECT n, agent, 'event', words, v, n, jsonb_build_object('n', n), at, at FROM made;
INSERT INTO lessons (id, agent_id, type, context, action, outcome, lesson, embedding, last_seen,
    created_at, updated_at)
  SELECT n, agent, 'success', words, 'a', 'o', 'l', v, at, at, at FROM made;
INSERT INTO knowledge_collections
  SELECT 'c-' || c, c, c, CASE WHEN c = 0 THEN 'big' ELSE 'a-' || c % 20 END, now(), now()
  FROM generate_series(0, 400) AS c;
INSERT INTO knowledge_chunks (id, collection_id, agent_id, source, content, content_hash, embedding,
    created_at, updated_at)
  SELECT n, 'c-' || CASE WHEN agent = 'big' THEN 0 ELSE 1 + n / 2 % 400 END, agent,
    's-' || n % 1000, words, n, v, at, at FROM made;
INSERT INTO shared_knowledge (id, source_agent_id, category, title, content, embedding, created_at,
    updated_at)
  SELECT n, agent, 'fact', words, 'c', v, at, at FROM made;
INSERT INTO tasks (id, agent_id, title, created_at, updated_at)
  SELECT n, agent, words, at, at FROM made;
INSERT INTO sessions (id, agent_id, session_key, started_at, last_activity_at)
  SELECT DISTINCT agent, agent, agent, now(), now() FROM made;
INSERT INTO observations (id, session_id, agent_id, summary, created_at)
  SELECT n, agent, agent, words, at FROM made;

"""
VECTOR = [0.5, 0.5, 0.1]


class Ran(NamedTuple):
    """A statement as it was run."""

    sql: str
    args: tuple[Any, ...]
    scope: str
    settings: dict[str, str]


async def fill(url: str) -> None:
    """Write all rows; the indexes of vectors are made afterwards, which is quicker."""
    connection = await asyncpg.connect(url)
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE indexdef LIKE '% hnsw %'"
    )
    for name, _ in indexes:
        await connection.execute(f"DROP INDEX {name}")
    await connection.execute(FILL)
    for _, definition in indexes:
        await connection.execute(definition)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with enough in it for the planner to have a choice."""
    with postgres_server.database(3) as name:
        anyio.run(fill, postgres_server.url(name))
        yield name


@pytest.fixture
async def storage(
    postgres_server: PostgresServer, filled: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DatabaseAdapter]:
    # Thousands of rows are many here.
    monkeypatch.setattr(nearest, "FEW", 1000)
    monkeypatch.setattr(nearest, "few", lambda _limit, _size: 0.0)
    async with PgAdapter.open(postgres_server.user_url(filled), dimensions=3) as storage:
        yield storage


@pytest.fixture
async def connection(postgres_server: PostgresServer, filled: str) -> AsyncIterator[Any]:
    """As the sidecar logs in."""
    connection = await asyncpg.connect(postgres_server.user_url(filled))
    yield connection
    await connection.close()


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Ran]:
    """What is run."""
    noted: list[Ran] = []
    fetch = PgDatabase.fetch

    async def noting(self: PgDatabase, sql: str, *args: Any, scope: str, **more: Any) -> Any:
        noted.append(Ran(sql, args, scope, dict(more.get("settings", {}))))
        return await fetch(self, sql, *args, scope=scope, **more)

    monkeypatch.setattr(PgDatabase, "fetch", noting)
    return noted


def literal(value: Any) -> str:
    if isinstance(value, bytes):
        return "'[0.5,0.5,0.1]'"
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    return str(value) if isinstance(value, int | float) else "'" + str(value) + "'"


async def plan(connection: Any, one: Ran, kind: str) -> str:
    """How a statement is carried out under its settings."""
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE argentbus_app")
        settings = {"app.agent_id": one.scope, **one.settings, "plan_cache_mode": kind}
        for name, value in settings.items():
            await connection.execute("SELECT set_config($1, $2, true)", name, value)
        await connection.execute(f"PREPARE asked AS {one.sql}")
        args = ", ".join(map(literal, one.args))
        rows = await connection.fetch(f"EXPLAIN EXECUTE asked ({args})")
        await connection.execute("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


def way(one: Ran) -> str:
    """Which of the ways to search a statement is."""
    for text, name in (("ts_rank", "words"), ("TABLESAMPLE", "sample"), ("<=>", "few")):
        if text in one.sql:
            return "many" if "WITH near" in one.sql else name
    return "rows"


Search = Callable[[Scoped], Awaitable[Any]]

SINCE = datetime(2026, 1, 2, 0, 1, tzinfo=UTC)

#: For each table: how it is searched, and whose rows are found by which index where they are few.
SEARCHES: dict[str, tuple[Search, str]] = {
    "memory_items": (
        lambda view: view.memory.search("word7", embedding=VECTOR),
        "memory_items_agent_created",
    ),
    "memory_items ": (
        lambda view: view.memory.search("word7", embedding=VECTOR, created_since=SINCE),
        "memory_items_agent_created",
    ),
    "lessons": (
        lambda view: view.memory.search_lessons("word7", embedding=VECTOR),
        "lessons_agent_seen",
    ),
    "knowledge_chunks": (
        lambda view: view.knowledge.search("word7", embedding=VECTOR),
        "knowledge_chunks_collection_id_source_content_hash_key",
    ),
    "shared_knowledge": (lambda view: view.knowledge.search_shared("word7", embedding=VECTOR), ""),
    "tasks": (lambda view: view.tasks.search_tasks("word7"), ""),
    "observations": (lambda view: view.sessions.search_observations("word7"), ""),
}


@pytest.mark.parametrize("kind", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("agent", ["big", "a-7"])
@pytest.mark.parametrize("title", SEARCHES)
async def test_the_intended_index_serves_each_search(
    storage: DatabaseAdapter, connection: Any, ran: list[Ran], title: str, agent: str, kind: str
) -> None:
    search, of_agent = SEARCHES[title]
    table = title.strip()
    assert await search(storage.scoped(agent))
    ways = {way(one): await plan(connection, one, kind) for one in ran}
    # Of the library, everybody sees all.
    vectors = "few" if agent == "a-7" and of_agent else "many"
    expected = {"words"} if table in {"tasks", "observations"} else {"words", "sample", vectors}
    assert set(ways) - {"rows"} == expected
    # Once to count the rows that have a word, once to weigh them.
    assert ways["words"].count(f"Bitmap Index Scan on {table}_words ") == 2, ways["words"]
    if "sample" in ways:
        assert f"Sample Scan on {table} " in ways["sample"]
    if "few" in ways:
        assert f" on {of_agent} " in ways["few"], ways["few"]
        assert f"Seq Scan on {table}" not in ways["few"], ways["few"]
    if "many" in ways:
        assert f"Index Scan using {table}_embedding " in ways["many"], ways["many"]


async def test_keys_of_extra_are_found_by_their_index(
    storage: DatabaseAdapter, connection: Any, ran: list[Ran]
) -> None:
    [hit] = await storage.scoped("big").memory.search_by_vector(VECTOR, extra={"n": 8})
    assert hit.item.id == "8"
    [few] = [one for one in ran if way(one) == "few"]
    for kind in ("force_custom_plan", "force_generic_plan"):
        assert " on memory_items_extra " in await plan(connection, few, kind)


async def test_what_the_index_has_not_enough_of_is_looked_for_among_all(
    storage: DatabaseAdapter, ran: list[Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "FEW", 0)
    hits = await storage.scoped("a-7").memory.search_by_vector(VECTOR, limit=1000)
    assert len(hits) == 200
    assert [way(one) for one in ran][:3] == ["sample", "many", "few"]
