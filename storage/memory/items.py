"""Memory items: what an agent knows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

from storage import queries
from storage.database import Database, Transaction, Violation
from storage.domain import Reads, View, Way, Writes, each, taken
from storage.errors import NotFound
from storage.model import values
from storage.model.command import Command
from storage.model.items import (
    CHANGES,
    MOST_CONTEXT,
    CreateItem,
    DeleteItem,
    EmbedItem,
    MemoryItem,
    ReinforceItem,
    UpdateItem,
)
from storage.rows import Rows

from .filters import Filters, ItemFilter, checked

SQL = queries.load("storage.memory", "items.sql")


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
        self, *, limit: int = 50, offset: int = 0, **filters: Unpack[Filters]
    ) -> list[MemoryItem]:
        """Items that this agent may see, the newest first.

        Args:
            filters: See `Filters`.
            limit, offset: Most items, up to 10,000, and how many of the newest to pass over.

        Raises:
            InvalidValue: a filter or a limit that cannot be.
        """
        items: list[MemoryItem] = await self._port.read(
            "items", "list_items", filters=checked(filters), limit=limit, offset=offset
        )
        return items

    async def items_of_category(
        self, category_id: str, *, limit: int = 50, offset: int = 0
    ) -> list[MemoryItem]:
        """What is filed under a category of this agent's, the newest first: see `list_items`."""
        return await self.list_items(category_id=category_id, limit=limit, offset=offset)

    async def items_of_entity(
        self, entity_id: str, *, limit: int = 50, offset: int = 0
    ) -> list[MemoryItem]:
        """What mentions an entity, the newest first: see `list_items`."""
        return await self.list_items(entity_id=entity_id, limit=limit, offset=offset)

    async def create_item(
        self,
        *,
        summary: str,
        memory_type: str,
        context: str | None = None,
        embedding: Sequence[float] | None = None,
        item_id: str | None = None,
        created_at: datetime | None = None,
        **columns: Any,
    ) -> MemoryItem:
        """Store a fact. Where the agent has it already, that one is reinforced instead.

        Args:
            summary: The fact, 1 to 1,000,000 characters.
            memory_type: profile, event, knowledge, behavior, skill, tool, self or episode.
            context: What is indexed with it and counts for less, up to 10,000 characters: of a
                conversation the turns before, which say what "it" and "there" are.
            embedding: Numbers, as many as this storage's dimension (768 by default); made of
                context and summary where there is an embedder.
            item_id: A UUIDv7 is made where none is given.
            columns: Other columns of `MemoryItem`.

        Returns:
            The item as it is stored; over the bus, as it was sent.

        Raises:
            InvalidValue: a value that no table may hold.
            EmbeddingFailed: the embedder that is configured failed; nothing was written.
        """
        moment = values.moment("created_at", created_at) or values.now()
        values.text("summary", summary, least=1)
        values.optional_text("context", context, most=MOST_CONTEXT)
        item = MemoryItem(
            id=item_id or values.new_id(),
            agent_id=self.agent,
            memory_type=memory_type,
            summary=summary,
            context=context,
            embedding=await self._embedded(summary, embedding, context),
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

        With a new summary or context comes a new embedding where there is an embedder and none is
        given.

        Raises:
            InvalidValue: a value that no table may hold, or a column that stays as it is.
            EmbeddingFailed: the embedder that is configured failed; nothing was written.
        """
        if (
            self._port.embedder is not None
            and changes.keys() & {"summary", "context"}
            and changes.get("embedding") is None
        ):
            stands = await self._changed(item_id, changes)
            if stands is not None:
                changes["embedding"] = await self._embedded(stands[0], None, stands[1])
        await self._pack_in(changes)
        await self._port.write(
            UpdateItem(agent_id=self.agent, item_id=item_id, changes=changes, at=values.now())
        )

    async def _changed(
        self, item_id: str, changes: Mapping[str, Any]
    ) -> tuple[str, str | None] | None:
        """Summary and context of an item, once it is changed; None where there is none (the change
        will be refused).
        """
        texts = {name: changes[name] for name in ("summary", "context") if name in changes}
        if len(texts) < 2:
            stands = await self.get_item(item_id)
            if stands is None:
                return None
            texts = {"summary": stands.summary, "context": stands.context} | texts
        summary = values.text("summary", texts["summary"], least=1)
        context = values.optional_text("context", texts["context"], most=MOST_CONTEXT)
        return summary, context

    async def embed_item(self, item_id: str, embedding: Sequence[float] | None) -> None:
        """Give an item of this agent's own its embedding, or take it away.

        Args:
            embedding: Numbers, as many as this storage's dimension.

        Raises:
            InvalidValue: another number of them, or one that is not finite.
            CommandRefused: there is no such item.
        """
        packed = await self._packed(embedding)
        await self._port.write(
            EmbedItem(agent_id=self.agent, item_id=item_id, embedding=packed, at=values.now())
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
        self._filter = ItemFilter(database)

    async def get_item(self, agent: str, item_id: str) -> MemoryItem | None:
        return await self._one(agent, self._rows, SQL["get_item"], values.text("item_id", item_id))

    async def find_by_hash(self, agent: str, content_hash: str) -> MemoryItem | None:
        values.text("content_hash", content_hash)
        return await self._one(agent, self._rows, SQL["find_by_hash"], content_hash)

    async def list_items(
        self,
        agent: str,
        *,
        filters: Mapping[str, Any] | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[MemoryItem]:
        sql, args = self._filter.where(filters or {}).placed(
            SQL["list_items"],
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )
        return await self._all(agent, self._rows, sql, *args)


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
            EmbedItem: each(self._embed),
            ReinforceItem: each(self._reinforce),
            DeleteItem: each(self._delete),
        }

    async def _create(self, transaction: Transaction, commands: Sequence[CreateItem]) -> None:
        rows = [self._rows.to_row(command.item) for command in commands]
        try:
            await transaction.execute_many(SQL["create_item"], rows, keys=self._keys)
        except Violation as error:
            if "FOREIGN KEY" in str(error):
                named = ascii(commands[0].item.resource_id)[:60]
                raise Violation(
                    f"resource_id: there is no resource {named}: create it first"
                ) from error
            if "memory_items.id" in str(error):
                raise taken("memory item", commands[0].item.id) from error
            raise

    async def _update(self, transaction: Transaction, command: UpdateItem) -> None:
        changes = CHANGES.converted(command.changes)
        if "summary" in changes:
            changes["content_hash"] = values.content_hash(changes["summary"])
        changes["updated_at"] = command.at
        target = (command.item_id, command.agent_id)
        sql = SQL["update_item"]
        try:
            if not await self._change(transaction, self._rows, sql, changes, *target):
                raise _missing(*target)
        except Violation as error:
            if "content_hash" in str(error):
                raise Violation(
                    f"summary: agent {command.agent_id} has another memory item that says so: "
                    "reinforce that one, and delete this"
                ) from error
            raise

    async def _embed(self, transaction: Transaction, command: EmbedItem) -> None:
        changes = {"embedding": command.embedding, "updated_at": command.at}
        target = (command.item_id, command.agent_id)
        if not await self._change(transaction, self._rows, SQL["update_item"], changes, *target):
            raise _missing(*target)

    async def _reinforce(self, transaction: Transaction, command: ReinforceItem) -> None:
        target = (command.item_id, command.agent_id)
        at = self._spelling.time_in(command.at)
        if not await transaction.fetch(SQL["reinforce_item"], *target, at):
            raise _missing(*target)

    async def _delete(self, transaction: Transaction, command: DeleteItem) -> None:
        await transaction.fetch(SQL["unmentioned"], command.item_id, command.agent_id)
        await transaction.fetch(SQL["delete_item"], command.item_id, command.agent_id)


def _missing(item_id: str, agent: str) -> NotFound:
    return NotFound(f"agent {agent} has no memory item {item_id}")
