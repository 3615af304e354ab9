"""Teams: who works with whom, by everybody's own will."""

from typing import Any, Final

import msgspec

from storage import queries
from storage.database import Database
from storage.domain import Reads, View
from storage.model import values
from storage.model.teams import (
    TEAM_STATUSES,
    AddMember,
    CreateTeam,
    JoinTeam,
    RemoveMember,
    Team,
    TeamInvitation,
    TeamMember,
    UpdateMember,
    UpdateTeam,
)
from storage.rows import Rows

SQL: Final = queries.load("storage.teams", "teams.sql")


class TeamRecord(msgspec.Struct, frozen=True):
    """A team with its members.

    Attributes:
        team: The team itself.
        members: Those who joined first before the others.

    Example: See `Team`.
    """

    team: Team
    members: list[TeamMember]


class Teams(View):
    """What one agent may do with teams.

    An agent sees the teams of which it is a member; a team is changed by the agent that leads it.
    What agents have for their team is shown to all who share a team with them: so nobody becomes a
    member by another's doing but by an operator's.
    """

    async def create_team(
        self,
        *,
        name: str,
        team_id: str | None = None,
        session_key: str | None = None,
        lead: str | None = None,
        label: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> Team:
        """Found a team, and lead it.

        Args:
            name: 1 to 1,000 characters.
            team_id: A UUIDv7 is made where none is given.
            session_key: Of the session that leads it; the agent's own id where none is given.
            lead: The agent that leads it, where an operator founds it.
            label: What the lead is called in the team.

        Raises:
            InvalidValue: a value that no table may hold; an operator names no lead.
        """
        moment, agent = values.now(), lead or self.agent
        team = Team(
            id=team_id or values.new_id(),
            name=name,
            lead_session_key=session_key or agent,
            config=config,
            created_at=moment,
            updated_at=moment,
        )
        member = TeamMember(
            team_id=team.id,
            session_key=team.lead_session_key,
            agent_id=agent,
            role="lead",
            label=label,
            joined_at=moment,
        )
        await self._port.write(CreateTeam(by=self.agent, team=team, lead=member))
        return team

    async def get_team(self, team_id: str) -> TeamRecord | None:
        """The team with its members, or None where this agent is in no such team."""
        team: TeamRecord | None = await self._port.read("teams", "get_team", team_id=team_id)
        return team

    async def list_teams(
        self, *, status: str | None = None, limit: int = 50, offset: int = 0
    ) -> list[Team]:
        """The teams of this agent, the newest first."""
        teams: list[Team] = await self._port.read(
            "teams", "list_teams", status=status, limit=limit, offset=offset
        )
        return teams

    async def invitations(self, team_id: str | None = None) -> list[TeamInvitation]:
        """Invitations of this agent that it has not taken up, and those of its teams to others."""
        found: list[TeamInvitation] = await self._port.read("teams", "invitations", team_id=team_id)
        return found

    async def update_team(self, team_id: str, **changes: Any) -> None:
        """Change the name, the config or the status (active, completed) of a team, or let another
        member lead it, by its `lead_session_key`.

        Raises:
            InvalidValue: a value that no table may hold, or a column that stays as it is.
            CommandRefused: this agent does not lead it, it is disbanded, or it has no such member.
        """
        await self._port.write(
            UpdateTeam(agent_id=self.agent, team_id=team_id, changes=changes, at=values.now())
        )

    async def disband(self, team_id: str) -> None:
        """End a team for good: nothing is shared in it any more. Its members see that it was."""
        await self.update_team(team_id, status="disbanded")

    async def add_member(
        self,
        team_id: str,
        agent: str,
        *,
        session_key: str | None = None,
        label: str | None = None,
    ) -> None:
        """Invite an agent: it is a member once it calls `join`. Operators make it one at once, and
        so does an agent that adds another session of its own.

        Args:
            session_key: Which of its sessions; the agent's id where none is given.
            label: What it is called in the team.

        Raises:
            CommandRefused: this agent does not lead the team, it is disbanded, or the session is a
                member of it already.
        """
        member = TeamMember(
            team_id=team_id,
            session_key=session_key or agent,
            agent_id=agent,
            label=label,
            joined_at=values.now(),
        )
        await self._port.write(AddMember(by=self.agent, member=member))

    async def join(self, team_id: str, *, session_key: str | None = None) -> None:
        """Take up an invitation; where there are several to that team, all, or that of a session.

        Raises:
            CommandRefused: there is none, or the team is disbanded.
        """
        await self._port.write(
            JoinTeam(agent_id=self.agent, team_id=team_id, at=values.now(), session_key=session_key)
        )

    async def update_member(
        self, team_id: str, *, session_key: str | None = None, **changes: Any
    ) -> None:
        """Change the status (active, idle, completed, failed) or the label of a member: of this
        agent's own session, or as the lead.

        Args:
            session_key: This agent's id where none is given.

        Raises:
            InvalidValue: a value that no table may hold, or a column that stays as it is.
            CommandRefused: there is no such member that this agent may change.
        """
        await self._port.write(
            UpdateMember(
                agent_id=self.agent,
                team_id=team_id,
                session_key=session_key or self.agent,
                changes=changes,
                at=values.now(),
            )
        )

    async def touch(self, team_id: str, *, session_key: str | None = None) -> None:
        """Say that this agent is active in a team: sets `last_active_at`."""
        await self.update_member(team_id, session_key=session_key)

    async def remove_member(self, team_id: str, session_key: str | None = None) -> None:
        """Leave a team, or decline an invitation; as the lead, take a member out or an invitation
        back. A session that is not in it is no error.

        Args:
            session_key: This agent's id where none is given.

        Raises:
            CommandRefused: it is another's session and this agent does not lead the team; or it is
                the session that leads it, which hands the lead over first, or disbands the team.
        """
        await self._port.write(
            RemoveMember(
                agent_id=self.agent, team_id=team_id, session_key=session_key or self.agent
            )
        )


class TeamReads(Reads):
    """Reads of teams."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._teams = Rows(Team, database.spelling, "teams")
        self._members = Rows(TeamMember, database.spelling, "team_members")
        self._invitations = Rows(TeamInvitation, database.spelling, "team_invitations")

    async def get_team(self, agent: str, team_id: str) -> TeamRecord | None:
        values.text("team_id", team_id)
        team = await self._one(agent, self._teams, SQL["get_team"], team_id)
        if team is None:
            return None
        return TeamRecord(team, await self._all(agent, self._members, SQL["list_members"], team_id))

    async def list_teams(
        self, agent: str, *, status: str | None = None, limit: int = 50, offset: int = 0
    ) -> list[Team]:
        if status:
            values.one_of("status", status, TEAM_STATUSES)
        return await self._all(
            agent,
            self._teams,
            SQL["list_teams"],
            status or "",
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def invitations(self, agent: str, *, team_id: str | None = None) -> list[TeamInvitation]:
        team = values.text("team_id", team_id or "")
        return await self._all(agent, self._invitations, SQL["list_invitations"], team)
