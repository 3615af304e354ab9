"""Memory items: what agents know, and the commands that change it."""

from datetime import datetime
from typing import Any, Final, Self

import msgspec

from . import values
from .command import Changes, Command, check_target

MEMORY_TYPES: Final = (
    "profile",
    "event",
    "knowledge",
    "behavior",
    "skill",
    "tool",
    "self",
    "episode",
)
SIGNIFICANCES: Final = ("routine", "noteworthy", "important", "core")
#: Most characters of what is indexed with an item.
MOST_CONTEXT: Final = 10_000
VISIBILITIES: Final = ("private", "team", "family", "public")


class MemoryItem(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `memory_items`.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: Whose it is.
        resource_id: What it was taken from, or None.
        memory_type: profile, event, knowledge, behavior, skill, tool, self or episode.
        summary: The fact itself, in words.
        context: What is indexed with it and counts for less, such as the turns of a conversation
            around it.
        embedding: Little-endian float32, or None; `vector` has its numbers.
        content_hash: SHA-256 of the trimmed, lower-cased summary; unique for an agent.
        reinforcement_count: How often the fact was stored.
        emotional_valence: -2 (bad) to 2 (good).
        emotional_arousal: 0 (calm) to 1 (excited).
        visibility: `private` (its agent's), `team`, `family` or `public`.
        happened_at: When it happened, where that is known.
        last_reinforced_at: When it was stored again last.
        extra: Whatever belongs to it, as JSON.
        mood_at_capture, reflection, lesson: What its agent felt, thought of it and learned, in
            words.
        significance: routine, noteworthy, important or core.
        created_at, updated_at: With a time zone.

    Example: See `SearchHit`.
    """

    id: str
    agent_id: str
    resource_id: str | None = None
    memory_type: str
    summary: str
    context: str | None = None
    embedding: bytes | None = None
    happened_at: datetime | None = None
    content_hash: str | None = None
    reinforcement_count: int = 1
    last_reinforced_at: datetime | None = None
    extra: dict[str, Any] = {}
    emotional_valence: float = 0.0
    emotional_arousal: float = 0.0
    mood_at_capture: str | None = None
    significance: str = "routine"
    reflection: str | None = None
    lesson: str | None = None
    visibility: str = "private"
    created_at: datetime
    updated_at: datetime

    @property
    def vector(self) -> list[float] | None:
        """The embedding as numbers."""
        return None if self.embedding is None else values.unpack_vector(self.embedding)


class CreateItem(Command, frozen=True, kw_only=True, tag=True):
    """Store a fact. Where the agent has it already (by its hash), that one is reinforced."""

    area = "memory"

    item: MemoryItem

    @property
    def agent_id(self) -> str:
        return self.item.agent_id

    def checked(self, dimensions: int) -> Self:
        return msgspec.structs.replace(self, item=checked_item(self.item, dimensions))


class UpdateItem(Command, frozen=True, kw_only=True, tag=True):
    """Change columns of an item of the agent's own."""

    area = "memory"

    agent_id: str
    item_id: str
    changes: dict[str, Any]
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("item_id", self.item_id, self.at)
        CHANGES.check(self.changes, dimensions)
        return self


class EmbedItem(Command, frozen=True, kw_only=True, tag=True):
    """Give an item of the agent's own its embedding, or take it away."""

    area = "memory"

    agent_id: str
    item_id: str
    embedding: bytes | None
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("item_id", self.item_id, self.at)
        values.check_packed("embedding", self.embedding, dimensions)
        return self


class ReinforceItem(Command, frozen=True, kw_only=True, tag=True):
    """Count a fact once more."""

    area = "memory"

    agent_id: str
    item_id: str
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("item_id", self.item_id, self.at)
        return self


class DeleteItem(Command, frozen=True, kw_only=True, tag=True):
    """Forget an item of the agent's own."""

    area = "memory"

    agent_id: str
    item_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("item_id", self.item_id)
        return self


COMMANDS: Final = (CreateItem, UpdateItem, EmbedItem, ReinforceItem, DeleteItem)

#: Columns that `UpdateItem` may change.
CHANGEABLE: Final = (
    "memory_type",
    "summary",
    "context",
    "embedding",
    "happened_at",
    "extra",
    "emotional_valence",
    "emotional_arousal",
    "mood_at_capture",
    "significance",
    "reflection",
    "lesson",
    "visibility",
)


def checked_item(item: MemoryItem, dimensions: int) -> MemoryItem:
    """Return `item` with every value checked, and its hash computed.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", item.id, least=1, most=128)
    values.text("agent_id", item.agent_id, least=1, most=128)
    values.one_of("memory_type", item.memory_type, MEMORY_TYPES)
    values.optional_text("resource_id", item.resource_id, most=256)
    values.text("summary", item.summary, least=1)
    values.optional_text("context", item.context, most=MOST_CONTEXT)
    values.check_packed("embedding", item.embedding, dimensions)
    values.moment("happened_at", item.happened_at)
    values.whole("reinforcement_count", item.reinforcement_count, 1, 2**53)
    values.moment("last_reinforced_at", item.last_reinforced_at)
    values.number("emotional_valence", item.emotional_valence, -2, 2)
    values.number("emotional_arousal", item.emotional_arousal, 0, 1)
    values.optional_text("mood_at_capture", item.mood_at_capture, most=1000)
    values.one_of("significance", item.significance, SIGNIFICANCES)
    values.optional_text("reflection", item.reflection)
    values.optional_text("lesson", item.lesson)
    values.one_of("visibility", item.visibility, VISIBILITIES)
    values.json_object("extra", item.extra)
    values.known_moment("created_at", item.created_at)
    values.known_moment("updated_at", item.updated_at)
    return msgspec.structs.replace(item, content_hash=values.content_hash(item.summary))


_NOW: Final = values.now()
CHANGES: Final = Changes(
    MemoryItem(
        id="x", agent_id="x", memory_type="event", summary="x", created_at=_NOW, updated_at=_NOW
    ),
    CHANGEABLE,
    checked_item,
)
