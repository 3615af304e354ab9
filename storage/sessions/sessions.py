"""The life of sessions: opened, touched, closed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from storage import queries
from storage.database import Database, Transaction, Violation
from storage.domain import Reads, View, Way, Writes, each, taken
from storage.errors import CommandRefused, NotFound
from storage.model import values
from storage.model.command import Command
from storage.model.sessions import (
    CLOSED,
    CloseSession,
    DeleteSession,
    OpenSession,
    Session,
    TouchSession,
)
from storage.rows import Rows

SQL = queries.load("storage.sessions", "sessions.sql")


class SessionLives(View):
    """What one agent may do with sessions, which are its own."""

    async def open(
        self,
        session_key: str,
        *,
        session_id: str | None = None,
        started_at: datetime | None = None,
        **columns: Any,
    ) -> Session:
        """Open a session. Where the agent has one of that key, that one is active again.

        Args:
            session_key: 1 to 256 characters; no other agent may have one of that key.
            session_id: A UUIDv7 is made where none is given.
            columns: Other columns of `Session`. Opened again, a session takes channel_id and
                project_path from here.

        Returns:
            The session as it is stored; also over the bus, which takes until it is committed.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: another agent has that key, or another session that id.
        """
        moment = values.moment("started_at", started_at) or values.now()
        columns.setdefault("last_activity_at", moment)
        session = Session(
            id=session_id or values.new_id(),
            agent_id=self.agent,
            session_key=session_key,
            started_at=moment,
            **columns,
        )
        await self._port.write(OpenSession(session=session))
        stored = await self.find_session(session_key)
        if stored is None:
            raise CommandRefused(
                0, f"session {session_key} of {self.agent} was not opened: is it another agent's?"
            )
        return stored

    async def touch(self, session_id: str, *, messages: int = 0, tokens: int | None = None) -> None:
        """Something happened in a session: it has that many more messages and tokens."""
        await self._port.write(
            TouchSession(
                agent_id=self.agent,
                session_id=session_id,
                messages=messages,
                tokens=tokens,
                at=values.now(),
            )
        )

    async def close(self, session_id: str, *, summary: str | None = None) -> None:
        """A session is over; its summary stays what it was unless one is given."""
        await self._port.write(
            CloseSession(
                agent_id=self.agent, session_id=session_id, summary=summary, at=values.now()
            )
        )

    async def delete_session(self, session_id: str) -> None:
        """Forget a session with its observations; one that is not there is no error."""
        await self._port.write(DeleteSession(agent_id=self.agent, session_id=session_id))

    async def get_session(self, session_id: str) -> Session | None:
        """The session, or None where this agent has none of that id."""
        session: Session | None = await self._port.read(
            "sessions", "get_session", session_id=session_id
        )
        return session

    async def find_session(self, session_key: str) -> Session | None:
        """The session with that key, or None where this agent has none."""
        session: Session | None = await self._port.read(
            "sessions", "find_session", session_key=session_key
        )
        return session

    async def list_sessions(
        self,
        *,
        status: str | None = None,
        channel_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Session]:
        """Sessions of this agent, the last active first.

        Args:
            status: `active` or `closed`.
            since: Those last active at this time or later; `until`: before that.
        """
        sessions: list[Session] = await self._port.read(
            "sessions",
            "list_sessions",
            status=status,
            channel_id=channel_id,
            since=since,
            until=until,
            limit=limit,
            offset=offset,
        )
        return sessions


class SessionReads(Reads):
    """Reads of sessions."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Session, database.spelling, "sessions")
        self._time_in = database.spelling.time_in

    async def get_session(self, agent: str, session_id: str) -> Session | None:
        values.text("session_id", session_id)
        return await self._one(agent, self._rows, SQL["get_session"], session_id)

    async def find_session(self, agent: str, session_key: str) -> Session | None:
        values.text("session_key", session_key)
        return await self._one(agent, self._rows, SQL["find_session"], session_key)

    async def list_sessions(
        self,
        agent: str,
        *,
        status: str | None = None,
        channel_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Session]:
        return await self._all(
            agent,
            self._rows,
            SQL["list_sessions"],
            values.text("status", status or ""),
            values.text("channel_id", channel_id or ""),
            *map(self._time_in, values.span(since, until)),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )


class SessionWrites(Writes):
    """Applies commands on sessions; many new ones at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(Session, database.spelling, "sessions")
        place = self._rows.columns.index
        self._keys = ((place("id"),), (place("session_key"),))

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            OpenSession: Way(self._open),
            TouchSession: each(self._touch),
            CloseSession: each(self._close),
            DeleteSession: each(self._delete),
        }

    async def _open(self, transaction: Transaction, commands: Sequence[OpenSession]) -> None:
        rows = [self._rows.to_row(command.session) for command in commands]
        try:
            await transaction.execute_many(SQL["open_session"], rows, keys=self._keys)
        except Violation as error:
            if "NOT NULL" in str(error):
                key = commands[0].session.session_key
                raise Violation(
                    f"session_key: {key} is another agent's session: give another key"
                ) from error
            if "sessions.id" in str(error):
                raise taken("session", commands[0].session.id) from error
            raise

    async def _touch(self, transaction: Transaction, command: TouchSession) -> None:
        target = (command.session_id, command.agent_id)
        tokens = -1 if command.tokens is None else command.tokens
        at = self._spelling.time_in(command.at)
        sql = SQL["touch_session"]
        if not await transaction.fetch(sql, *target, command.messages, tokens, at):
            raise missing(*target)

    async def _close(self, transaction: Transaction, command: CloseSession) -> None:
        target = (command.session_id, command.agent_id)
        at = self._spelling.time_in(command.at)
        sql = SQL["close_session"]
        if not await transaction.fetch(sql, *target, CLOSED, command.summary, at):
            raise missing(*target)

    async def _delete(self, transaction: Transaction, command: DeleteSession) -> None:
        await transaction.fetch(SQL["delete_session"], command.session_id, command.agent_id)


def missing(session_id: str, agent: str) -> NotFound:
    """There is no such session, or it is not the agent's."""
    return NotFound(f"session_id: agent {agent} has no session {session_id}")
