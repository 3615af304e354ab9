"""Vector search in PostgreSQL: exact where few rows are to be seen, by the index where many are."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from storage.model import values
from storage.where import Where

if TYPE_CHECKING:
    from .database import PgDatabase

#: Up to so many vectors are always compared with, all of them: it is quick enough, and misses none.
FEW: Final = 4_000

#: What looking at a row of the index takes, beside comparing with a row of the table: measured with
#: 768 dimensions, some 15 us and 3.3 us.
_DEARER: Final = 4.5

#: Pages of a table that are looked at to tell how many of its rows an agent sees.
PAGES: Final = 128

#: The index is searched by so many rows at a time, until enough may be seen.
INDEX: Final = {
    "enable_sort": "off",
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.ef_search": "400",
    "hnsw.max_scan_tuples": "20000",
}


class PgNearest:
    """Vector searches of one table.

    Args:
        sql: The statements on it.
    """

    def __init__(self, database: "PgDatabase", sql: Mapping[str, str]) -> None:
        self._database = database
        self._sql = sql

    async def nearest(
        self, agent: str, embedding: Sequence[float], where: Where, limit: int
    ) -> dict[str, float]:
        """See `storage.database.Nearest`."""
        packed = values.pack_vector("embedding", embedding, len(embedding))
        found: dict[str, float] = {}
        if any(embedding) and await self._sees_many(agent, where, limit):
            found = await self._found("nearest_of_many", agent, packed, where, limit, INDEX)
        # What the index has been searched for in vain is rarer than it seemed, or is not there.
        if len(found) < limit:
            found = await self._found("nearest_of_few", agent, packed, where, limit, {})
        return found

    async def _sees_many(self, agent: str, where: Where, limit: int) -> bool:
        """Whether the index is quicker."""
        sql, args = where.placed(self._sql["seen"], PAGES)
        [(count, pages, size)] = await self._database.fetch(sql, agent, *args, scope=agent)
        seen: float = count * max(1.0, pages / PAGES)
        return seen > max(FEW, few(limit, max(size, seen)))

    async def _found(
        self,
        way: str,
        agent: str,
        packed: bytes | None,
        where: Where,
        limit: int,
        settings: Mapping[str, str],
    ) -> dict[str, float]:
        sql, args = where.placed(self._sql[way], packed, limit)
        rows = await self._database.fetch(sql, agent, *args, scope=agent, settings=settings)
        return {str(row[0]): float(row[1]) for row in rows}


def few(limit: int, size: float) -> float:
    """Of how many rows all are compared with as quickly as the index finds `limit` of them.

    Args:
        size: Rows in the table. Who sees `m` of them has the index looked through until `limit` of
            those are found: that is `limit * size / m` rows.
    """
    return math.sqrt(_DEARER * limit * size)
