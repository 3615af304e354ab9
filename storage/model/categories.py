"""Categories: what memory items are filed under, and the commands that change it."""

from datetime import datetime
from typing import Any, Final, Self

import msgspec

from . import values
from .command import Changes, Command, check_target

#: Longest name of a category or an entity, in characters: it has to fit an index of PostgreSQL.
MOST_NAME: Final = 500


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `categories`: its agent's alone.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: Whose it is.
        name: Unique for an agent.
        description: What it is meant for, or None.
        embedding: Little-endian float32, or None; `vector` has its numbers.
        summary: Of what is filed under it.
        created_at, updated_at: With a time zone.

    Example:
        flaky: Category = await mine.memory.create_category("flaky", description="to be mended")
        item = await mine.memory.create_item(summary="the parser test", memory_type="event")
        await mine.memory.link_category(item.id, flaky.id)
        filed = await mine.memory.items_of_category(flaky.id)
        print([one.summary for one in filed])  #> ['the parser test']
    """

    id: str
    agent_id: str
    name: str
    description: str | None = None
    embedding: bytes | None = None
    summary: str | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def vector(self) -> list[float] | None:
        """The embedding as numbers."""
        return None if self.embedding is None else values.unpack_vector(self.embedding)


class ItemCategory(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `item_categories`: an item that is filed under a category."""

    item_id: str
    category_id: str


class CreateCategory(Command, frozen=True, kw_only=True, tag=True):
    """Add a category; its name must be new to its agent."""

    area = "memory"

    category: Category

    @property
    def agent_id(self) -> str:
        return self.category.agent_id

    def checked(self, dimensions: int) -> Self:
        checked_category(self.category, dimensions)
        return self


class EnsureCategory(CreateCategory, frozen=True, kw_only=True, tag=True):
    """Add a category, unless its agent has one of that name."""


class UpdateCategory(Command, frozen=True, kw_only=True, tag=True):
    """Change columns of a category: rename it, describe it, summarise it."""

    area = "memory"

    agent_id: str
    category_id: str
    changes: dict[str, Any]
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("category_id", self.category_id, self.at)
        CHANGES.check(self.changes, dimensions)
        return self


class DeleteCategory(Command, frozen=True, kw_only=True, tag=True):
    """Drop a category of the agent's own; what is filed under it stays."""

    area = "memory"

    agent_id: str
    category_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("category_id", self.category_id)
        return self


class LinkCategory(Command, frozen=True, kw_only=True, tag=True):
    """File an item under a category, both of the agent's own."""

    area = "memory"

    agent_id: str
    item_id: str
    category_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("item_id", self.item_id)
        check_target("category_id", self.category_id)
        return self


class UnlinkCategory(LinkCategory, frozen=True, kw_only=True, tag=True):
    """Take an item out of a category."""


COMMANDS: Final = (
    CreateCategory,
    EnsureCategory,
    UpdateCategory,
    DeleteCategory,
    LinkCategory,
    UnlinkCategory,
)

#: Columns that `UpdateCategory` may change.
CHANGEABLE: Final = ("name", "description", "embedding", "summary")


def checked_category(category: Category, dimensions: int) -> Category:
    """Return `category` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", category.id, least=1, most=128)
    values.text("agent_id", category.agent_id, least=1, most=128)
    values.text("name", category.name, least=1, most=MOST_NAME)
    values.optional_text("description", category.description)
    values.check_packed("embedding", category.embedding, dimensions)
    values.optional_text("summary", category.summary)
    values.known_moment("created_at", category.created_at)
    values.known_moment("updated_at", category.updated_at)
    return category


_NOW: Final = values.now()
CHANGES: Final = Changes(
    Category(id="x", agent_id="x", name="x", created_at=_NOW, updated_at=_NOW),
    CHANGEABLE,
    checked_category,
)
