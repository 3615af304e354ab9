"""Searching one table: by words, by vector, or by both."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from . import queries
from .database import Database
from .fusion import fused, words_of
from .model import values
from .rows import Rows
from .where import EVERY, Where

S = TypeVar("S", bound=msgspec.Struct)

#: Candidates that each list brings to the fusion.
CANDIDATES = 200

#: Candidates of a list that is alone: farther down, nobody looks, and an index takes its time.
ALONE = 50

#: Most that one search brings.
MOST = 1_000


class Found(NamedTuple, Generic[S]):
    """A row that was found.

    Attributes:
        score: 1 for the best of all candidates, 0 for the last.
        keyword: How well it fits the words, beside the row that fits them best (1); 0 where it has
            none of them.
    """

    row: S
    score: float
    keyword: float = 0.0


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
        self._nearest = database.nearest(self._sql)

    async def hybrid(
        self,
        agent: str,
        query: str,
        embedding: Sequence[float] | None,
        limit: int,
        where: Where = EVERY,
    ) -> list[Found[S]]:
        """The best by any word of `query` and by nearness to `embedding`.

        Args:
            where: Which rows are wanted: both lists are of these.

        Raises:
            InvalidValue: a text or a limit that cannot be.
        """
        limit = values.at_most("limit", limit, MOST)
        alone = embedding is None or not words_of(values.text("query", query))
        depth = max(limit, ALONE if alone else CANDIDATES)
        return await self._both(agent, query, embedding, where, depth, limit)

    async def candidates(
        self,
        agent: str,
        query: str,
        embedding: Sequence[float] | None,
        limit: int,
        where: Where = EVERY,
    ) -> list[Found[S]]:
        """All that either list brings, for who ranks them anew and takes `limit` of them."""
        depth = max(values.at_most("limit", limit, MOST), CANDIDATES)
        return await self._both(agent, query, embedding, where, depth, 2 * depth)

    async def keyword(self, agent: str, query: str, limit: int, where: Where = EVERY) -> list[S]:
        """The best by any word of `query`.

        Raises:
            InvalidValue: a text or a limit that cannot be.
        """
        limit = values.at_most("limit", limit, MOST)
        return [row for row, _ in await self._by_words(agent, query, where, limit)]

    async def _both(
        self,
        agent: str,
        query: str,
        embedding: Sequence[float] | None,
        where: Where,
        depth: int,
        limit: int,
    ) -> list[Found[S]]:
        found: dict[str, S] = {}
        keyword: dict[str, float] = {}
        for row, score in await self._by_words(agent, query, where, depth):
            key = str(getattr(row, "id"))  # noqa: B009 (every table that is searched has one)
            found[key] = row
            keyword[key] = score
        vector: dict[str, float] = {}
        if embedding is not None:
            vector = await self._nearest.nearest(agent, embedding, where, depth)
        best = fused(keyword, vector, limit, depth)
        found |= await self._items(agent, [key for key, _ in best if key not in found])
        most = max(keyword.values(), default=0.0) or 1.0
        return [
            Found(found[key], score, keyword.get(key, 0.0) / most)
            for key, score in best
            if key in found
        ]

    async def _by_words(
        self, agent: str, query: str, where: Where, limit: int
    ) -> list[tuple[S, float]]:
        words = words_of(values.text("query", query))
        if not words:
            return []
        any_of = self._database.spelling.any_of(words)
        sql, args = where.placed(self._sql["keyword"] % self._rows.selected, any_of, limit)
        rows = await self._database.fetch(sql, agent, *args, scope=agent)
        return [(self._rows.from_row(row), float(row[-1])) for row in rows]

    async def _items(self, agent: str, ids: Sequence[str]) -> Mapping[str, S]:
        if not ids:
            return {}
        places = ", ".join(f"${n}" for n, _ in enumerate(ids, 2))
        sql = self._sql["by_id"] % (self._rows.selected, places)
        rows: Sequence[Any] = await self._database.fetch(sql, agent, *ids, scope=agent)
        items = [self._rows.from_row(row) for row in rows]
        return {str(getattr(item, "id")): item for item in items}  # noqa: B009
