"""Teams: agents found them, invite, join, leave, lead and disband."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.teams import (
    AddMember,
    CreateTeam,
    JoinTeam,
    RemoveMember,
    Team,
    TeamMember,
    UpdateMember,
    UpdateTeam,
)
from storage.parts import Scoped
from tests.storage.histories import moment

_teams = st.integers(0, 1).map(lambda n: f"team-{n}")
_agents = st.sampled_from(["scout", "mate"])
_sessions = st.sampled_from(["scout", "mate", "mate-2"])

plans = st.one_of(
    st.tuples(st.just("create team"), _teams, _agents),
    st.tuples(st.just("invite"), _teams, _agents, _sessions),
    st.tuples(st.just("join"), _teams, _agents, st.one_of(st.none(), _sessions)),
    st.tuples(
        st.just("update member"),
        _teams,
        _agents,
        _sessions,
        st.sampled_from([{}, {"status": "idle"}, {"label": "x"}]),
    ),
    st.tuples(st.just("remove member"), _teams, _agents, _sessions),
    st.tuples(
        st.just("update team"),
        _teams,
        _agents,
        st.sampled_from(
            [
                {"name": "x", "config": {"n": 1}},
                {"lead_session_key": "mate"},
                {"lead_session_key": "scout"},
                {"status": "disbanded"},
                {"status": "completed"},
            ]
        ),
    ),
)


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create team", team_id, by):
            team = Team(id=team_id, name="x", lead_session_key=by, created_at=now, updated_at=now)
            lead = TeamMember(
                team_id=team_id, session_key=by, agent_id=by, role="lead", joined_at=now
            )
            return CreateTeam(by=by, team=team, lead=lead)
        case ("invite", team_id, by, session):
            agent = session.partition("-")[0]
            member = TeamMember(team_id=team_id, session_key=session, agent_id=agent, joined_at=now)
            return AddMember(by=by, member=member)
        case ("join", team_id, by, session):
            return JoinTeam(agent_id=by, team_id=team_id, at=now, session_key=session)
        case ("update member", team_id, by, session, changes):
            return UpdateMember(
                agent_id=by, team_id=team_id, session_key=session, changes=changes, at=now
            )
        case ("remove member", team_id, by, session):
            return RemoveMember(agent_id=by, team_id=team_id, session_key=session)
        case ("update team", team_id, by, changes):
            return UpdateTeam(agent_id=by, team_id=team_id, changes=changes, at=now)
    return None


async def reads(view: Scoped) -> list[Any]:
    teams = view.teams
    return [
        await teams.list_teams(),
        [await teams.get_team(f"team-{n}") for n in range(2)],
        await teams.invitations(),
    ]
