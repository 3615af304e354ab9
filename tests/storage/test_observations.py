"""Observations: recorded in sessions, all or none, under ids that grow; listed and searched."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from storage import CommandRefused, InvalidValue, Observation
from storage.adapter import DatabaseAdapter
from storage.model import snowflake
from storage.model.observations import RecordObservations
from tests.storage.backends import opened

pytestmark = [pytest.mark.anyio, pytest.mark.kept_database]

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def test_an_observation_comes_back_as_it_was_recorded(storage: DatabaseAdapter) -> None:
    sessions = storage.scoped("scout").sessions
    await sessions.open("key", session_id="s-1")
    columns: dict[str, Any] = {
        "type": "tool_call",
        "tool_name": "bash",
        "input": "ls /größe",
        "output": "🧀",
        "summary": "cheese",
        "channel_id": "c",
        "importance": 9,
        "metadata": {"exit": 0},
        "created_at": START,
        "id": 2**63 - 1,
    }
    written = await sessions.record("s-1", **columns)
    assert await sessions.list_observations() == [written]
    assert {name: getattr(written, name) for name in columns} == columns
    assert await sessions.record("s-1", **columns) == written, "the same again is no news"
    plain = await sessions.record("s-1")
    assert (plain.type, plain.importance, plain.agent_id) == ("tool_result", 5, "scout")
    assert len(await sessions.list_observations()) == 2


async def test_many_are_recorded_or_none(storage: DatabaseAdapter) -> None:
    sessions = storage.scoped("scout").sessions
    await sessions.open("key", session_id="s-1")
    made = await sessions.record_all("s-1", [{"output": f"{n}"} for n in range(1000)])
    ids = [one.id for one in made]
    assert ids == sorted(set(ids))
    assert await sessions.list_observations(limit=2000) == made[::-1]
    for wrong, problem in (
        ([{"output": "fine"}, {"importance": 11}], "importance: is out of range"),
        ([{"output": "fine"}, {"type": "dream"}], "type: is 'dream'"),
        ([{}] * 1001, "observations: are 1,001"),
        ([], "observations: are 0"),
    ):
        with pytest.raises(InvalidValue, match=problem):
            await sessions.record_all("s-1", wrong)
    theirs = Observation(id=1, session_id="s-1", agent_id="writer", created_at=START)
    with pytest.raises(InvalidValue, match=r"observations\[0\].agent_id: is 'writer'"):
        await storage.write(RecordObservations(agent_id="scout", observations=[theirs]))
    mine = [
        Observation(id=n, session_id=session, agent_id="scout", created_at=START)
        for n, session in enumerate(("s-1", "nope"), 1)
    ]
    with pytest.raises(CommandRefused, match="session_id: agent scout has no session nope"):
        await storage.write(RecordObservations(agent_id="scout", observations=mine))
    assert (await storage.stats()).observations == 1000


async def test_an_id_that_is_taken_gives_way_to_the_next_free_one(
    storage: DatabaseAdapter,
) -> None:
    for agent in ("a", "b"):
        await storage.scoped(agent).sessions.open(agent, session_id=agent)

    def record(agent: str, *ids: int) -> RecordObservations:
        return RecordObservations(
            agent_id=agent,
            observations=[
                Observation(id=n, session_id=agent, agent_id=agent, created_at=START) for n in ids
            ],
        )

    def ids(observations: Sequence[Observation]) -> list[int]:
        return [one.id for one in observations][::-1]

    commands = [record("a", 1, 2, 3, 7), record("b", 2, 7, 9), record("a", 4), record("b", 2)]
    reads = [storage.scoped(agent).sessions.list_observations for agent in ("a", "b")]
    for command in commands[:3]:
        await storage.write(command)
    one_by_one = [ids(await read()) for read in reads]
    assert one_by_one == [[1, 2, 3, 5, 7], [4, 8, 9]]
    for command in commands:
        await storage.write(command)
    await storage.apply(commands)
    assert [ids(await read()) for read in reads] == one_by_one, "the same again is no news"
    last = record("b", snowflake.MOST)
    await storage.write(record("a", snowflake.MOST))
    with pytest.raises(CommandRefused, match=f"id: {snowflake.MOST} is taken"):
        await storage.write(last)


async def test_many_writers_with_the_same_ids_lose_nothing(
    both_sides: Any, backend: str, path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    server: Any = request.getfixturevalue("postgres_server") if database else None
    async with opened(backend, path, server, database) as (other, _):

        async def write(agent: str, storage: DatabaseAdapter) -> None:
            sessions = storage.scoped(agent).sessions
            await sessions.open(agent, session_id=agent)
            for start in range(1, 40, 4):
                await sessions.record_all(agent, [{"id": start + n} for n in range(4)])

        async with anyio.create_task_group() as tasks:
            for n in range(4):
                tasks.start_soon(write, f"agent-{n}", (both_sides.storage, other)[n % 2])
        rows = await both_sides.raw.query(
            "SELECT agent_id, count(*) FROM observations GROUP BY agent_id ORDER BY agent_id"
        )
        assert rows == [(f"agent-{n}", 40) for n in range(4)]


async def test_observations_are_listed_and_searched(storage: DatabaseAdapter) -> None:
    sessions = storage.scoped("scout").sessions
    for key in ("one", "two"):
        await sessions.open(key, session_id=key)
    for n in range(6):
        await sessions.record(
            ("one", "two")[n % 2],
            id=n + 1,
            type="error" if n == 4 else "tool_result",
            tool_name="git" if n < 2 else "bash",
            importance=n,
            summary="zebra" if n == 3 else None,
            output=f"apple zebra {n}" if n == 5 else "Apfel",
            input="apple quagga",
            created_at=START + n * HOUR,
        )

    async def ids(**filters: Any) -> list[int]:
        return [one.id for one in await sessions.list_observations(**filters)]

    assert await ids() == [6, 5, 4, 3, 2, 1]
    assert await ids(limit=2, offset=1) == [5, 4]
    assert await ids(session_id="one") == [5, 3, 1]
    assert await ids(type="error") == [5]
    assert await ids(tool_name="git") == [2, 1]
    assert await ids(min_importance=4) == [6, 5]
    assert await ids(since=START + HOUR, until=START + 3 * HOUR) == [3, 2]
    assert await ids(session_id="two", tool_name="bash", min_importance=1) == [6, 4]
    found = await sessions.search_observations("zebra")
    assert {one.id for one in found} == {4, 6}
    assert [one.id for one in await sessions.search_observations("apple")] == [6]
    assert await sessions.search_observations("quagga") == [], "inputs are not searched"
    assert len(await sessions.search_observations("zebra", limit=1)) == 1
    for wrong, field in (
        (sessions.list_observations(type="dream"), "type"),
        (sessions.list_observations(min_importance=11), "min_importance"),
        (sessions.list_observations(session_id="\0"), "session_id"),
        (sessions.search_observations("\ud800"), "query"),
    ):
        with pytest.raises(InvalidValue, match=f"^{field}"):
            await wrong


def test_ids_grow_within_a_process_whatever_the_clock_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = snowflake.new_id()
    with ThreadPoolExecutor(4) as threads:
        ids = [one for some in threads.map(_some, range(8)) for one in some]
    assert len(set(ids)) == len(ids)
    assert all(one > before for one in ids)
    monkeypatch.setattr(snowflake, "_last", snowflake._last)  # it is put back afterwards
    monkeypatch.setattr(snowflake, "time_ns", lambda: 1)
    back = [snowflake.new_id() for _ in range(3)]
    assert back == [max(ids) + n for n in (1, 2, 3)], "the clock went back"
    far = datetime(2109, 1, 1, tzinfo=UTC).timestamp()
    monkeypatch.setattr(snowflake, "time_ns", lambda: int(far * 1e9))
    assert max(back) < snowflake.new_id() <= snowflake.MOST


def _some(_: int) -> list[int]:
    ids = [snowflake.new_id() for _ in range(5_000)]
    assert ids == sorted(ids)
    return ids
