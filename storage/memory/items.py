"""Memory items: what an agent knows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from storage import queries
from storage.database import Database, Transaction
from storage.domain import Reads, View, Way, Writes, each
from storage.errors import NotFound
from storage.model import values
from storage.model.command import Command
from storage.model.items import (
    CHANGES,
    MEMORY_TYPES,
    SIGNIFICANCES,
    CreateItem,
    DeleteItem,
    MemoryItem,
    ReinforceItem,
    UpdateItem,
)
from storage.rows import Rows
from storage.search import Search

SQL = queries.load("storage.memory", "items.sql")


class SearchHit(msgspec.Struct, frozen=True):
    """An item that was found.

    Attributes:
        score: 1 for the best possible place in every list, 0 for the last.
    """

    item: MemoryItem
    score: float


class Items(View):
    """What one agent may do with memory items."""

    async def get_item(self, item_id: str) -> MemoryItem | None:
        """The item, or None where there is none that this agent may see."""
        item: MemoryItem | None = await self._port.read("items", "get_item", item_id=item_id)
        return item

    async def find_by_hash(self, content_hash: str) -> MemoryItem | None:
        """The agent's own item with that hash, or None."""
        item: MemoryItem | None = await self._port.read(
            "items", "find_by_hash", content_hash=content_hash
        )
        return item

    async def list_items(
        self,
        *,
        memory_type: str | None = None,
        significance: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[MemoryItem]:
        """Items that this agent may see, the newest first."""
        items: list[MemoryItem] = await self._port.read(
            "items",
            "list_items",
            memory_type=memory_type,
            significance=significance,
            limit=limit,
            offset=offset,
        )
        return items

    async def search(
        self, query: str, *, embedding: Sequence[float] | None = None, limit: int = 10
    ) -> list[SearchHit]:
        """The items that fit best: any word of `query`, and the nearest to `embedding`.

        Raises:
            InvalidValue: the embedding is not of this storage's dimension, or not finite.
        """
        if embedding is not None:
            values.pack_vector("embedding", embedding, self._port.dimensions)
            embedding = list(embedding)
        hits: list[SearchHit] = await self._port.read(
            "items", "search", query=query, embedding=embedding, limit=limit
        )
        return hits

    async def create_item(
        self,
        *,
        summary: str,
        memory_type: str,
        embedding: Sequence[float] | None = None,
        item_id: str | None = None,
        created_at: datetime | None = None,
        **columns: Any,
    ) -> MemoryItem:
        """Store a fact. Where the agent has it already, that one is reinforced instead.

        Args:
            summary: The fact, 1 to 1,000,000 characters.
            memory_type: profile, event, knowledge, behavior, skill, tool, self or episode.
            embedding: Numbers, as many as this storage's dimension (768 by default).
            item_id: A UUIDv7 is made where none is given.
            columns: Other columns of `MemoryItem`.

        Returns:
            The item as it is stored; over the bus, as it was sent.

        Raises:
            InvalidValue: a value that no table may hold.
        """
        moment = values.moment("created_at", created_at) or values.now()
        item = MemoryItem(
            id=item_id or values.new_id(),
            agent_id=self.agent,
            memory_type=memory_type,
            summary=values.text("summary", summary, least=1),
            embedding=values.pack_vector("embedding", embedding, self._port.dimensions),
            content_hash=values.content_hash(summary),
            created_at=moment,
            updated_at=moment,
            **columns,
        )
        await self._port.write(CreateItem(item=item))
        if not self._port.settles:
            return item
        return await self.find_by_hash(item.content_hash or "") or item

    async def update_item(self, item_id: str, **changes: Any) -> None:
        """Change columns of an item of this agent's own.

        Raises:
            InvalidValue: a value that no table may hold, or a column that stays as it is.
        """
        if "embedding" in changes and not isinstance(changes["embedding"], bytes):
            changes["embedding"] = values.pack_vector(
                "embedding", changes["embedding"], self._port.dimensions
            )
        await self._port.write(
            UpdateItem(agent_id=self.agent, item_id=item_id, changes=changes, at=values.now())
        )

    async def reinforce(self, item_id: str) -> None:
        """Count a fact of this agent's own once more."""
        await self._port.write(ReinforceItem(agent_id=self.agent, item_id=item_id, at=values.now()))

    async def delete_item(self, item_id: str) -> None:
        """Forget an item of this agent's own; one that is not there is no error."""
        await self._port.write(DeleteItem(agent_id=self.agent, item_id=item_id))


class ItemReads(Reads):
    """Reads of memory items."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(MemoryItem, database.spelling, "memory_items")
        self._search = Search(database, self._rows, "shared")

    async def get_item(self, agent: str, item_id: str) -> MemoryItem | None:
        return await self._one(agent, self._rows, SQL["get_item"], values.text("item_id", item_id))

    async def find_by_hash(self, agent: str, content_hash: str) -> MemoryItem | None:
        values.text("content_hash", content_hash)
        return await self._one(agent, self._rows, SQL["find_by_hash"], content_hash)

    async def list_items(
        self,
        agent: str,
        *,
        memory_type: str | None = None,
        significance: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[MemoryItem]:
        if memory_type:
            values.one_of("memory_type", memory_type, MEMORY_TYPES)
        if significance:
            values.one_of("significance", significance, SIGNIFICANCES)
        return await self._all(
            agent,
            self._rows,
            SQL["list_items"],
            memory_type or "",
            significance or "",
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def search(
        self,
        agent: str,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        limit: int = 10,
    ) -> list[SearchHit]:
        if embedding is not None:
            values.pack_vector("embedding", embedding, self._dimensions)
        found = await self._search.hybrid(agent, query, embedding, limit)
        return [SearchHit(one.row, one.score) for one in found]


class ItemWrites(Writes):
    """Applies commands on memory items; many new ones at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(MemoryItem, database.spelling, "memory_items")
        place = self._rows.columns.index
        self._keys = ((place("id"),), (place("agent_id"), place("content_hash")))

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            CreateItem: Way(self._create),
            UpdateItem: each(self._update),
            ReinforceItem: each(self._reinforce),
            DeleteItem: each(self._delete),
        }

    async def _create(self, transaction: Transaction, commands: Sequence[CreateItem]) -> None:
        rows = [self._rows.to_row(command.item) for command in commands]
        await transaction.execute_many(SQL["create_item"], rows, keys=self._keys)

    async def _update(self, transaction: Transaction, command: UpdateItem) -> None:
        changes = CHANGES.converted(command.changes)
        if "summary" in changes:
            changes["content_hash"] = values.content_hash(changes["summary"])
        changes["updated_at"] = command.at
        target = (command.item_id, command.agent_id)
        if not await self._change(transaction, self._rows, SQL["update_item"], changes, *target):
            raise _missing(*target)

    async def _reinforce(self, transaction: Transaction, command: ReinforceItem) -> None:
        target = (command.item_id, command.agent_id)
        at = self._spelling.time_in(command.at)
        if not await transaction.fetch(SQL["reinforce_item"], *target, at):
            raise _missing(*target)

    async def _delete(self, transaction: Transaction, command: DeleteItem) -> None:
        await transaction.fetch(SQL["delete_item"], command.item_id, command.agent_id)


def _missing(item_id: str, agent: str) -> NotFound:
    return NotFound(f"agent {agent} has no memory item {item_id}")
