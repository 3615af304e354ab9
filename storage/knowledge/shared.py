"""Shared knowledge: the library of the family, for every agent to read and to add to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from storage import queries
from storage.database import Database, Transaction
from storage.domain import Reads, View, Way, Writes, each
from storage.errors import NotFound
from storage.model import values
from storage.model.command import Command
from storage.model.shared_knowledge import (
    CATEGORIES,
    DeleteKnowledge,
    EndorseKnowledge,
    PublishKnowledge,
    SharedKnowledge,
)
from storage.rows import Rows
from storage.search import Search
from storage.where import EVERY, Where

SQL: Final = queries.load("storage.knowledge", "shared.sql")


class SharedHit(msgspec.Struct, frozen=True):
    """Something shared that was found.

    Attributes:
        score: 1 for the best of all candidates, 0 for the last.
    """

    knowledge: SharedKnowledge
    score: float


class Library(View):
    """What one agent may do with shared knowledge."""

    async def publish(
        self,
        *,
        title: str,
        content: str,
        category: str,
        confidence: float = 0.5,
        source_item_id: str | None = None,
        embedding: Sequence[float] | None = None,
        knowledge_id: str | None = None,
        created_at: datetime | None = None,
    ) -> SharedKnowledge:
        """Share something with every agent.

        Args:
            title: 1 to 1,000 characters.
            content: 1 to 1,000,000 characters.
            category: lesson, fact, tool_tip or pattern.
            confidence: 0 to 1.
            source_item_id: The memory item that it comes from.
            embedding: Numbers, as many as this storage's dimension; made of title and content where
                there is an embedder.
            knowledge_id: A UUIDv7 is made where none is given.

        Returns:
            What was written.

        Raises:
            InvalidValue: a value that no table may hold.
            EmbeddingFailed: the embedder that is configured failed; nothing was written.
        """
        moment = values.moment("created_at", created_at) or values.now()
        values.text("title", title, least=1, most=1_000)
        values.text("content", content, least=1)
        knowledge = SharedKnowledge(
            id=knowledge_id or values.new_id(),
            source_agent_id=self.agent,
            source_item_id=source_item_id,
            category=category,
            title=title,
            content=content,
            embedding=await self._embedded(f"{title}\n\n{content}", embedding),
            confidence=confidence,
            created_at=moment,
            updated_at=moment,
        )
        await self._port.write(PublishKnowledge(knowledge=knowledge))
        return knowledge

    async def get_shared(self, knowledge_id: str) -> SharedKnowledge | None:
        """What was shared under that id, or None."""
        found: SharedKnowledge | None = await self._port.read(
            "shared", "get_shared", knowledge_id=knowledge_id
        )
        return found

    async def list_shared(
        self,
        *,
        category: str | None = None,
        source_agent_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[SharedKnowledge]:
        """What is shared, the most endorsed first, then the newest."""
        found: list[SharedKnowledge] = await self._port.read(
            "shared",
            "list_shared",
            category=category,
            source_agent_id=source_agent_id,
            limit=limit,
            offset=offset,
        )
        return found

    async def search_shared(
        self,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        category: str | None = None,
        limit: int = 10,
    ) -> list[SharedHit]:
        """What fits best of all that is shared: any word of `query`, and the nearest to `embedding`
        (made of the query where there is an embedder).

        Raises:
            InvalidValue: a value that cannot be looked for.
            EmbeddingFailed: the embedder that is configured failed.
        """
        hits: list[SharedHit] = await self._port.read(
            "shared",
            "search_shared",
            query=query,
            embedding=await self._embedded_query(query, embedding),
            category=category,
            limit=limit,
        )
        return hits

    async def endorse(self, knowledge_id: str) -> None:
        """Say that it holds. However often this agent says so, it counts once.

        Raises:
            CommandRefused: there is no such thing shared.
        """
        await self._port.write(
            EndorseKnowledge(agent_id=self.agent, knowledge_id=knowledge_id, at=values.now())
        )

    async def delete_shared(self, knowledge_id: str) -> None:
        """Take back what this agent published; what is not there, or another's, stays as it is."""
        await self._port.write(DeleteKnowledge(agent_id=self.agent, knowledge_id=knowledge_id))


class LibraryReads(Reads):
    """Reads of shared knowledge."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(SharedKnowledge, database.spelling, "shared_knowledge")
        self._search = Search(database, self._rows, "everybody")

    async def get_shared(self, agent: str, knowledge_id: str) -> SharedKnowledge | None:
        values.text("knowledge_id", knowledge_id)
        return await self._one(agent, self._rows, SQL["get"], knowledge_id)

    async def list_shared(
        self,
        agent: str,
        *,
        category: str | None = None,
        source_agent_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[SharedKnowledge]:
        if category:
            values.one_of("category", category, CATEGORIES)
        return await self._all(
            agent,
            self._rows,
            SQL["list"],
            category or "",
            values.text("source_agent_id", source_agent_id or ""),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def search_shared(
        self,
        agent: str,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        category: str | None = None,
        limit: int = 10,
    ) -> list[SharedHit]:
        if embedding is not None:
            values.pack_vector("embedding", embedding, self._dimensions)
        where = EVERY
        if category:
            values.one_of("category", category, CATEGORIES)
            where = Where(SQL["in_category"], (category,))
        found = await self._search.hybrid(agent, query, embedding, limit, where)
        return [SharedHit(one.row, one.score) for one in found]


class LibraryWrites(Writes):
    """Applies commands on shared knowledge; many new ones at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(SharedKnowledge, database.spelling, "shared_knowledge")
        self._keys = ((self._rows.columns.index("id"),),)

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            PublishKnowledge: Way(self._publish),
            EndorseKnowledge: each(self._endorse),
            DeleteKnowledge: each(self._delete),
        }

    async def _publish(self, transaction: Transaction, commands: Sequence[Any]) -> None:
        rows = [self._rows.to_row(command.knowledge) for command in commands]
        await self._insert_new(
            transaction, SQL["publish"], rows, keys=self._keys, name="shared knowledge"
        )

    async def _endorse(self, transaction: Transaction, command: EndorseKnowledge) -> None:
        at = self._spelling.time_in(command.at)
        target = command.knowledge_id
        if await transaction.fetch(SQL["endorse"], target, command.agent_id, at):
            await transaction.fetch(SQL["count_endorsement"], target, at)
        elif not await transaction.fetch(SQL["exists"], target):
            raise NotFound(f"there is no shared knowledge {target}")

    async def _delete(self, transaction: Transaction, command: DeleteKnowledge) -> None:
        await transaction.fetch(SQL["delete"], command.knowledge_id, command.agent_id)
