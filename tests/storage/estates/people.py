"""Agents and teams: what the others' visibility rests on."""

from typing import Any

from storage.adapter import DatabaseAdapter
from tests.storage.backends import Raw
from tests.storage.estates import AGENTS, Read, Shown, seen

NOW = "'2026-01-02T00:00:00.000000Z'"


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    for team, status, members in (("ab", "active", "ab"), ("c", "active", "c"), ("ad", "", "ad")):
        await raw.query(
            f"INSERT INTO teams (id, name, lead_session_key, status, created_at, updated_at) "
            f"VALUES ('{team}', 'x', 'a', '{status or 'disbanded'}', {NOW}, {NOW})"
        )
        for member in members:
            await raw.query(
                f"INSERT INTO team_members (team_id, session_key, agent_id, joined_at) "
                f"VALUES ('{team}', 'session:{member}', '{member}', {NOW})"
            )
    for agent in AGENTS:
        await raw.query(
            f"INSERT INTO agents (id, name, created_at, updated_at) "
            f"VALUES ('{agent}', '{agent}', {NOW}, {NOW})"
        )


READS: dict[tuple[str, str], Read] = {}

SQL: dict[str, Any] = {
    "agents": Shown("SELECT id FROM agents", seen(a={"a"}, b={"b"}, c={"c"}, d={"d"})),
    "agent_registry": Shown(
        "SELECT id FROM agent_registry", {agent: {*AGENTS} for agent in (*AGENTS, "")}
    ),
    "teams": Shown("SELECT id FROM teams", seen(a={"ab", "ad"}, b={"ab"}, c={"c"}, d={"ad"})),
    "team_members": Shown(
        "SELECT agent_id FROM team_members",
        seen(a={"a", "b", "d"}, b={"a", "b"}, c={"c"}, d={"a", "d"}),
    ),
}
