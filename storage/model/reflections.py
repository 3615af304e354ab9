"""Reflections: what agents make of a stretch of time, and the command that writes one down."""

from datetime import datetime
from typing import Final, Self

import msgspec

from storage.errors import InvalidValue

from . import values
from .command import Command

TRIGGERS: Final = ("heartbeat", "evening_cron", "significant_event", "manual", "contemplation")


class Reflection(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `reflections`. Its agent's own, and never changed.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: Whose it is.
        trigger_type: What it was made for: one of `TRIGGERS`.
        period_start, period_end: The time that it is about, with a time zone; or None.
        content: The reflection itself, in words.
        lessons_extracted, entities_involved, self_insights: What its agent learned, who and what
            had to do with it, and what its agent found out about itself, in words.
        mood: Of its agent, in words; or None.
        created_at: With a time zone.

    Example:
        evening: Reflection = await mine.memory.create_reflection(
            trigger_type="evening_cron", content="Ten reviews.", self_insights=["I hurry"]
        )
        found = await mine.memory.list_reflections(since=evening.created_at)
        print([one.self_insights for one in found])  #> [['I hurry']]
    """

    id: str
    agent_id: str
    trigger_type: str
    period_start: datetime | None = None
    period_end: datetime | None = None
    content: str
    lessons_extracted: list[str] = []
    entities_involved: list[str] = []
    self_insights: list[str] = []
    mood: str | None = None
    created_at: datetime


class CreateReflection(Command, frozen=True, kw_only=True, tag=True):
    """Write a reflection down."""

    area = "reflections"

    reflection: Reflection

    @property
    def agent_id(self) -> str:
        return self.reflection.agent_id

    def checked(self, dimensions: int) -> Self:
        check_reflection(self.reflection)
        return self


COMMANDS: Final = (CreateReflection,)


def check_reflection(reflection: Reflection) -> None:
    """Check every value.

    Raises:
        InvalidValue: a value that no table may hold, or a period that ends before it starts.
    """
    values.text("id", reflection.id, least=1, most=128)
    values.one_of("trigger_type", reflection.trigger_type, TRIGGERS)
    start = values.moment("period_start", reflection.period_start)
    end = values.moment("period_end", reflection.period_end)
    if start is not None and end is not None and end < start:
        raise InvalidValue("period_end", "is before period_start: exchange the two")
    values.text("content", reflection.content, least=1)
    values.texts("lessons_extracted", reflection.lessons_extracted, most=100_000)
    values.texts("entities_involved", reflection.entities_involved, most=1000)
    values.texts("self_insights", reflection.self_insights, most=100_000)
    values.optional_text("mood", reflection.mood, most=1000)
    values.known_moment("created_at", reflection.created_at)
