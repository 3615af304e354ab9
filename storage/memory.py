"""Memory: the operations on memory items, and the logic behind them, once for all databases."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio.to_thread
import msgspec

from . import queries
from .commands import Command, converted_changes
from .database import Database, Transaction
from .errors import NotFound
from .fusion import any_word, fused, nearest
from .model import values
from .model.memory import (
    MEMORY_TYPES,
    SIGNIFICANCES,
    CreateItem,
    DeleteItem,
    MemoryItem,
    ReinforceItem,
    UpdateItem,
)
from .rows import Rows

SQL = queries.load("storage", "memory.sql")

#: Candidates that each list brings to the fusion.
CANDIDATES = 100

#: Up to so many vectors, comparing with all of them is quick enough, and misses none.
FEW = 4_000


class SearchHit(msgspec.Struct, frozen=True):
    """An item that was found.

    Attributes:
        score: 1 for the best possible place in every list, 0 for the last.
    """

    item: MemoryItem
    score: float


class Memory(ABC):
    """What one agent may do with memory items.

    Writes are commands; where they go is for the subclass to say.
    """

    def __init__(self, agent: str, dimensions: int) -> None:
        self.agent = agent
        self._dimensions = dimensions

    @abstractmethod
    async def _write(self, command: Command) -> None:
        """Carry the command out, or put it on its way."""

    @abstractmethod
    async def get_item(self, item_id: str) -> MemoryItem | None:
        """The item, or None where there is none that this agent may see."""

    @abstractmethod
    async def find_by_hash(self, content_hash: str) -> MemoryItem | None:
        """The agent's own item with that hash, or None."""

    @abstractmethod
    async def list_items(
        self,
        *,
        memory_type: str | None = None,
        significance: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[MemoryItem]:
        """Items that this agent may see, the newest first."""

    @abstractmethod
    async def search(
        self, query: str, *, embedding: Sequence[float] | None = None, limit: int = 10
    ) -> list[SearchHit]:
        """The items that fit best: any word of `query`, and the nearest to `embedding`.

        Raises:
            InvalidValue: the embedding is not of this storage's dimension, or not finite.
        """

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
            The item as it was written.

        Raises:
            InvalidValue: a value that no table may hold.
        """
        moment = values.moment("created_at", created_at) or values.now()
        item = MemoryItem(
            id=item_id or values.new_id(),
            agent_id=self.agent,
            memory_type=memory_type,
            summary=values.text("summary", summary, least=1),
            embedding=values.pack_vector("embedding", embedding, self._dimensions),
            content_hash=values.content_hash(summary),
            created_at=moment,
            updated_at=moment,
            **columns,
        )
        await self._write(CreateItem(item=item))
        return item

    async def update_item(self, item_id: str, **changes: Any) -> None:
        """Change columns of an item of this agent's own.

        Raises:
            InvalidValue: a value that no table may hold, or a column that stays as it is.
        """
        if "embedding" in changes and not isinstance(changes["embedding"], bytes):
            changes["embedding"] = values.pack_vector(
                "embedding", changes["embedding"], self._dimensions
            )
        await self._write(
            UpdateItem(agent_id=self.agent, item_id=item_id, changes=changes, at=values.now())
        )

    async def reinforce(self, item_id: str) -> None:
        """Count a fact of this agent's own once more."""
        await self._write(ReinforceItem(agent_id=self.agent, item_id=item_id, at=values.now()))

    async def delete_item(self, item_id: str) -> None:
        """Forget an item of this agent's own; one that is not there is no error."""
        await self._write(DeleteItem(agent_id=self.agent, item_id=item_id))


class MemoryReads:
    """The reading side, on a database.

    Args:
        search_sql: The database's own statements for searching.
    """

    def __init__(self, database: Database, search_sql: Mapping[str, str]) -> None:
        self._database = database
        self._rows = Rows(MemoryItem, database.spelling)
        self._search_sql = search_sql
        self._columns = ", ".join(f"memory_items.{column}" for column in self._rows.columns)

    async def get_item(self, agent: str, item_id: str) -> MemoryItem | None:
        return await self._one(agent, "get_item", values.text("item_id", item_id))

    async def find_by_hash(self, agent: str, content_hash: str) -> MemoryItem | None:
        return await self._one(agent, "find_by_hash", values.text("content_hash", content_hash))

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
        rows = await self._database.fetch(
            SQL["list_items"] % self._columns,
            agent,
            memory_type or "",
            significance or "",
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
            scope=agent,
        )
        return [self._rows.from_row(row) for row in rows]

    async def search(
        self,
        agent: str,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        limit: int = 10,
    ) -> list[SearchHit]:
        limit = values.at_most("limit", limit, 1000)
        found: dict[str, MemoryItem] = {}
        keyword: dict[str, float] = {}
        if words := any_word(values.text("query", query)):
            rows = await self._database.fetch(
                self._search_sql["search_keyword"] % self._columns,
                agent,
                words,
                CANDIDATES,
                scope=agent,
            )
            for row in rows:
                item = self._rows.from_row(row)
                found[item.id] = item
                keyword[item.id] = float(row[-1])
        vector: dict[str, float] = {}
        if embedding is not None:
            vector = await self._nearest(agent, embedding)
        best = fused(keyword, vector, limit)
        found |= await self._items(agent, [item_id for item_id, _ in best if item_id not in found])
        return [SearchHit(found[item_id], score) for item_id, score in best if item_id in found]

    async def _nearest(self, agent: str, embedding: Sequence[float]) -> dict[str, float]:
        if "nearest_of_many" in self._search_sql:
            packed = values.pack_vector("embedding", embedding, len(embedding))
            [(count,)] = await self._database.fetch(
                self._search_sql["embedded"], agent, FEW + 1, scope=agent
            )
            way = "nearest_of_few" if count <= FEW or not any(embedding) else "nearest_of_many"
            rows = await self._database.fetch(
                self._search_sql[way], agent, packed, CANDIDATES, scope=agent
            )
            return {str(row[0]): float(row[1]) for row in rows}
        rows = await self._database.fetch(SQL["embeddings"], agent, scope=agent)
        pairs = [(str(row[0]), bytes(row[1])) for row in rows]
        # 100,000 vectors take some tens of ms: not on the event loop.
        return await anyio.to_thread.run_sync(nearest, embedding, pairs, CANDIDATES)

    async def _items(self, agent: str, ids: Sequence[str]) -> dict[str, MemoryItem]:
        if not ids:
            return {}
        places = ", ".join(f"${n}" for n, _ in enumerate(ids, 2))
        statement = SQL["get_items"] % (self._columns, places)
        rows = await self._database.fetch(statement, agent, *ids, scope=agent)
        items = [self._rows.from_row(row) for row in rows]
        return {item.id: item for item in items}

    async def _one(self, agent: str, statement: str, *args: Any) -> MemoryItem | None:
        sql = SQL[statement] % self._columns
        rows = await self._database.fetch(sql, agent, *args, scope=agent)
        return self._rows.from_row(rows[0]) if rows else None


class MemoryWrites:
    """Applies memory commands within a transaction; many of one kind at once where that can be."""

    def __init__(self, database: Database) -> None:
        self._rows = Rows(MemoryItem, database.spelling)
        self._spelling = database.spelling
        place = self._rows.columns.index
        self._keys = ((place("id"),), (place("agent_id"), place("content_hash")))

    async def create(self, transaction: Transaction, commands: Sequence[CreateItem]) -> None:
        """Store many items at once."""
        rows = [self._rows.to_row(command.item) for command in commands]
        await transaction.execute_many(SQL["create_item"], rows, keys=self._keys)

    async def change(self, transaction: Transaction, command: Command) -> None:
        """Apply one command of another kind.

        Raises:
            NotFound: the agent has no such item.
        """
        match command:
            case UpdateItem():
                await self._update(transaction, command)
            case ReinforceItem(agent_id=agent, item_id=item_id, at=at):
                rows = await transaction.fetch(
                    SQL["reinforce_item"], item_id, agent, self._spelling.time_in(at)
                )
                _must_be_there(rows, item_id, agent)
            case DeleteItem(agent_id=agent, item_id=item_id):
                await transaction.fetch(SQL["delete_item"], item_id, agent)

    async def _update(self, transaction: Transaction, command: UpdateItem) -> None:
        changes = converted_changes(MemoryItem, command.changes)
        if "summary" in changes:
            changes["content_hash"] = values.content_hash(changes["summary"])
        changes["updated_at"] = command.at
        assignments = ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, 3))
        arguments = [self._rows.value_in(column, value) for column, value in changes.items()]
        rows = await transaction.fetch(
            SQL["update_item"] % assignments, command.item_id, command.agent_id, *arguments
        )
        _must_be_there(rows, command.item_id, command.agent_id)


def _must_be_there(rows: Sequence[Any], item_id: str, agent: str) -> None:
    if not rows:
        raise NotFound(f"agent {agent} has no memory item {item_id}")
