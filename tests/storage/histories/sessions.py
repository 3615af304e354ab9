"""Sessions of two agents, and observations in them, whose ids are few."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.observations import Observation, RecordObservations
from storage.model.sessions import (
    CloseSession,
    DeleteSession,
    OpenSession,
    Session,
    TouchSession,
)
from storage.parts import Scoped
from tests.storage.histories import moment

_numbers = st.integers(0, 3)
_agents = st.sampled_from(["scout", "scout", "writer"])

plans = st.one_of(
    st.tuples(st.just("open session"), _agents, _numbers, _numbers),
    st.tuples(st.just("touch session"), _numbers, st.none() | _numbers),
    st.tuples(st.just("close session"), _numbers),
    st.tuples(st.just("delete session"), _numbers),
    st.tuples(st.just("observe"), _agents, st.lists(st.tuples(_numbers, _numbers), min_size=1)),
)


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("open session", agent, which, key):
            return OpenSession(
                session=Session(
                    id=f"s-{which}",
                    agent_id=agent,
                    session_key=f"key-{key}",
                    channel_id=None if n % 2 else f"channel-{n}",
                    started_at=now,
                    last_activity_at=now,
                )
            )
        case ("touch session", which, tokens):
            return TouchSession(
                agent_id="scout", session_id=f"s-{which}", messages=1, tokens=tokens, at=now
            )
        case ("close session", which):
            return CloseSession(agent_id="scout", session_id=f"s-{which}", at=now)
        case ("delete session", which):
            return DeleteSession(agent_id="scout", session_id=f"s-{which}")
        case ("observe", agent, seen):
            rows = [
                Observation(
                    id=number,
                    session_id=f"s-{which}",
                    agent_id=agent,
                    output=f"seen {place}",
                    created_at=moment(n + place),
                )
                for place, (number, which) in enumerate(seen)
            ]
            return RecordObservations(agent_id=agent, observations=rows)
    return None


async def reads(view: Scoped) -> list[Any]:
    found = await view.sessions.search_observations("seen")
    return [
        {one.id for one in found},
        await view.sessions.list_observations(),
        await view.sessions.list_sessions(),
    ]
