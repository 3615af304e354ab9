"""Finding memory items: by words, by vector, by both; among those wanted, in the order wanted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

import msgspec

from storage import queries
from storage.database import Database
from storage.domain import Reads, View
from storage.model import values
from storage.model.items import MemoryItem
from storage.rows import Rows
from storage.search import MOST, Found, Search

from . import ranking
from .filters import Filters, ItemFilter, checked
from .snippets import Snippet, best_piece

SQL = queries.load("storage.memory", "recall.sql")


class SearchHit(msgspec.Struct, frozen=True):
    """An item that was found.

    Attributes:
        item: What was found.
        score: By relevance 1 for the best of all candidates, 0 for the last; by salience
            or identity what the item weighs, 0 or more.
        query: The words that were looked for.

    Example:
        item: MemoryItem = await mine.memory.create_item(
            summary="the parser test is flaky", memory_type="knowledge", significance="noteworthy"
        )
        hits: list[SearchHit] = await mine.memory.search("flaky tests", limit=10)
        print(hits[0].item.id == item.id, hits[0].item.significance)  #> True noteworthy
    """

    item: MemoryItem
    score: float
    query: str = ""

    def snippet(self, width: int = 200) -> Snippet:
        """The piece of the item that fits the query best, with the words that do.

        Args:
            width: Most characters of the piece.
        """
        texts = {name: getattr(self.item, name) for name in ("summary", "reflection", "lesson")}
        return best_piece(self.query, {n: text for n, text in texts.items() if text}, width)


class Recall(View):
    """What one agent may do to find what it knows."""

    async def search(
        self,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        rank: str = "relevance",
        limit: int = 10,
        at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> list[SearchHit]:
        """The items that fit best: any word of `query`, and the nearest to `embedding`.

        Args:
            query: Without a word in it, only the embedding counts.
            embedding: Numbers, as many as this storage's dimension; made of the query where there
                is an embedder. Without either, only words count.
            rank: relevance; salience (what is reinforced and recent); identity (what moved or
                mattered to the agent, and whom it is bound to).
            limit: Most items, up to 1,000.
            at: The time at which salience and identity are asked for; now by default.
            filters: See `Filters`.

        Raises:
            InvalidValue: the embedding is not of this storage's dimension, or not finite; a filter,
                a rank or a limit that cannot be.
            EmbeddingFailed: the embedder that is configured failed; `search_by_keyword` needs none.
        """
        embedding = await self._embedded_query(query, embedding)
        return await self._found(query, embedding, rank, limit, at, filters)

    async def _found(
        self,
        query: str,
        embedding: Sequence[float] | None,
        rank: str,
        limit: int,
        at: datetime | None,
        filters: Filters,
    ) -> list[SearchHit]:
        hits: list[SearchHit] = await self._port.read(
            "recall",
            "search",
            query=query,
            embedding=embedding,
            rank=rank,
            limit=limit,
            at=values.moment("at", at),
            filters=checked(filters),
        )
        return hits

    async def search_items(
        self,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        rank: str = "relevance",
        limit: int = 10,
        at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> list[SearchHit]:
        """The same as `search`: its name in ArgentOS."""
        return await self.search(
            query, embedding=embedding, rank=rank, limit=limit, at=at, **filters
        )

    async def search_by_keyword(
        self,
        query: str,
        *,
        rank: str = "relevance",
        limit: int = 10,
        at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> list[SearchHit]:
        """The items with any word of `query` (see `search`)."""
        return await self._found(query, None, rank, limit, at, filters)

    async def search_by_vector(
        self,
        embedding: Sequence[float],
        *,
        rank: str = "relevance",
        limit: int = 10,
        at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> list[SearchHit]:
        """The items nearest to `embedding` (see `search`)."""
        return await self.search("", embedding=embedding, rank=rank, limit=limit, at=at, **filters)

    async def search_shared(
        self,
        query: str,
        *,
        rank: str = "relevance",
        limit: int = 10,
        at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> list[SearchHit]:
        """Of what others share with this agent, what has any word of `query` (see `search`)."""
        filters["shared"] = True
        return await self._found(query, None, rank, limit, at, filters)


class RecallReads(Reads):
    """Searches memory items."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._search = Search(
            database, Rows(MemoryItem, database.spelling, "memory_items"), "shared"
        )
        self._filter = ItemFilter(database)

    async def search(
        self,
        agent: str,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        rank: str = "relevance",
        limit: int = 10,
        at: datetime | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> list[SearchHit]:
        values.one_of("rank", rank, ranking.RANKS)
        moment = values.moment("at", at) or values.now()
        if embedding is not None:
            values.pack_vector("embedding", embedding, self._dimensions)
        where = self._filter.where(filters or {})
        if rank == "relevance":
            found = await self._search.hybrid(agent, query, embedding, limit, where)
            return [SearchHit(one.row, one.score, query) for one in found]
        limit = values.at_most("limit", limit, MOST)
        found = await self._search.candidates(agent, query, embedding, limit, where)
        weighed = await self._weighed(agent, rank, found, embedding, moment)
        weighed.sort(key=lambda pair: (-pair[1], pair[0].id))
        return [SearchHit(item, score, query) for item, score in weighed[:limit]]

    async def _weighed(
        self,
        agent: str,
        rank: str,
        found: Sequence[Found[MemoryItem]],
        embedding: Sequence[float] | None,
        at: datetime,
    ) -> list[tuple[MemoryItem, float]]:
        items = [one.row for one in found]
        fits = [one.keyword for one in found]
        if embedding is not None:
            cosines = ranking.cosines(embedding, [item.embedding for item in items])
            fits = ranking.similarities(fits, cosines)
        bonds = await self._bonds(agent, items) if rank == "identity" else {}
        return [
            (item, ranking.of_item(rank, item, fit, at, bonds.get(item.id, 0.0)))
            for item, fit in zip(items, fits, strict=True)
        ]

    async def _bonds(self, agent: str, items: Sequence[MemoryItem]) -> dict[str, float]:
        if not items:
            return {}
        places = ", ".join(f"${n}" for n, _ in enumerate(items, 2))
        ids = [item.id for item in items]
        rows = await self._database.fetch(SQL["bonds"] % places, agent, *ids, scope=agent)
        return {str(row[0]): float(row[1]) for row in rows}
