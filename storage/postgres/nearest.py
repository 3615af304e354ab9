"""Vector search in PostgreSQL: exact where few rows are to be seen, by the index where many are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from storage.model import values
from storage.where import Where

if TYPE_CHECKING:
    from .database import PgDatabase

#: Up to so many vectors, comparing with all of them is quick enough, and misses none.
FEW: Final = 4_000


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
        sql, args = where.placed(self._sql["embedded"], FEW + 1)
        [(count,)] = await self._database.fetch(sql, agent, *args, scope=agent)
        way = "nearest_of_few" if count <= FEW or not any(embedding) else "nearest_of_many"
        sql, args = where.placed(self._sql[way], packed, limit)
        rows = await self._database.fetch(sql, agent, *args, scope=agent)
        return {str(row[0]): float(row[1]) for row in rows}
