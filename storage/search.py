"""Searching one table: by words, by vector, or by both."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import anyio.to_thread
import msgspec

from . import queries
from .database import Database
from .fusion import any_word, fused, nearest
from .model import values
from .rows import Rows

S = TypeVar("S", bound=msgspec.Struct)

#: Candidates that each list brings to the fusion.
CANDIDATES = 100

#: Up to so many vectors, comparing with all of them is quick enough, and misses none.
FEW = 4_000

#: Most that one search brings.
MOST = 1_000


class Found(NamedTuple, Generic[S]):
    """A row that was found.

    Attributes:
        score: 1 for the best possible place in every list, 0 for the last.
    """

    row: S
    score: float


class Search(Generic[S]):
    """Searches the rows of one table that an agent may see.

    Args:
        rows: Of the table.
        visible: The fragment in `scope.sql` that says which rows are to be seen.
    """

    def __init__(self, database: Database, rows: Rows[S], visible: str) -> None:
        self._database = database
        self._rows = rows
        self._sql = queries.load(database.package, "search.sql", this=rows.table, visible=visible)

    async def hybrid(
        self, agent: str, query: str, embedding: Sequence[float] | None, limit: int
    ) -> list[Found[S]]:
        """The best by any word of `query` and by nearness to `embedding`.

        Raises:
            InvalidValue: a text or a limit that cannot be.
        """
        limit = values.at_most("limit", limit, MOST)
        found: dict[str, S] = {}
        keyword: dict[str, float] = {}
        for row, score in await self._by_words(agent, query, CANDIDATES):
            key = str(getattr(row, "id"))  # noqa: B009 (every table that is searched has one)
            found[key] = row
            keyword[key] = score
        vector: dict[str, float] = {}
        if embedding is not None:
            vector = await self._nearest(agent, embedding)
        best = fused(keyword, vector, limit)
        found |= await self._items(agent, [key for key, _ in best if key not in found])
        return [Found(found[key], score) for key, score in best if key in found]

    async def keyword(self, agent: str, query: str, limit: int) -> list[S]:
        """The best by any word of `query`.

        Raises:
            InvalidValue: a text or a limit that cannot be.
        """
        limit = values.at_most("limit", limit, MOST)
        return [row for row, _ in await self._by_words(agent, query, limit)]

    async def _by_words(self, agent: str, query: str, limit: int) -> list[tuple[S, float]]:
        words = any_word(values.text("query", query))
        if not words:
            return []
        sql = self._sql["keyword"] % self._rows.selected
        rows = await self._database.fetch(sql, agent, words, limit, scope=agent)
        return [(self._rows.from_row(row), float(row[-1])) for row in rows]

    async def _nearest(self, agent: str, embedding: Sequence[float]) -> dict[str, float]:
        if "nearest_of_many" in self._sql:
            packed = values.pack_vector("embedding", embedding, len(embedding))
            [(count,)] = await self._database.fetch(
                self._sql["embedded"], agent, FEW + 1, scope=agent
            )
            way = "nearest_of_few" if count <= FEW or not any(embedding) else "nearest_of_many"
            rows = await self._database.fetch(
                self._sql[way], agent, packed, CANDIDATES, scope=agent
            )
            return {str(row[0]): float(row[1]) for row in rows}
        rows = await self._database.fetch(self._sql["embeddings"], agent, scope=agent)
        pairs = [(str(row[0]), bytes(row[1])) for row in rows]
        # 100,000 vectors take some tens of ms: not on the event loop.
        return await anyio.to_thread.run_sync(nearest, embedding, pairs, CANDIDATES)

    async def _items(self, agent: str, ids: Sequence[str]) -> Mapping[str, S]:
        if not ids:
            return {}
        places = ", ".join(f"${n}" for n, _ in enumerate(ids, 2))
        sql = self._sql["by_id"] % (self._rows.selected, places)
        rows: Sequence[Any] = await self._database.fetch(sql, agent, *ids, scope=agent)
        items = [self._rows.from_row(row) for row in rows]
        return {str(getattr(item, "id")): item for item in items}  # noqa: B009
