"""Teams: agents that share what they have for their team, and its tasks."""

from datetime import datetime
from typing import Any, Final, Self

import msgspec

from storage.errors import InvalidValue

from . import values
from .command import Changes, check_target
from .tasks import TaskCommand

TEAM_STATUSES: Final = ("active", "completed", "disbanded")
MEMBER_ROLES: Final = ("lead", "worker")
MEMBER_STATUSES: Final = ("active", "idle", "completed", "failed")


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `teams`. Seen by its members, changed by its lead's agent.

    Attributes:
        id, name: A UUIDv7, unless another one was given; and what people call it.
        lead_session_key: The member who leads it.
        status: active, completed or disbanded; what is for a disbanded team is shown to it no more.
        config: Whatever it needs, as JSON; or None.
        created_at, updated_at: With a time zone.

    Example:
        team: Team = await mine.teams.create_team(name="parser")
        await mine.teams.add_member(team.id, "writer", label="docs")
        theirs = storage.scoped("writer").teams
        invited: list[TeamInvitation] = await theirs.invitations()
        print(invited[0].invited_by, invited[0].label)  #> scout docs
        await theirs.join(team.id)
        record: TeamRecord = await mine.teams.get_team(team.id)
        members: list[TeamMember] = record.members
        print([member.role for member in members])  #> ['lead', 'worker']
    """

    id: str
    name: str
    lead_session_key: str
    status: str = "active"
    config: dict[str, Any] | None = None
    created_at: datetime
    updated_at: datetime


class TeamMember(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `team_members`: a session of an agent. Seen by all members.

    Attributes:
        team_id, session_key: Of the team, and of the session.
        agent_id: Whose session it is: to whom is shown what is for the team.
        role: lead or worker.
        label: What it is called in the team, or None.
        status: active, idle, completed or failed: whichever it is, it is a member.
        joined_at, last_active_at: With a time zone; None while it has not said that it is active.

    Example: See `Team`.
    """

    team_id: str
    session_key: str
    agent_id: str
    role: str = "worker"
    label: str | None = None
    status: str = "active"
    joined_at: datetime
    last_active_at: datetime | None = None


class TeamInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `team_invitations`. Seen by whom it is for, and by the members.

    Attributes:
        team_id: Of the team.
        session_key, agent_id: The session that is invited, and whose it is.
        role, label: What it will be in the team, and be called there.
        invited_by: Id of the agent that leads the team.
        invited_at: With a time zone.

    Example: See `Team`.
    """

    team_id: str
    session_key: str
    agent_id: str
    role: str = "worker"
    label: str | None = None
    invited_by: str
    invited_at: datetime


class CreateTeam(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Found a team; its lead is its first member."""

    by: str
    team: Team
    lead: TeamMember

    @property
    def agent_id(self) -> str:
        return self.by

    def checked(self, dimensions: int) -> Self:
        checked_team(self.team)
        checked_member(self.lead)
        if self.by and self.lead.agent_id != self.by:
            raise InvalidValue("lead", f"is of another agent than {self.by}, who founds the team")
        if (self.lead.team_id, self.lead.session_key, self.lead.role) != (
            self.team.id,
            self.team.lead_session_key,
            "lead",
        ):
            raise InvalidValue("lead", "is not the member that the team names as its lead")
        return self


class UpdateTeam(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Change columns of a team; a new `lead_session_key` is that of a member."""

    agent_id: str
    team_id: str
    changes: dict[str, Any]
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("team_id", self.team_id, self.at)
        CHANGES.check(self.changes, dimensions)
        return self


class AddMember(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Invite an agent. Operators, and agents whose own session it is, add it at once."""

    by: str
    member: TeamMember

    @property
    def agent_id(self) -> str:
        return self.by

    def checked(self, dimensions: int) -> Self:
        checked_member(self.member)
        if self.member.role == "lead":
            raise InvalidValue("role", "lead is given with update_team(lead_session_key=...)")
        return self


class JoinTeam(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Take an invitation up.

    Attributes:
        session_key: Which, where the agent has several; None: all of them.
    """

    agent_id: str
    team_id: str
    at: datetime
    session_key: str | None = None

    def checked(self, dimensions: int) -> Self:
        check_target("team_id", self.team_id, self.at)
        values.text("agent_id", self.agent_id, least=1, most=128)
        values.optional_text("session_key", self.session_key, most=256)
        return self


class UpdateMember(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Change columns of a member, or only say that it is active."""

    agent_id: str
    team_id: str
    session_key: str
    changes: dict[str, Any]
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("team_id", self.team_id, self.at)
        values.text("session_key", self.session_key, least=1, most=256)
        MEMBER_CHANGES.check(self.changes, dimensions)
        return self


class RemoveMember(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Take a member out of a team, or an invitation back."""

    agent_id: str
    team_id: str
    session_key: str

    def checked(self, dimensions: int) -> Self:
        check_target("team_id", self.team_id)
        values.text("session_key", self.session_key, least=1, most=256)
        return self


COMMANDS: Final = (CreateTeam, UpdateTeam, AddMember, JoinTeam, UpdateMember, RemoveMember)


def checked_team(team: Team, _dimensions: int = 0) -> Team:
    """Return `team` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", team.id, least=1, most=128)
    values.text("name", team.name, least=1, most=1_000)
    values.text("lead_session_key", team.lead_session_key, least=1, most=256)
    values.one_of("status", team.status, TEAM_STATUSES)
    if team.config is not None:
        values.json_object("config", team.config)
    values.known_moment("created_at", team.created_at)
    values.known_moment("updated_at", team.updated_at)
    return team


def checked_member(member: TeamMember, _dimensions: int = 0) -> TeamMember:
    """Return `member` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("team_id", member.team_id, least=1, most=128)
    values.text("session_key", member.session_key, least=1, most=256)
    values.text("agent_id", member.agent_id, least=1, most=128)
    values.one_of("role", member.role, MEMBER_ROLES)
    values.optional_text("label", member.label, most=1_000)
    values.one_of("status", member.status, MEMBER_STATUSES)
    values.known_moment("joined_at", member.joined_at)
    values.moment("last_active_at", member.last_active_at)
    return member


_NOW: Final = values.now()
CHANGES: Final = Changes(
    Team(id="x", name="x", lead_session_key="x", created_at=_NOW, updated_at=_NOW),
    ("name", "lead_session_key", "status", "config"),
    checked_team,
)
MEMBER_CHANGES: Final = Changes(
    TeamMember(team_id="x", session_key="x", agent_id="x", joined_at=_NOW),
    ("label", "status"),
    checked_member,
)
