"""Agents and teams: what the others' visibility rests on."""

from typing import Any

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import AGENTS, Read, Shown, seen


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    operator = storage.operator()
    for agent in AGENTS:
        await operator.agents.register(agent, role="scout", config={"of": agent})
    a = storage.scoped("a").teams
    for team, others in (("ab", "b"), ("ad", "d")):
        await a.create_team(name="x", team_id=team)
        await a.add_member(team, others)
        await storage.scoped(others).teams.join(team)
    await operator.teams.create_team(name="x", team_id="c", lead="c")
    await a.add_member("ab", "z")
    await a.disband("ad")


TEAMS = ("ab", "c", "ad")
MINE = seen(a={"ab", "ad"}, b={"ab"}, c={"c"}, d={"ad"}, operator={*TEAMS})
MATES = seen(a={"a", "b", "d"}, b={"a", "b"}, c={"c"}, d={"a", "d"}, operator={"a", "b", "c", "d"})
INVITED = seen(a={"z"}, b={"z"})
EVERYBODY: dict[str, set[Any]] = {agent: {*AGENTS} for agent in (*AGENTS, "")}


async def _configured(view: Scoped) -> list[str]:
    """Whom one sees, after a look at whose config."""
    found = [await view.agents.get_agent(agent) for agent in AGENTS]
    shown = {one.id for one in found if one and one.config is not None}
    assert shown == ({view.agents.agent} if view.agents.agent else {*AGENTS})
    return [one.id for one in found if one]


async def _listed(view: Scoped) -> list[str]:
    found = await view.agents.list_agents(status="active")
    assert {one.id for one in found if one.config is not None} <= {view.agents.agent or "", *AGENTS}
    if view.agents.agent:
        assert [one.id for one in found if one.config] == [view.agents.agent]
    return [one.id for one in found]


async def _mates(view: Scoped) -> set[str]:
    records = [await view.teams.get_team(team) for team in TEAMS]
    assert {r.team.id for r in records if r} == MINE[view.teams.agent]
    return {member.agent_id for record in records if record for member in record.members}


async def _teams(view: Scoped) -> list[str]:
    return [team.id for team in await view.teams.list_teams()]


async def _invited(view: Scoped) -> list[str]:
    return [one.agent_id for one in await view.teams.invitations()]


READS = {
    ("agents", "get_agent"): Read(_configured, EVERYBODY),
    ("agents", "list_agents"): Read(_listed, EVERYBODY),
    ("teams", "get_team"): Read(_mates, MATES),
    ("teams", "list_teams"): Read(_teams, MINE),
    ("teams", "invitations"): Read(_invited, INVITED),
}

SQL = {
    "agents": Shown("SELECT id FROM agents", seen(a={"a"}, b={"b"}, c={"c"}, d={"d"})),
    "agent_registry": Shown("SELECT id FROM agent_registry", EVERYBODY),
    "teams": Shown("SELECT id FROM teams", MINE),
    "team_members": Shown("SELECT agent_id FROM team_members", MATES),
    "team_invitations": Shown(
        "SELECT agent_id FROM team_invitations", seen(a={"z"}, b={"z"}, operator=set())
    ),
}
