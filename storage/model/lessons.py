"""Lessons: what agents learned from what they did, and the commands that change it."""

from datetime import datetime
from typing import Any, Final, Self

import msgspec

from storage.errors import InvalidValue

from . import values
from .command import Changes, Command, check_target
from .items import VISIBILITIES

TYPES: Final = (
    "mistake",
    "success",
    "workaround",
    "discovery",
    "error_correction",
    "best_practice",
    "anti_pattern",
)


class Lesson(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `lessons`.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: Whose it is.
        type: One of `TYPES`.
        context, action, outcome: Where it was learned, what was done there, and what came of it.
        lesson: What was learned, in words.
        correction: What to do instead.
        confidence: 0 to 1.
        occurrences: How often it was learned.
        last_seen: When it was learned last.
        tags, related_tools: What it may be found by, and names of tools that it is about.
        source_episode_ids: What it was learned from.
        embedding: Little-endian float32, or None; `vector` has its numbers.
        visibility: `private` (its agent's), `team`, `family` or `public`.
        created_at, updated_at: With a time zone.

    Example:
        learned: Lesson = await mine.memory.create_lesson(
            type="mistake", context="a review", action="approved unseen", outcome="a broken build",
            lesson="run the tests first", related_tools=["pytest"],
        )
        await mine.memory.reinforce_lesson(learned.id)
        hits: list[LessonHit] = await mine.memory.search_lessons("tests")
        print(hits[0].lesson.lesson, hits[0].lesson.confidence)  #> run the tests first 0.6
    """

    id: str
    agent_id: str
    type: str
    context: str
    action: str
    outcome: str
    lesson: str
    correction: str | None = None
    confidence: float = 0.5
    occurrences: int = 1
    last_seen: datetime
    tags: list[str] = []
    related_tools: list[str] = []
    source_episode_ids: list[str] = []
    embedding: bytes | None = None
    visibility: str = "private"
    created_at: datetime
    updated_at: datetime

    @property
    def vector(self) -> list[float] | None:
        """The embedding as numbers."""
        return None if self.embedding is None else values.unpack_vector(self.embedding)


class CreateLesson(Command, frozen=True, kw_only=True, tag=True):
    """Write a lesson down."""

    area = "lessons"

    lesson: Lesson

    @property
    def agent_id(self) -> str:
        return self.lesson.agent_id

    def checked(self, dimensions: int) -> Self:
        checked_lesson(self.lesson, dimensions)
        return self


class UpdateLesson(Command, frozen=True, kw_only=True, tag=True):
    """Change columns of a lesson of the agent's own."""

    area = "lessons"

    agent_id: str
    lesson_id: str
    changes: dict[str, Any]
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("lesson_id", self.lesson_id, self.at)
        CHANGES.check(self.changes, dimensions)
        return self


class ReinforceLesson(Command, frozen=True, kw_only=True, tag=True):
    """A lesson was learned once more: its confidence grows by 0.1, up to 1."""

    area = "lessons"

    agent_id: str
    lesson_id: str
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("lesson_id", self.lesson_id, self.at)
        return self


class DecayLesson(Command, frozen=True, kw_only=True, tag=True):
    """Trust a lesson less, but not less than not at all."""

    area = "lessons"

    agent_id: str
    lesson_id: str
    amount: float
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("lesson_id", self.lesson_id, self.at)
        values.number("amount", self.amount, 0, 1)
        return self


class DecayLessons(Command, frozen=True, kw_only=True, tag=True):
    """Trust those of the agent's lessons less that were last seen before a time.

    Attributes:
        before: The time.
    """

    area = "lessons"

    agent_id: str
    amount: float
    before: datetime
    at: datetime

    def checked(self, dimensions: int) -> Self:
        values.number("amount", self.amount, 0, 1)
        values.known_moment("before", self.before)
        values.known_moment("at", self.at)
        return self


class MergeLessons(Command, frozen=True, kw_only=True, tag=True):
    """Make one lesson of two of the agent's own: the keeper stays, the other goes."""

    area = "lessons"

    agent_id: str
    keeper_id: str
    other_id: str
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("keeper_id", self.keeper_id, self.at)
        check_target("other_id", self.other_id)
        if self.keeper_id == self.other_id:
            raise InvalidValue("other_id", "is the keeper itself: name two lessons")
        return self


class DeleteLesson(Command, frozen=True, kw_only=True, tag=True):
    """Forget a lesson of the agent's own."""

    area = "lessons"

    agent_id: str
    lesson_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("lesson_id", self.lesson_id)
        return self


COMMANDS: Final = (
    CreateLesson,
    UpdateLesson,
    ReinforceLesson,
    DecayLesson,
    DecayLessons,
    MergeLessons,
    DeleteLesson,
)

#: Columns that `UpdateLesson` may change.
CHANGEABLE: Final = (
    "type",
    "context",
    "action",
    "outcome",
    "lesson",
    "correction",
    "confidence",
    "tags",
    "related_tools",
    "source_episode_ids",
    "embedding",
    "visibility",
)


def checked_lesson(lesson: Lesson, dimensions: int) -> Lesson:
    """Return `lesson` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", lesson.id, least=1, most=128)
    values.one_of("type", lesson.type, TYPES)
    for field in ("context", "action", "outcome"):
        values.text(field, getattr(lesson, field))
    values.text("lesson", lesson.lesson, least=1)
    values.optional_text("correction", lesson.correction)
    values.number("confidence", lesson.confidence, 0, 1)
    values.whole("occurrences", lesson.occurrences, 1, 2**53)
    values.known_moment("last_seen", lesson.last_seen)
    values.texts("tags", lesson.tags, most=256)
    values.texts("related_tools", lesson.related_tools, most=256)
    values.texts("source_episode_ids", lesson.source_episode_ids, most=128)
    values.check_packed("embedding", lesson.embedding, dimensions)
    values.one_of("visibility", lesson.visibility, VISIBILITIES)
    values.known_moment("created_at", lesson.created_at)
    values.known_moment("updated_at", lesson.updated_at)
    return lesson


_NOW: Final = values.now()
CHANGES: Final = Changes(
    Lesson(
        id="x",
        agent_id="x",
        type="success",
        context="x",
        action="x",
        outcome="x",
        lesson="x",
        last_seen=_NOW,
        created_at=_NOW,
        updated_at=_NOW,
    ),
    CHANGEABLE,
    checked_lesson,
)
