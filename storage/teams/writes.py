"""Applying commands on teams within a transaction."""

from collections.abc import Mapping
from typing import Any

from storage import queries
from storage.database import Database, Transaction, Violation
from storage.domain import Way, Writes, each, taken
from storage.errors import NotFound
from storage.model.command import Command
from storage.model.teams import (
    CHANGES,
    MEMBER_CHANGES,
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

from .teams import SQL


class TeamWrites(Writes):
    """Applies commands on teams."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._own = queries.load(database.package, "teams.sql")
        self._teams = Rows(Team, database.spelling, "teams")
        self._members = Rows(TeamMember, database.spelling, "team_members")
        self._invitations = Rows(TeamInvitation, database.spelling, "team_invitations")

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            CreateTeam: each(self._create),
            UpdateTeam: each(self._update),
            AddMember: each(self._add),
            JoinTeam: each(self._join),
            UpdateMember: each(self._update_member),
            RemoveMember: each(self._remove),
        }

    async def _create(self, transaction: Transaction, command: CreateTeam) -> None:
        known = await self._find(transaction, command.team.id)
        if known is not None:
            if known.created_at != command.team.created_at:
                raise taken("team", known.id)
            return
        await transaction.fetch(SQL["create_team"], *self._teams.to_row(command.team))
        await transaction.fetch(SQL["add_member"], *self._members.to_row(command.lead))

    async def _update(self, transaction: Transaction, command: UpdateTeam) -> None:
        team = await self._led(transaction, command.team_id, command.agent_id)
        changes: dict[str, Any] = CHANGES.converted(command.changes)
        if team.status == "disbanded":
            if changes.get("status") == "disbanded":
                return
            raise _disbanded(team)
        lead = changes.get("lead_session_key", team.lead_session_key)
        if lead != team.lead_session_key:
            if await self._member(transaction, team.id, lead) is None:
                raise NotFound(f"there is no session {lead} in team {team.id} that could lead it")
            for session_key, role in ((team.lead_session_key, "worker"), (lead, "lead")):
                await self._set(transaction, team.id, session_key, {"role": role})
        changes["updated_at"] = command.at
        await self._change(transaction, self._teams, SQL["update_team"], changes, team.id)

    async def _add(self, transaction: Transaction, command: AddMember) -> None:
        member = command.member
        team = await self._led(transaction, member.team_id, command.by)
        if team.status == "disbanded":
            raise _disbanded(team)
        known = await self._member(transaction, team.id, member.session_key)
        if known is not None:
            if known.agent_id == member.agent_id:
                return
            raise Violation(
                f"session {member.session_key} is in team {team.id} already, of another agent"
            )
        if command.by in ("", member.agent_id):
            await self._enter(transaction, member)
            return
        invitation = TeamInvitation(
            team_id=team.id,
            session_key=member.session_key,
            agent_id=member.agent_id,
            role=member.role,
            label=member.label,
            invited_by=command.by,
            invited_at=member.joined_at,
        )
        await transaction.fetch(SQL["invite"], *self._invitations.to_row(invitation))

    async def _join(self, transaction: Transaction, command: JoinTeam) -> None:
        target = (command.team_id, command.agent_id, command.session_key or "")
        team = await self._find(transaction, command.team_id)
        sql = SQL["invitations_to_take"] % self._invitations.selected
        found = [self._invitations.from_row(row) for row in await transaction.fetch(sql, *target)]
        if not found and team and await transaction.fetch(SQL["is_member"], *target):
            return
        if not found or team is None:
            raise NotFound(
                f"there is no invitation of {command.agent_id} to team {command.team_id}: its lead "
                "makes one with `add_member`"
            )
        if team.status == "disbanded":
            raise _disbanded(team)
        for one in found:
            member = TeamMember(
                team_id=one.team_id,
                session_key=one.session_key,
                agent_id=one.agent_id,
                role=one.role,
                label=one.label,
                joined_at=command.at,
            )
            await self._enter(transaction, member)

    async def _enter(self, transaction: Transaction, member: TeamMember) -> None:
        target = (member.team_id, member.session_key)
        await transaction.fetch(SQL["remove_invitation"], *target)
        await transaction.fetch(SQL["add_member"], *self._members.to_row(member))

    async def _update_member(self, transaction: Transaction, command: UpdateMember) -> None:
        by, target = command.agent_id, (command.team_id, command.session_key)
        team = await self._find(transaction, command.team_id)
        member = await self._member(transaction, *target)
        if team is None or member is None or not await self._may(transaction, team, by, member):
            raise NotFound(
                f"there is no session {command.session_key} in team {command.team_id} that "
                f"{by or 'anybody'} may change"
            )
        changes: dict[str, Any] = MEMBER_CHANGES.converted(command.changes)
        if by == member.agent_id:
            changes["last_active_at"] = command.at
        if changes:
            await self._set(transaction, *target, changes)

    async def _remove(self, transaction: Transaction, command: RemoveMember) -> None:
        by, target = command.agent_id, (command.team_id, command.session_key)
        team = await self._find(transaction, command.team_id)
        if team is None:
            raise _not_led(command.team_id, by)
        member = await self._member(transaction, *target)
        if member is None:
            sql = SQL["invitations_to_take"] % self._invitations.selected
            mine = await transaction.fetch(sql, team.id, by, command.session_key)
            if not mine:
                await self._led(transaction, team.id, by)
        elif not await self._may(transaction, team, by, member):
            raise _not_led(team.id, by)
        elif team.status != "disbanded" and member.session_key == team.lead_session_key:
            raise Violation(
                f"session {member.session_key} leads team {team.id}: let another lead it "
                "(`update_team`), or disband it"
            )
        await transaction.fetch(SQL["remove_member"], *target)
        await transaction.fetch(SQL["remove_invitation"], *target)

    async def _find(self, transaction: Transaction, team_id: str) -> Team | None:
        """The team, which nobody else changes until the transaction ends."""
        sql = SQL["team_to_change"] % (self._teams.selected, self._own["locked"])
        found = await transaction.fetch(sql, team_id)
        return self._teams.from_row(found[0]) if found else None

    async def _led(self, transaction: Transaction, team_id: str, by: str) -> Team:
        """The team, if the agent leads it, or is an operator."""
        team = await self._find(transaction, team_id)
        if team is None or not await self._may(transaction, team, by, None):
            raise _not_led(team_id, by)
        return team

    async def _may(
        self, transaction: Transaction, team: Team, by: str, member: TeamMember | None
    ) -> bool:
        """Whether an agent may change a member (None: the whole team)."""
        if by == "" or (member is not None and member.agent_id == by):
            return True
        lead = await self._member(transaction, team.id, team.lead_session_key)
        return lead is not None and lead.agent_id == by

    async def _member(
        self, transaction: Transaction, team_id: str, session_key: str
    ) -> TeamMember | None:
        sql = SQL["member_to_change"] % self._members.selected
        found = await transaction.fetch(sql, team_id, session_key)
        return self._members.from_row(found[0]) if found else None

    async def _set(
        self, transaction: Transaction, team_id: str, session_key: str, changes: Mapping[str, Any]
    ) -> None:
        target = (team_id, session_key)
        await self._change(transaction, self._members, SQL["update_member"], changes, *target)


def _not_led(team_id: str, by: str) -> NotFound:
    return NotFound(f"there is no team {team_id} that {by or 'anybody'} leads")


def _disbanded(team: Team) -> Violation:
    return Violation(f"team {team.id} is disbanded: found another one")
