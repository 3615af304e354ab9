"""PostgreSQL: set up twice, of another version, not there, killed on the way."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio
import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argentbus.embedded import free_port
from storage import (
    ConfigurationError,
    DatabaseUnavailable,
    SchemaMismatch,
    StorageError,
)
from storage.migrations import known
from storage.model.tasks import MoveTask
from storage.postgres import migrations
from storage.postgres.adapter import PgAdapter
from storage.postgres.setup import setup
from storage.postgres.spelling import PgSpelling
from storage.postgres.turns import in_turns
from tests.postgres import PostgresServer, execute
from tests.storage.backends import RawPostgres
from tests.storage.test_apply import START, at, create, entries, reinforce

pytestmark = pytest.mark.anyio

VERSIONS = [one.version for one in known("storage.postgres")]


@pytest.fixture
def name(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of three dimensions."""
    with postgres_server.database(3) as name:
        yield name


@pytest.fixture
def own_name(own_postgres: PostgresServer) -> Iterator[str]:
    """A database of three dimensions on a server of the test's own."""
    with own_postgres.database(3) as name:
        yield name


async def opens(url: str) -> None:
    async with PgAdapter.open(url, dimensions=3):
        pass


async def test_setting_up_is_done_once_and_can_be_looked_at_before(
    postgres_server: PostgresServer,
) -> None:
    server, name = postgres_server, "set up ü'\""
    url = server.url("set%20up%20%C3%BC'%22", "new%20user")
    planned = await setup(server.url(), url, dry_run=True)
    assert any("make the database set up" in step.text for step in planned)
    assert not any(server.password in step.text for step in planned)
    async with RawPostgres.open(server.url()) as raw:
        assert await raw.query("SELECT 1 FROM pg_database WHERE datname = $1", name) == []
    assert [step.text for step in await setup(server.url(), url)] == [s.text for s in planned]
    try:
        assert await setup(server.url(), url) == []
        with pytest.raises(
            SchemaMismatch, match=f"lacks {VERSIONS[-1]} migrations .*0001.*migrate"
        ):
            await opens(url)
        admin = server.url("set%20up%20%C3%BC'%22")
        assert [one.applied_at for one in await migrations.status(admin)] == [
            None for _ in VERSIONS
        ]
        done = await migrations.run(admin, dimensions=3)
        assert [one.version for one in done] == VERSIONS
        assert await migrations.run(admin) == []
        assert all(one.applied_at for one in await migrations.status(admin))
        await opens(url)
    finally:
        await execute(server.url(), 'DROP DATABASE "set up ü\'""" WITH (FORCE)')
        async with RawPostgres.open(server.url()) as raw:
            await raw.query('DROP ROLE "new user"')


async def test_many_migrate_at_once(postgres_server: PostgresServer) -> None:
    admin, name = postgres_server.url(), "at_once"
    await setup(admin, postgres_server.user_url(name))
    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(migrations.run, postgres_server.url(name))
        async with RawPostgres.open(postgres_server.url(name)) as raw:
            assert await raw.query("SELECT count(*) FROM schema_migrations") == [(len(VERSIONS),)]
    finally:
        await execute(admin, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (99, 'x', 'y')",
            r"has schema 99, this program knows \d+: update it",
        ),
        (
            "UPDATE schema_migrations SET checksum = 'other' WHERE version = 1",
            "schema 1 .* another text",
        ),
        ("DROP TABLE schema_migrations", r"another program \(it has the tables agents, memory"),
        ("DELETE FROM schema_migrations WHERE version = 2", "lacks 1 migrations .*0002_agents"),
    ],
)
async def test_a_schema_of_another_version_is_refused(
    postgres_server: PostgresServer, name: str, change: str, problem: str
) -> None:
    await execute(postgres_server.url(name), change)
    with pytest.raises(SchemaMismatch, match=problem):
        await opens(postgres_server.user_url(name))


async def test_what_cannot_be_opened_says_why_and_what_to_do(
    postgres_server: PostgresServer, name: str
) -> None:
    server = postgres_server
    fine = server.user_url(name)
    wrong = fine.replace(server.password, "wrong-password")
    nowhere = fine.replace(f":{server.port}/", f":{free_port()}/")
    cases: list[tuple[str, type[StorageError], str]] = [
        (wrong, DatabaseUnavailable, "password authentication failed.*user and the password"),
        (nowhere, DatabaseUnavailable, "cannot be reached.*is it running"),
        (server.user_url("nowhere"), DatabaseUnavailable, "does not exist: make it with"),
        (server.user_url("postgres"), SchemaMismatch, f"lacks {len(VERSIONS)} migrations"),
    ]
    for url, kind, problem in cases:
        with pytest.raises(kind, match=problem) as caught:
            await opens(url)
        assert server.password not in str(caught.value)
        assert "wrong-password" not in str(caught.value)
    with pytest.raises(SchemaMismatch, match="keeps vectors of 3 dimensions, .* set up for 4"):
        async with PgAdapter.open(fine, dimensions=4):
            pass
    for url in ("postgresql://127.0.0.1/x", "postgresql://user@127.0.0.1"):
        with pytest.raises(ConfigurationError, match="has to name the user and the database"):
            await setup(server.url(), url)


async def test_a_server_that_is_killed_is_gone_and_then_back(
    own_postgres: PostgresServer, own_name: str
) -> None:
    async with PgAdapter.open(own_postgres.user_url(own_name), dimensions=3) as storage:
        await storage.apply([create(1)], position=at(1), entry_ids=entries(1))
        memory = storage.scoped("scout").memory
        assert len(await memory.list_items()) == 1
        own_postgres.kill()
        with anyio.fail_after(10):
            with pytest.raises(DatabaseUnavailable, match="cannot be reached|connection"):
                await storage.apply([reinforce(1)], position=at(2), entry_ids=entries(2))
            with pytest.raises(DatabaseUnavailable, match="cannot be reached|connection"):
                await memory.list_items()
        own_postgres.start()
        # Nothing has to be opened anew, and no connection of before the kill shows.
        assert len(await memory.list_items()) == 1
        await storage.apply([reinforce(1)], position=at(2), entry_ids=entries(2))
        assert (await storage.positions())[0] == at(2)
        await execute(
            own_postgres.url(),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'argentbus'",
        )
        assert [item.reinforcement_count for item in await memory.list_items()] == [2]


async def test_a_server_that_is_killed_within_a_batch_has_all_of_it_or_nothing(
    own_postgres: PostgresServer,
    own_name: str,
) -> None:
    async with PgAdapter.open(own_postgres.user_url(own_name), dimensions=3) as storage:
        for round_ in range(1, 4):
            batch = [create(round_ * 1000 + n) for n in range(300)]

            async def apply(batch: list[Any], n: int) -> None:
                with suppress(DatabaseUnavailable):  # it may or may not be there
                    await storage.apply(batch, position=at(n))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(apply, batch, round_)
                await anyio.sleep(0.01 * round_)  # somewhere on the way
                own_postgres.kill()
            own_postgres.start()
            position = (await storage.positions()).get(0)
            there = position is not None and position == at(round_)
            found = await storage.scoped("scout").memory.list_items(limit=10_000)
            rows = [item for item in found if item.id.startswith(f"i-{round_}")]
            assert len(rows) == (300 if there else 0)
            await storage.apply(batch, position=at(round_))
            assert (await storage.stats()).memory_items == 300 * round_


async def test_a_cancelled_transaction_leaves_nothing_and_its_connection_is_used_again(
    postgres_server: PostgresServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with PgAdapter.open(postgres_server.user_url(name), dimensions=3) as storage:
        for n in range(20):
            batch = [create(k) for k in range(n * 50, n * 50 + 50)]
            with anyio.move_on_after(0.001 * n):
                await storage.apply([*batch, reinforce(n * 50)], position=at(n + 1))
            found = await storage.scoped("scout").memory.list_items(limit=10_000)
            rows = sum(item.id in {f"i-{k}" for k in range(n * 50, n * 50 + 50)} for item in found)
            position = (await storage.positions()).get(0)
            assert rows in {0, 50}
            assert (position == at(n + 1)) == (rows == 50), "both or neither"
        with anyio.fail_after(5):
            await storage.apply([create(5000)], position=at(100))
    assert not caplog.records


async def test_two_that_write_a_partition_at_once_do_not_both(
    postgres_server: PostgresServer, name: str
) -> None:
    url = postgres_server.user_url(name)
    async with PgAdapter.open(url, dimensions=3) as one, PgAdapter.open(url, dimensions=3) as two:
        await one.apply([create(1)], position=at(1))
        for n in range(2, 12):
            async with anyio.create_task_group() as tasks:
                for storage in (one, two):
                    tasks.start_soon(
                        lambda s, n: s.apply([reinforce(1)], position=at(n)), storage, n
                    )
        [item] = await one.scoped("scout").memory.list_items()
        assert item.reinforcement_count == 11, "each entry once"


async def test_a_hundred_adds_of_one_fact_at_once_are_one_item_reinforced(
    postgres_server: PostgresServer, name: str
) -> None:
    url = postgres_server.user_url(name)
    async with PgAdapter.open(url, dimensions=3) as one, PgAdapter.open(url, dimensions=3) as two:
        async with anyio.create_task_group() as tasks:
            for n in range(100):
                storage = (one, two)[n % 2]
                tasks.start_soon(storage.apply, [create(n, "the fact"), create(1000 - n, "other")])
        items = await one.scoped("scout").memory.list_items()
        assert sorted(item.reinforcement_count for item in items) == [100, 100]


async def test_what_waits_for_a_task_that_is_being_completed_does_not_wait_for_ever(
    postgres_server: PostgresServer, name: str
) -> None:
    url = postgres_server.user_url(name)
    async with PgAdapter.open(url, dimensions=3) as one, PgAdapter.open(url, dimensions=3) as two:
        mine, theirs = one.scoped("a").tasks, two.scoped("a").tasks
        for n in range(20):
            await mine.create_task(title="needed", task_id=f"needed-{n}")
            move = MoveTask(agent_id="a", task_id=f"needed-{n}", status="completed", at=START)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one.apply, [move])
                tasks.start_soon(
                    lambda n: theirs.create_task(title="x", depends_on=[f"needed-{n}"]), n
                )
        assert await mine.list_tasks(status="blocked") == []


async def test_writers_that_meet_crosswise_both_get_through(
    postgres_server: PostgresServer, name: str
) -> None:
    url = postgres_server.user_url(name)
    async with PgAdapter.open(url, dimensions=3) as one, PgAdapter.open(url, dimensions=3) as two:
        numbers = list(range(30))
        await one.apply([create(n) for n in numbers])
        for _ in range(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(one.apply, [reinforce(n) for n in numbers])
                tasks.start_soon(two.apply, [reinforce(n) for n in reversed(numbers)])
        items = await one.scoped("scout").memory.list_items()
        assert {item.reinforcement_count for item in items} == {11}


async def test_a_read_only_server_is_said_to_be_one(
    postgres_server: PostgresServer, name: str
) -> None:
    sql = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
    await execute(postgres_server.url(), sql)
    async with PgAdapter.open(postgres_server.user_url(name), dimensions=3) as storage:
        with pytest.raises(DatabaseUnavailable, match="read-only.*name the primary"):
            await storage.apply([create(1)])
        assert await storage.scoped("a").memory.list_items() == []


async def test_keyword_searches_use_their_index_under_row_level_security(
    postgres_server: PostgresServer, name: str
) -> None:
    connection = await asyncpg.connect(postgres_server.user_url(name))
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE argentbus_app")
        await connection.execute("SET LOCAL enable_seqscan = off")
        rows = await connection.fetch(
            "EXPLAIN SELECT id FROM memory_items WHERE words @@ to_tsquery('argentbus', 'apple')"
        )
    await connection.close()
    assert any("memory_items_words" in row[0] for row in rows), rows


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers())))
def test_rows_that_share_a_key_are_in_different_turns_in_their_order(rows: list[Any]) -> None:
    numbered = [(*row, n) for n, row in enumerate(rows)]
    turns = list(in_turns(numbered, ((0,), (1, 2))))
    assert sorted(row[3] for turn in turns for row in turn) == list(range(len(rows)))
    place = {row[3]: n for n, turn in enumerate(turns) for row in turn}
    for later in numbered:
        for earlier in numbered[: later[3]]:
            if later[0] == earlier[0] or later[1:3] == earlier[1:3]:
                assert place[earlier[3]] < place[later[3]]


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_written_for_jsonb_says_the_same(value: Any) -> None:
    spelling = PgSpelling()
    assert spelling.json_out(spelling.json_in(value)) == value


async def test_numbers_come_back_from_jsonb_as_they_were(
    postgres_server: PostgresServer, name: str
) -> None:
    numbers = [1e15, 1.2345678901234567e17, 1e23, 1.7976931348623157e308, 5e-324, 2.0, -1e20]
    extra = {"floats": numbers, "whole": [2**63 - 1, -(2**63)], "text": "1e5"}
    async with PgAdapter.open(postgres_server.user_url(name), dimensions=3) as storage:
        memory = storage.scoped("a").memory
        item = await memory.create_item(summary="x", memory_type="event", extra=extra)
        found = await memory.get_item(item.id)
    assert found is not None
    assert found.extra == extra
    assert [type(number) for number in found.extra["floats"]] == [float] * len(numbers)
