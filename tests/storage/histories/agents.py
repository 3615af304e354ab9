"""The registry of agents."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.agents import AgentRecord, RegisterAgent, UpdateAgent
from storage.model.command import Command
from storage.parts import Scoped
from tests.storage.histories import moment

_agents = st.sampled_from(["scout", "mate"])
_configs = st.sampled_from([None, {}, {"n": [1]}])

plans = st.one_of(
    st.tuples(st.just("register"), _agents, _configs),
    st.tuples(
        st.just("update agent"),
        _agents,
        _agents,
        st.sampled_from([{"name": "x"}, {"status": "resting"}, {"config": None}, {}]),
    ),
)


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("register", by, config):
            agent = AgentRecord(
                id=by, name=f"name {n % 3}", config=config, created_at=now, updated_at=now
            )
            return RegisterAgent(by=by, agent=agent)
        case ("update agent", by, target, changes):
            return UpdateAgent(agent_id=by, target=target, changes=changes, at=now)
    return None


async def reads(view: Scoped) -> list[Any]:
    return [await view.agents.list_agents(), await view.agents.get_agent("mate")]
