"""Sessions and observations: a conversation's life, and what was seen in it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from storage import CommandRefused, InvalidValue, Observation, Session
from storage.adapter import DatabaseAdapter
from storage.model import snowflake
from storage.model.observations import RecordObservations
from storage.model.sessions import CloseSession, TouchSession
from storage.sessions import Sessions
from tests.storage.backends import Raw, opened

pytestmark = [pytest.mark.anyio, pytest.mark.kept_database]

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def read(sessions: Sessions, session_id: str) -> Session:
    session = await sessions.get_session(session_id)
    assert session is not None
    return session


async def test_a_session_is_opened_touched_and_closed(storage: DatabaseAdapter) -> None:
    sessions = storage.scoped("scout").sessions
    opened = await sessions.open(
        "agent:main:0",
        session_id="s-1",
        started_at=START,
        channel_id="c",
        project_path="/src/größe",
        metadata={"n": [1]},
    )
    assert (opened.status, opened.message_count, opened.token_count) == ("active", 0, None)
    assert (opened.started_at, opened.last_activity_at, opened.ended_at) == (START, START, None)
    assert await read(sessions, "s-1") == await sessions.find_session("agent:main:0") == opened
    for messages, tokens in ((1, None), (2, 50), (0, None), (1, 7)):
        await sessions.touch("s-1", messages=messages, tokens=tokens)
    touched = await read(sessions, "s-1")
    assert (touched.message_count, touched.token_count) == (4, 57)
    assert touched.last_activity_at > START
    await storage.write(TouchSession(agent_id="scout", session_id="s-1", messages=1, at=START))
    assert (await read(sessions, "s-1")).last_activity_at == touched.last_activity_at
    await sessions.close("s-1", summary="about größe")
    closed = await read(sessions, "s-1")
    assert (closed.status, closed.summary) == ("closed", "about größe")
    assert closed.ended_at == closed.last_activity_at
    await storage.write(CloseSession(agent_id="scout", session_id="s-1", at=START + HOUR))
    assert await read(sessions, "s-1") == closed, "closed again, it ended when it did"
    await sessions.touch("s-1", messages=1)
    late = await read(sessions, "s-1")
    assert (late.status, late.message_count) == ("closed", 6), "what comes late is counted"


async def test_a_key_that_was_used_opens_that_session_again(storage: DatabaseAdapter) -> None:
    sessions = storage.scoped("scout").sessions
    first = await sessions.open("key", started_at=START, channel_id="c", project_path="/a")
    await sessions.touch(first.id, messages=3)
    await sessions.close(first.id, summary="so far")
    again = await sessions.open("key", project_path="/b", metadata={"ignored": 1})
    assert (again.id, again.status, again.ended_at) == (first.id, "active", None)
    assert (again.message_count, again.summary, again.metadata) == (3, "so far", {})
    assert (again.channel_id, again.project_path, again.started_at) == ("c", "/b", START)
    assert again.last_activity_at > START
    await sessions.close(first.id)
    closed = await read(sessions, first.id)
    same = await sessions.open("key", session_id=first.id, started_at=START)
    assert same == closed, "the same session again is no news"
    with pytest.raises(CommandRefused, match="session_key: key is another agent's session"):
        await storage.scoped("writer").sessions.open("key")
    with pytest.raises(CommandRefused, match=r"sessions\.id"):
        await sessions.open("another key", session_id=first.id)
    assert await read(sessions, first.id) == closed


async def test_nobody_changes_what_is_anothers_or_not_there(storage: DatabaseAdapter) -> None:
    session = await storage.scoped("a").sessions.open("key", session_id="s-1")
    other = storage.scoped("b").sessions
    for wrong in ("s-1", "nope"):
        for change in (other.touch(wrong), other.close(wrong), other.record(wrong, output="x")):
            with pytest.raises(CommandRefused, match=f"session_id: agent b has no session {wrong}"):
                await change
    await other.delete_session("s-1")
    assert await read(storage.scoped("a").sessions, "s-1") == session
    assert (await storage.stats()).observations == 0


async def test_sessions_are_listed_the_last_active_first(storage: DatabaseAdapter) -> None:
    sessions = storage.scoped("scout").sessions
    for n in range(4):
        await sessions.open(
            f"k-{n}", session_id=f"s-{n}", started_at=START + n * HOUR, channel_id=f"c-{n % 2}"
        )
    await storage.write(CloseSession(agent_id="scout", session_id="s-0", at=START + 9 * HOUR))

    async def ids(**filters: Any) -> list[str]:
        return [one.id for one in await sessions.list_sessions(**filters)]

    assert await ids() == ["s-0", "s-3", "s-2", "s-1"]
    assert await ids(limit=2, offset=1) == ["s-3", "s-2"]
    assert await ids(status="active", channel_id="c-0") == ["s-2"]
    assert await ids(status="closed") == ["s-0"]
    assert await ids(since=START + 2 * HOUR, until=START + 9 * HOUR) == ["s-3", "s-2"]
    with pytest.raises(InvalidValue, match="since"):
        await sessions.list_sessions(since=START.replace(tzinfo=None))


async def test_deleting_a_session_deletes_what_was_seen_in_it(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    sessions = storage.scoped("scout").sessions
    for key in ("one", "two"):
        await sessions.open(key, session_id=key)
        await sessions.record_all(key, [{"output": f"apple {n}"} for n in range(10)])
    await sessions.delete_session("one")
    await sessions.delete_session("one")
    assert {one.session_id for one in await sessions.search_observations("apple", limit=99)} == {
        "two"
    }
    assert await raw.query("SELECT count(*), min(session_id) FROM observations") == [(10, "two")]
    assert await sessions.get_session("one") is None


# Observations


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
