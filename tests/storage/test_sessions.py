"""Sessions: opened, touched, closed, opened again, and deleted with all that was seen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage import CommandRefused, InvalidValue, Session
from storage.adapter import DatabaseAdapter
from storage.model.sessions import CloseSession, TouchSession
from storage.sessions import Sessions
from tests.storage.backends import Raw

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
    with pytest.raises(CommandRefused, match="id: there is another session"):
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
