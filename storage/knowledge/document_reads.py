"""Reads of documents in knowledge collections."""

from collections.abc import Sequence
from typing import Final

from storage.database import Database
from storage.domain import Reads
from storage.errors import InvalidValue
from storage.model import values
from storage.model.collections import Collection
from storage.model.documents import MOST_SOURCE, Chunk
from storage.rows import Rows
from storage.search import Search
from storage.where import Where, all_of

from .collections import SQL as COLLECTIONS
from .collections import not_there
from .documents import SQL, Document, KnowledgeHit
from .ingestion import Stored

#: Most collections that one search names.
MOST_NAMED: Final = 100


class DocumentReads(Reads):
    """Reads of documents."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._spelling = database.spelling
        self._rows = Rows(Chunk, database.spelling, "knowledge_chunks")
        self._collections = Rows(Collection, database.spelling, "knowledge_collections")
        self._search = Search(database, self._rows, "readable")

    async def stored(self, agent: str, collection_id: str, source: str) -> list[Stored]:
        _check_document(collection_id, source)
        rows = await self._database.fetch(
            SQL["stored_chunks"], agent, collection_id, source, scope=agent
        )
        return [
            Stored(
                id=row[0],
                section=row[1],
                start_offset=row[2],
                metadata=self._spelling.json_out(row[3]),
                embedded=bool(row[4]),
            )
            for row in rows
        ]

    async def list_documents(
        self, agent: str, collection_id: str, *, limit: int = 50, offset: int = 0
    ) -> list[Document]:
        rows = await self._database.fetch(
            SQL["list_documents"],
            agent,
            values.text("collection_id", collection_id),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
            scope=agent,
        )
        time_out = self._spelling.time_out
        return [
            Document(
                source=row[0],
                chunks=row[1],
                embedded=row[2],
                created_at=time_out(row[3]),
                updated_at=time_out(row[4]),
            )
            for row in rows
        ]

    async def list_chunks(
        self, agent: str, collection_id: str, source: str, *, start: int = 0, limit: int = 50
    ) -> list[Chunk]:
        _check_document(collection_id, source)
        first = values.whole("start", start, 0, 2**53)
        most = values.at_most("limit", limit, 10_000)
        return await self._all(
            agent, self._rows, SQL["list_chunks"], collection_id, source, first, most
        )

    async def search(
        self,
        agent: str,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        collections: Sequence[str] | None = None,
        source: str | None = None,
        limit: int = 10,
    ) -> list[KnowledgeHit]:
        if embedding is not None:
            values.pack_vector("embedding", embedding, self._dimensions)
        conditions = []
        if collections is not None:
            if not collections:
                return []
            conditions.append(await self._in_collections(agent, collections))
        if source is not None:
            values.text("source", source, most=MOST_SOURCE)
            conditions.append(Where(SQL["in_source"], (source,)))
        found = await self._search.hybrid(agent, query, embedding, limit, all_of(conditions))
        known = await self._known(agent, sorted({one.row.collection_id for one in found}))
        return [
            KnowledgeHit(one.row, known[one.row.collection_id], one.score)
            for one in found
            if one.row.collection_id in known
        ]

    async def _in_collections(self, agent: str, named: Sequence[str]) -> Where:
        if len(values.texts("collections", named, most=256)) > MOST_NAMED:
            raise InvalidValue("collections", f"are {len(named)}, and at most {MOST_NAMED}")
        ids = []
        for one in named:
            found = await self._one(agent, self._collections, COLLECTIONS["get_collection"], one)
            if found is None:
                raise not_there(one, agent, "read")
            ids.append(found.id)
        return Where(SQL["in_collections"] % _places(ids), tuple(ids))

    async def _known(self, agent: str, ids: Sequence[str]) -> dict[str, Collection]:
        if not ids:
            return {}
        sql = COLLECTIONS["some_collections"] % (self._collections.selected, _places(ids))
        rows = await self._database.fetch(sql, agent, *ids, scope=agent)
        return {one.id: one for one in map(self._collections.from_row, rows)}


def _places(ids: Sequence[str]) -> str:
    return ", ".join(f"${n}" for n, _ in enumerate(ids, 2))


def _check_document(collection_id: str, source: str) -> None:
    values.text("collection_id", collection_id)
    values.text("source", source, most=MOST_SOURCE)
