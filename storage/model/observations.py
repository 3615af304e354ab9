"""Observations: what happened in a session, and the command that records some."""

from datetime import datetime
from typing import Any, Final, Self

import msgspec

from storage.errors import InvalidValue

from . import snowflake, values
from .command import Command

TYPES: Final = (
    "session_start",
    "session_end",
    "tool_call",
    "tool_result",
    "user_message",
    "assistant_message",
    "error",
    "note",
    "learning",
)

#: Most that one command records.
MOST: Final = 1000

#: Greatest importance.
MOST_IMPORTANT: Final = 10


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `observations`. Its agent's own, and never changed.

    Attributes:
        id: A number that grows (see `snowflake`).
        session_id: The session that it was made in, which is of the same agent.
        agent_id: Who made it.
        type: One of `TYPES`.
        tool_name, input, output: Of a tool: its name, what it was given and what it answered.
        summary: What happened, in words.
        channel_id: Where it happened, or None.
        importance: 0 to 10.
        metadata: Whatever belongs to it, as JSON.
        created_at: When it was made, with a time zone.

    Example: See `Session`.
    """

    id: int
    session_id: str
    agent_id: str | None = None
    type: str = "tool_result"
    tool_name: str | None = None
    input: str | None = None
    output: str | None = None
    summary: str | None = None
    channel_id: str | None = None
    importance: int = 5
    metadata: dict[str, Any] = {}
    created_at: datetime


class RecordObservations(Command, frozen=True, kw_only=True, tag=True):
    """Record observations: all of them, or none.

    Where an id is taken by another process's, the next free one is taken instead: the same row
    again is known by its id, session, agent and time.

    Attributes:
        observations: 1 to 1,000, of the agent's own sessions.
    """

    area = "sessions"

    agent_id: str
    observations: list[Observation]

    def checked(self, dimensions: int) -> Self:
        count = len(self.observations)
        if not 1 <= count <= MOST:
            raise InvalidValue("observations", f"are {count:,}, and must be 1 to {MOST:,}: split")
        for place, one in enumerate(self.observations):
            if one.agent_id != self.agent_id:
                raise InvalidValue(
                    f"observations[{place}].agent_id",
                    f"is {ascii(one.agent_id)[:60]}, and must be who records it",
                )
            check_observation(one)
        return self


COMMANDS: Final = (RecordObservations,)


def check_observation(observation: Observation) -> None:
    """Check every value.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.whole("id", observation.id, 0, snowflake.MOST)
    values.text("session_id", observation.session_id, least=1, most=128)
    values.one_of("type", observation.type, TYPES)
    for field in ("tool_name", "channel_id"):
        values.optional_text(field, getattr(observation, field), most=256)
    for field in ("input", "output", "summary"):
        values.optional_text(field, getattr(observation, field))
    values.whole("importance", observation.importance, 0, MOST_IMPORTANT)
    values.json_object("metadata", observation.metadata)
    values.known_moment("created_at", observation.created_at)
