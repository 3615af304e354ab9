"""PostgreSQL finds rows by the intended indexes, under row-level security as well."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg
import pytest

from storage import queries
from tests.postgres import PostgresServer, execute

pytestmark = pytest.mark.anyio

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
PAGE = (50, 0)


def statement(package: str, file: str, name: str, columns: str = "*") -> str:
    return queries.load(package, file)[name].replace("%s", columns)


#: Rows of 100 agents in each table; of the lessons, one in 50 is for everybody.
FILL = """
CREATE TEMP TABLE made AS SELECT n, TIMESTAMPTZ '2026-01-02Z' + n * INTERVAL '1 s' AS at
  FROM generate_series(1, 5000) AS n;
INSERT INTO lessons (id, agent_id, type, context, action, outcome, lesson, last_seen,
    related_tools, visibility, created_at, updated_at)
  SELECT n, n % 100, 'success', 'c', 'a', 'o', 'l', at, '["bash"]',
    CASE WHEN n % 50 = 7 THEN 'public' ELSE 'private' END, at, at FROM made;
INSERT INTO reflections (id, agent_id, trigger_type, content, created_at)
  SELECT n, n % 100, 'manual', 'x', at FROM made;
INSERT INTO live_candidates (id, agent_id, role, candidate_type, fact_text, fact_hash,
    source_ts, expires_at, created_at, updated_at)
  SELECT n, n % 100, 'user', 'x', n, n, at, at, at, at FROM made;
INSERT INTO model_feedback (id, agent_id, provider, model, tier, session_type, created_at)
  SELECT n, n % 100, 'p', 'm', 't', 's', at FROM made;
INSERT INTO sessions (id, agent_id, session_key, started_at, last_activity_at)
  SELECT n, n % 100, n, at, at FROM made;
INSERT INTO observations (id, session_id, agent_id, created_at)
  SELECT n, n, n % 100, at FROM made;
ANALYZE
"""


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with enough in it for the planner to have a choice."""
    with postgres_server.database(3) as name:
        anyio.run(execute, postgres_server.url(name), FILL)
        yield name


READS: list[tuple[str, str, tuple[Any, ...], tuple[str, ...]]] = [
    (
        *("lessons", statement("storage.memory", "lessons.sql", "list_lessons")),
        ("", 0.0, SINCE, UNTIL, *PAGE),
        ("lessons_agent_seen", "lessons_shared"),
    ),
    (
        *("lessons", statement("storage.postgres", "lessons.sql", "lessons_by_tool")),
        ("bash", *PAGE),
        ("lessons_agent_seen", "lessons_shared"),
    ),
    (
        *("reflections", statement("storage.memory", "reflections.sql", "list_reflections")),
        ("", SINCE, UNTIL, *PAGE),
        ("reflections_agent_created",),
    ),
    (
        *("live_candidates", statement("storage.memory", "candidates.sql", "find_candidate")),
        ("hash",),
        ("live_candidates_once",),
    ),
    (
        *("model_feedback", statement("storage.feedback", "feedback.sql", "statistics", "model")),
        (SINCE, UNTIL),
        ("model_feedback_agent_created",),
    ),
    (
        *("sessions", statement("storage.sessions", "sessions.sql", "list_sessions")),
        ("", "", SINCE, UNTIL, *PAGE),
        ("sessions_agent_activity",),
    ),
    (
        *("observations", statement("storage.sessions", "observations.sql", "list_observations")),
        ("", "", "", 0, SINCE, UNTIL, *PAGE),
        ("observations_agent",),
    ),
]


@pytest.mark.parametrize(("table", "sql", "args", "indexes"), READS)
async def test_a_read_uses_its_index(
    postgres_server: PostgresServer,
    filled: str,
    table: str,
    sql: str,
    args: tuple[Any, ...],
    indexes: tuple[str, ...],
) -> None:
    connection = await asyncpg.connect(postgres_server.user_url(filled))
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE argentbus_app")
            await connection.execute("SELECT set_config('app.agent_id', '7', true)")
            rows = await connection.fetch("EXPLAIN " + sql, "7", *args)
    finally:
        await connection.close()
    plan = "\n".join(row[0] for row in rows)
    for index in indexes:
        assert f" {index} " in plan, plan
    assert f"Seq Scan on {table}" not in plan, plan
