"""Sessions: conversations that agents have, and the commands on their life."""

from datetime import datetime
from typing import Any, Final, Self

import msgspec

from . import values
from .command import Command, check_target

#: What a session is when it is opened, and after it was closed.
ACTIVE: Final = "active"
CLOSED: Final = "closed"

#: Greatest count.
MOST: Final = 2**53


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `sessions`. Its agent's own.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: Whose it is.
        session_key: What the agent calls it; unique among all agents.
        status: `active` or `closed`, or what another program made it.
        channel_id, project_path: Where it is held, and what is worked on; or None.
        started_at: When it was opened first.
        last_activity_at: When it was opened, touched or closed last.
        ended_at: When it was closed, or None.
        message_count: How many messages it has.
        token_count: None while nobody has counted.
        summary: What it was about, or None.
        metadata: Whatever belongs to it, as JSON.

    Example:
        session: Session = await mine.sessions.open("review-7", channel_id="terminal")
        seen: Observation = await mine.sessions.record(session.id, summary="a flaky test")
        await mine.sessions.touch(session.id, messages=2, tokens=300)
        await mine.sessions.close(session.id, summary="done")
        [closed] = await mine.sessions.list_sessions(status="closed")
        print(closed.message_count, closed.summary, seen.type)  #> 2 done tool_result
    """

    id: str
    agent_id: str
    session_key: str
    channel_id: str | None = None
    status: str = ACTIVE
    project_path: str | None = None
    started_at: datetime
    last_activity_at: datetime
    ended_at: datetime | None = None
    message_count: int = 0
    token_count: int | None = None
    summary: str | None = None
    metadata: dict[str, Any] = {}


class OpenSession(Command, frozen=True, kw_only=True, tag=True):
    """Open a session. Where the agent has one of that key already, that one is active again."""

    area = "sessions"

    session: Session

    @property
    def agent_id(self) -> str:
        return self.session.agent_id

    def checked(self, dimensions: int) -> Self:
        check_session(self.session)
        return self


class TouchSession(Command, frozen=True, kw_only=True, tag=True):
    """Something happened in a session.

    Attributes:
        messages: How many more there were.
        tokens: How many more there were; None: nobody counted.
    """

    area = "sessions"

    agent_id: str
    session_id: str
    messages: int = 0
    tokens: int | None = None
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("session_id", self.session_id, self.at)
        values.whole("messages", self.messages, 0, 2**31)
        if self.tokens is not None:
            values.whole("tokens", self.tokens, 0, 2**31)
        return self


class CloseSession(Command, frozen=True, kw_only=True, tag=True):
    """A session is over.

    Attributes:
        summary: What it was about; None: what is there stays.
    """

    area = "sessions"

    agent_id: str
    session_id: str
    summary: str | None = None
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("session_id", self.session_id, self.at)
        values.optional_text("summary", self.summary)
        return self


class DeleteSession(Command, frozen=True, kw_only=True, tag=True):
    """Forget a session of the agent's own, with its observations."""

    area = "sessions"

    agent_id: str
    session_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("session_id", self.session_id)
        return self


COMMANDS: Final = (OpenSession, TouchSession, CloseSession, DeleteSession)


def check_session(session: Session) -> None:
    """Check every value.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", session.id, least=1, most=128)
    values.text("session_key", session.session_key, least=1, most=256)
    values.optional_text("channel_id", session.channel_id, most=256)
    values.text("status", session.status, least=1, most=64)
    values.optional_text("project_path", session.project_path, most=4096)
    values.known_moment("started_at", session.started_at)
    values.known_moment("last_activity_at", session.last_activity_at)
    values.moment("ended_at", session.ended_at)
    values.whole("message_count", session.message_count, 0, MOST)
    if session.token_count is not None:
        values.whole("token_count", session.token_count, 0, MOST)
    values.optional_text("summary", session.summary)
    values.json_object("metadata", session.metadata)
