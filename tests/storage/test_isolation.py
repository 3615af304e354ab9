"""Who sees what: every table and every read, for the owner, a team-mate, a stranger, an operator.

By the interface on each backend; on PostgreSQL also by raw SQL under the app role, on connections
that have served another agent before, and through PgBouncer in transaction mode.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest

from storage import DatabaseUnavailable
from storage.adapter import DatabaseAdapter
from storage.parts import RESULTS
from storage.postgres.adapter import PgAdapter
from storage.postgres.catalog import APP_ROLE, OPERATOR_ROLE, SCHEMA_ROLE, SIDECAR_ROLE
from tests.pgbouncer import pgbouncer, through
from tests.postgres import PostgresServer
from tests.storage.backends import Raw, RawPostgres
from tests.storage.estates import (
    AGENTS,
    Read,
    Shown,
    candidates,
    categories,
    entities,
    feedback,
    imports,
    items,
    knowledge,
    lessons,
    people,
    recall,
    reflections,
    resources,
    secrets,
    sessions,
    tasks,
)
from tests.storage.test_apply import at, create

pytestmark = pytest.mark.anyio

ESTATES = (
    people,
    items,
    resources,
    categories,
    entities,
    recall,
    reflections,
    lessons,
    candidates,
    feedback,
    sessions,
    tasks,
    knowledge,
    secrets,
    imports,
)
READS: dict[tuple[str, str], Read] = {}
SQL: dict[str, Shown] = {}
for estate in ESTATES:
    READS |= estate.READS
    SQL |= estate.SQL


async def populate(storage: DatabaseAdapter, raw: Raw) -> None:
    for estate in ESTATES:
        await estate.fill(storage, raw)


async def check_reads(storage: DatabaseAdapter, agent: str) -> None:
    view = storage.scoped(agent) if agent else storage.operator()
    assert READS.keys() == RESULTS.keys(), "a read that no estate knows"
    for name, read in READS.items():
        assert {*await read.ids(view)} == read.expected[agent], (agent, name)


@pytest.mark.parametrize("agent", [*AGENTS, ""])
async def test_each_sees_what_it_may(storage: DatabaseAdapter, raw: Raw, agent: str) -> None:
    await populate(storage, raw)
    await check_reads(storage, agent)


async def test_a_team_counts_from_joining_to_leaving(storage: DatabaseAdapter, raw: Raw) -> None:
    await populate(storage, raw)
    item = storage.scoped("b").memory.get_item
    assert await item("team") is not None
    await raw.query("UPDATE team_members SET status = 'failed' WHERE agent_id = 'b'")
    assert await item("team") is not None, "still a member"
    await raw.query("DELETE FROM team_members WHERE team_id = 'ab' AND agent_id = 'b'")
    assert await item("team") is None
    assert await storage.scoped("d").memory.get_item("team") is None
    await raw.query("UPDATE teams SET status = 'completed' WHERE id = 'ad'")
    assert await storage.scoped("d").memory.get_item("team") is not None, "no longer disbanded"
    await raw.query("DELETE FROM team_members WHERE team_id = 'ad' AND agent_id = 'a'")
    assert await storage.scoped("d").memory.get_item("team") is None


# PostgreSQL itself

#: Tables that the app role may not read at all, or with nothing of agents in it.
UNSEEN = {"positions", "schema_migrations", "task_dependencies", "auth_credentials"}


@asynccontextmanager
async def populated(server: PostgresServer, name: str) -> AsyncIterator[RawPostgres]:
    """A database in which `a` has rows of every kind."""
    async with (
        PgAdapter.open(server.user_url(name), dimensions=3) as storage,
        RawPostgres.open(server.url(name)) as raw,
    ):
        await populate(storage, raw)
        yield raw


@asynccontextmanager
async def as_role(url: str, role: str, agent: str) -> AsyncIterator[Any]:
    """A transaction of whoever logs in, in a role and in an agent's scope."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {role}")
            await connection.execute(f"SELECT set_config('app.agent_id', '{agent}', true)")
            yield connection
    finally:
        await connection.close()


@pytest.fixture
def name(postgres_server: PostgresServer) -> Any:
    """A database of three dimensions."""
    with postgres_server.database(3) as name:
        yield name


async def test_raw_sql_under_the_app_role_shows_what_the_interface_does(
    postgres_server: PostgresServer, name: str
) -> None:
    url = postgres_server.user_url(name)
    async with populated(postgres_server, name) as raw:
        tables = await raw.query(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm') "
            "AND relnamespace = 'public'::regnamespace"
        )
        asked = {what.split()[0] for what in SQL} | UNSEEN
        assert {table for (table,) in tables} == asked, "a table that this test does not know"
        for agent in AGENTS:
            async with as_role(url, APP_ROLE, agent) as connection:
                for what, shown in SQL.items():
                    found = {row[0] for row in await connection.fetch(shown.sql)}
                    assert found == shown.expected[agent], (agent, what)
        async with as_role(url, APP_ROLE, "") as connection:  # no scope: nobody's own
            assert {row[0] for row in await connection.fetch("SELECT id FROM memory_items")} == {
                *("family", "public")
            }
            for what in ("tasks", "agents", "teams", "team_members"):
                assert await connection.fetch(SQL[what].sql) == []
        async with as_role(url, OPERATOR_ROLE, "") as connection:
            for what, shown in SQL.items():
                if shown.expected[""]:
                    assert len(await connection.fetch(shown.sql)) >= 2, what


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO positions VALUES (1, 'e', '1-1', 1)",
        "SELECT * FROM positions",
        "SELECT * FROM auth_credentials",
        "UPDATE memory_items SET summary = 'x'",
        "DELETE FROM tasks",
        "INSERT INTO team_members VALUES ('ab', 's', 'c', 'lead', NULL, 'active', now())",
        "ALTER TABLE memory_items DISABLE ROW LEVEL SECURITY",
        "DROP POLICY visible ON memory_items",
        "CREATE TABLE mine (x int)",
        f"SET LOCAL ROLE {SCHEMA_ROLE}",
    ],
)
async def test_the_app_role_changes_nothing(
    postgres_server: PostgresServer, name: str, sql: str
) -> None:
    async with populated(postgres_server, name):
        async with as_role(postgres_server.user_url(name), APP_ROLE, "c") as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(sql)


async def test_who_logs_in_has_no_rights_of_its_own(
    postgres_server: PostgresServer, name: str
) -> None:
    async with populated(postgres_server, name) as raw:
        connection = await asyncpg.connect(postgres_server.user_url(name))
        for table in {what.split()[0] for what in SQL}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {table}")
        await connection.close()
        roles = await raw.query(
            "SELECT rolname, rolsuper, rolbypassrls, rolcanlogin FROM pg_roles "
            "WHERE rolname LIKE 'argentbus%'"
        )
        assert {row[0]: row[1:] for row in roles} == {
            **dict.fromkeys(
                (APP_ROLE, OPERATOR_ROLE, SCHEMA_ROLE, SIDECAR_ROLE), (False, False, False)
            ),
            "argentbus": (False, False, True),
        }
        unforced = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> "
        unforced += "'schema_migrations' AND relnamespace = 'public'::regnamespace "
        unforced += "AND NOT (relrowsecurity AND relforcerowsecurity)"
        assert await raw.query(unforced) == []
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        assert await raw.query(owners) == [(SCHEMA_ROLE,)]


async def in_turns(storage: DatabaseAdapter) -> None:
    """Read for everybody, one after the other and all at once, on the same connections."""
    for agent in ("a", "c", "a", "b", "", "d", "c"):
        await check_reads(storage, agent)
    async with anyio.create_task_group() as tasks:
        for agent in (*AGENTS, "") * 5:
            tasks.start_soon(check_reads, storage, agent)


async def test_a_connection_that_served_one_shows_nothing_of_it_to_another(
    postgres_server: PostgresServer, name: str
) -> None:
    async with populated(postgres_server, name):
        async with PgAdapter.open(postgres_server.user_url(name), dimensions=3) as storage:
            await in_turns(storage)
            pool: Any = storage._database._pool  # type: ignore[attr-defined]
            async with pool.acquire() as connection:
                state = "SELECT current_user::text, current_setting('app.agent_id', true)"
                assert tuple(await connection.fetchrow(state)) == ("argentbus", "")


async def test_through_pgbouncer_in_transaction_mode_all_of_it_holds(
    postgres_server: PostgresServer, name: str, tmp_path: Path
) -> None:
    with pgbouncer(tmp_path / "pgbouncer", postgres_server) as port:
        url = through(postgres_server.user_url(name), port)
        async with populated(postgres_server, name):
            async with (
                PgAdapter.open(url, dimensions=3) as one,
                PgAdapter.open(url, dimensions=3) as other,
            ):
                async with anyio.create_task_group() as tasks:
                    for storage in (one, other):
                        tasks.start_soon(in_turns, storage)
                for n in range(20):
                    await one.scoped("c").memory.create_item(
                        summary=f"c {n}", memory_type="event", item_id=f"c-{n}"
                    )
                    assert await other.scoped("a").memory.get_item(f"c-{n}") is None
                batch = [create(n) for n in range(50)]
                await one.apply(batch, position=at(50))
                assert len(await other.scoped("scout").memory.list_items(limit=100)) == 52


async def test_a_name_that_is_sql_is_only_a_name(
    postgres_server: PostgresServer, name: str
) -> None:
    async with populated(postgres_server, name):
        async with PgAdapter.open(postgres_server.user_url(name), dimensions=3) as storage:
            for agent in ("a' OR 'x'='x", "\\'; RESET ROLE; --", "a\\", "'", "x', true); --"):
                memory = storage.scoped(agent).memory
                assert {item.id for item in await memory.list_items()} == {"family", "public"}
                item = await memory.create_item(summary="mine", memory_type="event")
                assert await memory.get_item(item.id) == item


async def test_without_the_right_to_write_the_error_says_what_to_do(
    postgres_server: PostgresServer, name: str
) -> None:
    async with populated(postgres_server, name) as raw:
        await raw.query("REVOKE INSERT ON memory_items FROM argentbus_sidecar")
        async with PgAdapter.open(postgres_server.user_url(name), dimensions=3) as storage:
            with pytest.raises(DatabaseUnavailable, match="setup postgres"):
                await storage.scoped("a").memory.create_item(summary="x", memory_type="event")
