"""Categories: what memory items are filed under."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from storage import queries
from storage.database import Database, Transaction
from storage.domain import Reads, View, Way, each
from storage.model import values
from storage.model.categories import (
    CHANGES,
    Category,
    CreateCategory,
    DeleteCategory,
    EnsureCategory,
    LinkCategory,
    UnlinkCategory,
    UpdateCategory,
)
from storage.model.command import Command
from storage.rows import Rows

from .named import NamedWrites

SQL = queries.load("storage.memory", "categories.sql")


class CategoryCount(msgspec.Struct, frozen=True):
    """How many items are filed under a category."""

    category: Category
    items: int


class Categories(View):
    """What one agent may do with categories: its own."""

    async def create_category(
        self,
        name: str,
        *,
        description: str | None = None,
        summary: str | None = None,
        embedding: Sequence[float] | None = None,
        category_id: str | None = None,
        created_at: datetime | None = None,
    ) -> Category:
        """Add a category.

        Args:
            name: 1 to 500 characters, new to this agent.
            category_id: A UUIDv7 is made where none is given.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: the agent has a category of that name.
        """
        category = await self._category(
            name, description, summary, embedding, category_id, created_at=created_at
        )
        await self._port.write(CreateCategory(category=category))
        return category

    async def get_or_create_category(
        self,
        name: str,
        *,
        description: str | None = None,
        summary: str | None = None,
        embedding: Sequence[float] | None = None,
    ) -> Category:
        """The agent's category of that name; where there is none, a new one.

        However many ask at once, it is one and the same for all.
        """
        found = await self.find_category(name)
        if found is None:
            category = await self._category(name, description, summary, embedding, None)
            await self._port.write(EnsureCategory(category=category))
            found = await self.find_category(name) or category
        return found

    async def _category(
        self,
        name: str,
        description: str | None,
        summary: str | None,
        embedding: Sequence[float] | None,
        category_id: str | None,
        created_at: datetime | None = None,
    ) -> Category:
        moment = values.moment("created_at", created_at) or values.now()
        return Category(
            id=category_id or values.new_id(),
            agent_id=self.agent,
            name=name,
            description=description,
            embedding=await self._packed(embedding),
            summary=summary,
            created_at=moment,
            updated_at=moment,
        )

    async def get_category(self, category_id: str) -> Category | None:
        """The category, or None where this agent has no such."""
        category: Category | None = await self._port.read(
            "categories", "get_category", category_id=category_id
        )
        return category

    async def find_category(self, name: str) -> Category | None:
        """The agent's category of that very name, or None."""
        category: Category | None = await self._port.read("categories", "find_category", name=name)
        return category

    async def list_categories(self, *, limit: int = 100, offset: int = 0) -> list[Category]:
        """The agent's categories, by name.

        Args:
            limit, offset: Most categories, up to 10,000, and how many of the first to pass over.

        Raises:
            InvalidValue: a limit or an offset that cannot be.
        """
        found: list[Category] = await self._port.read(
            "categories", "list_categories", limit=limit, offset=offset
        )
        return found

    async def count_categories(self, *, limit: int = 100, offset: int = 0) -> list[CategoryCount]:
        """The categories as `list_categories` has them, each with how many items it has."""
        found: list[CategoryCount] = await self._port.read(
            "categories", "count_categories", limit=limit, offset=offset
        )
        return found

    async def categories_of_item(self, item_id: str) -> list[Category]:
        """The agent's categories that an item is filed under, by name."""
        found: list[Category] = await self._port.read(
            "categories", "categories_of_item", item_id=item_id
        )
        return found

    async def update_category(self, category_id: str, **changes: Any) -> None:
        """Change columns of a category: name, description, summary, embedding.

        Raises:
            InvalidValue: a value that no table may hold, or a column that stays as it is.
            CommandRefused: there is no such category, or another one of that name.
        """
        await self._pack_in(changes)
        await self._port.write(
            UpdateCategory(
                agent_id=self.agent, category_id=category_id, changes=changes, at=values.now()
            )
        )

    async def rename_category(self, category_id: str, name: str) -> None:
        """Give a category another name, new to this agent."""
        await self.update_category(category_id, name=name)

    async def summarise_category(self, category_id: str, summary: str | None) -> None:
        """Say in a summary what is filed under a category."""
        await self.update_category(category_id, summary=summary)

    async def delete_category(self, category_id: str) -> None:
        """Drop a category; what was filed under it stays. One that is not there is no error."""
        await self._port.write(DeleteCategory(agent_id=self.agent, category_id=category_id))

    async def link_category(self, item_id: str, category_id: str) -> None:
        """File an item under a category, both this agent's own; twice is once.

        Raises:
            CommandRefused: there is no such item or category.
        """
        await self._port.write(
            LinkCategory(agent_id=self.agent, item_id=item_id, category_id=category_id)
        )

    async def unlink_category(self, item_id: str, category_id: str) -> None:
        """Take an item out of a category; where it is not in it, nothing happens."""
        await self._port.write(
            UnlinkCategory(agent_id=self.agent, item_id=item_id, category_id=category_id)
        )


class CategoryReads(Reads):
    """Reads of categories."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Category, database.spelling, "categories")

    async def get_category(self, agent: str, category_id: str) -> Category | None:
        values.text("category_id", category_id)
        return await self._one(agent, self._rows, SQL["get_category"], category_id)

    async def find_category(self, agent: str, name: str) -> Category | None:
        return await self._one(agent, self._rows, SQL["find_category"], values.text("name", name))

    async def list_categories(
        self, agent: str, *, limit: int = 100, offset: int = 0
    ) -> list[Category]:
        page = _page(limit, offset)
        return await self._all(agent, self._rows, SQL["list_categories"], *page)

    async def count_categories(
        self, agent: str, *, limit: int = 100, offset: int = 0
    ) -> list[CategoryCount]:
        sql = SQL["count_categories"] % self._rows.selected
        found = await self._database.fetch(sql, agent, *_page(limit, offset), scope=agent)
        return [CategoryCount(self._rows.from_row(row), int(row[-1])) for row in found]

    async def categories_of_item(self, agent: str, item_id: str) -> list[Category]:
        values.text("item_id", item_id)
        return await self._all(agent, self._rows, SQL["categories_of_item"], item_id)


def _page(limit: int, offset: int) -> tuple[int, int]:
    return values.at_most("limit", limit, 10_000), values.at_most("offset", offset, 2**53)


class CategoryWrites(NamedWrites):
    """Applies commands on categories."""

    def __init__(self, database: Database) -> None:
        rows = Rows(Category, database.spelling, "categories")
        super().__init__(database, rows, "category", SQL, CHANGES)

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            CreateCategory: Way(self._create),
            EnsureCategory: Way(self._ensure),
            UpdateCategory: each(self._update),
            DeleteCategory: each(self._delete),
            LinkCategory: each(self._link),
            UnlinkCategory: each(self._unlink),
        }

    async def _create(self, transaction: Transaction, commands: Sequence[CreateCategory]) -> None:
        await self._insert(transaction, "create", [command.category for command in commands])

    async def _ensure(self, transaction: Transaction, commands: Sequence[EnsureCategory]) -> None:
        await self._insert(transaction, "ensure", [command.category for command in commands])

    async def _update(self, transaction: Transaction, command: UpdateCategory) -> None:
        target = (command.category_id, command.agent_id)
        await self._update_row(transaction, *target, command.changes, command.at)

    async def _delete(self, transaction: Transaction, command: DeleteCategory) -> None:
        await self._delete_row(transaction, command.category_id, command.agent_id)

    async def _link(self, transaction: Transaction, command: LinkCategory) -> None:
        target = (command.item_id, command.category_id, command.agent_id)
        if not await transaction.fetch(SQL["link"], *target):
            raise await self._explain_no_link(transaction, *target)

    async def _unlink(self, transaction: Transaction, command: UnlinkCategory) -> None:
        target = (command.item_id, command.category_id, command.agent_id)
        await transaction.fetch(SQL["unlink"], *target)
