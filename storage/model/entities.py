"""Entities: people, pets, places, organizations and projects that memories are about."""

from datetime import datetime
from typing import Any, Final, Self

import msgspec

from . import values
from .categories import MOST_NAME
from .command import Changes, Command, check_target
from .items import VISIBILITIES

ENTITY_TYPES: Final = ("person", "pet", "place", "organization", "project")


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `entities`.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: Whose it is.
        name: Unique for an agent.
        entity_type: person, pet, place, organization or project.
        relationship, emotional_texture: What it is to its agent, and how that feels, in words.
        bond_strength: 0 to 1.
        profile_summary: What is known of it, in words.
        first_mentioned_at: When an item was linked to it first.
        last_mentioned_at: When one was linked to it last.
        memory_count: How many items mention it.
        embedding: Little-endian float32, or None; `vector` has its numbers.
        visibility: `private` (its agent's), `team`, `family` or `public`.
        created_at, updated_at: With a time zone.

    Example:
        ada: Entity = await mine.memory.get_or_create_entity("Ada", relationship="maintainer")
        item = await mine.memory.create_item(summary="Ada wrote the parser", memory_type="event")
        await mine.memory.link_entity(item.id, ada.id, role="author")
        print((await mine.memory.get_entity(ada.id)).memory_count)  #> 1
    """

    id: str
    agent_id: str
    name: str
    entity_type: str = "person"
    relationship: str | None = None
    bond_strength: float = 0.5
    emotional_texture: str | None = None
    profile_summary: str | None = None
    first_mentioned_at: datetime | None = None
    last_mentioned_at: datetime | None = None
    memory_count: int = 0
    embedding: bytes | None = None
    visibility: str = "private"
    created_at: datetime
    updated_at: datetime

    @property
    def vector(self) -> list[float] | None:
        """The embedding as numbers."""
        return None if self.embedding is None else values.unpack_vector(self.embedding)


class ItemEntity(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `item_entities`: an item that mentions an entity."""

    item_id: str
    entity_id: str
    role: str = "mentioned"


class CreateEntity(Command, frozen=True, kw_only=True, tag=True):
    """Add an entity; its name must be new to its agent."""

    area = "memory"

    entity: Entity

    @property
    def agent_id(self) -> str:
        return self.entity.agent_id

    def checked(self, dimensions: int) -> Self:
        checked_entity(self.entity, dimensions)
        return self


class EnsureEntity(CreateEntity, frozen=True, kw_only=True, tag=True):
    """Add an entity, unless its agent has one of that name."""


class UpdateEntity(Command, frozen=True, kw_only=True, tag=True):
    """Change columns of an entity of the agent's own."""

    area = "memory"

    agent_id: str
    entity_id: str
    changes: dict[str, Any]
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("entity_id", self.entity_id, self.at)
        CHANGES.check(self.changes, dimensions)
        return self


class DeleteEntity(Command, frozen=True, kw_only=True, tag=True):
    """Forget an entity of the agent's own; items that mention it stay."""

    area = "memory"

    agent_id: str
    entity_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("entity_id", self.entity_id)
        return self


class LinkEntity(Command, frozen=True, kw_only=True, tag=True):
    """Note that an item mentions an entity, both of the agent's own. Twice counts once.

    Attributes:
        role: Of the entity in the item; the last one given is kept.
        at: When: `last_mentioned_at` of the entity.
    """

    area = "memory"

    agent_id: str
    item_id: str
    entity_id: str
    role: str = "mentioned"
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("item_id", self.item_id, self.at)
        check_target("entity_id", self.entity_id)
        values.text("role", self.role, least=1, most=256)
        return self


class UnlinkEntity(Command, frozen=True, kw_only=True, tag=True):
    """An item does not mention an entity after all."""

    area = "memory"

    agent_id: str
    item_id: str
    entity_id: str
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("item_id", self.item_id, self.at)
        check_target("entity_id", self.entity_id)
        return self


COMMANDS: Final = (
    CreateEntity,
    EnsureEntity,
    UpdateEntity,
    DeleteEntity,
    LinkEntity,
    UnlinkEntity,
)

#: Columns that `UpdateEntity` may change.
CHANGEABLE: Final = (
    "name",
    "entity_type",
    "relationship",
    "bond_strength",
    "emotional_texture",
    "profile_summary",
    "embedding",
    "visibility",
)


def checked_entity(entity: Entity, dimensions: int) -> Entity:
    """Return `entity` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", entity.id, least=1, most=128)
    values.text("agent_id", entity.agent_id, least=1, most=128)
    values.text("name", entity.name, least=1, most=MOST_NAME)
    values.one_of("entity_type", entity.entity_type, ENTITY_TYPES)
    values.optional_text("relationship", entity.relationship)
    values.number("bond_strength", entity.bond_strength, 0, 1)
    values.optional_text("emotional_texture", entity.emotional_texture)
    values.optional_text("profile_summary", entity.profile_summary)
    values.moment("first_mentioned_at", entity.first_mentioned_at)
    values.moment("last_mentioned_at", entity.last_mentioned_at)
    values.whole("memory_count", entity.memory_count, 0, 2**53)
    values.check_packed("embedding", entity.embedding, dimensions)
    values.one_of("visibility", entity.visibility, VISIBILITIES)
    values.known_moment("created_at", entity.created_at)
    values.known_moment("updated_at", entity.updated_at)
    return entity


_NOW: Final = values.now()
CHANGES: Final = Changes(
    Entity(id="x", agent_id="x", name="x", created_at=_NOW, updated_at=_NOW),
    CHANGEABLE,
    checked_entity,
)
