"""Vector search in SQLite: exact, for its vectors are compared by numpy.

Where an agent sees few rows, they are read from the file. Where it sees many, all that are kept in
memory are ranked, and the first looked up in the file until enough of them may be seen. Where
memory has no room for them, all that it sees are read, some at a time.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from storage.where import Where

from .cache import CHUNK, VectorCache, as_json, parts
from .cosine import Nearest, Target

if TYPE_CHECKING:
    from .database import SQLiteDatabase, SQLiteSnapshot

#: Up to so many rows are read from the file.
FEW: Final = 2_000

#: Most ranked rows that are looked up at a time.
MOST: Final = 2_048

#: What lets an operator see everything. Without it, SQLite finds what an agent sees by its indexes.
_OPERATOR: Final = "$1 = '' OR "


class SQLiteNearest:
    """Vector searches of one table.

    Args:
        sql: The statements on it.
    """

    def __init__(self, database: "SQLiteDatabase", sql: Mapping[str, str]) -> None:
        self._database = database
        self._sql = sql
        self._cache = VectorCache(sql, database.vector_room)

    async def nearest(
        self, agent: str, embedding: Sequence[float], where: Where, limit: int
    ) -> dict[str, float]:
        """See `storage.database.Nearest`."""
        best = Nearest(Target(embedding), limit)
        sql, args = where.placed(self._of(agent, "seen"), FEW + 1)
        seqs = [row[0] for row in await self._database.fetch(sql, agent, *args, scope=agent)]
        if len(seqs) <= FEW:
            async with self._database.snapshot() as snapshot:
                for part in parts(seqs, CHUNK):
                    await self._look_up(snapshot, best, agent, where, part)
        elif not await self._by_rank(best, agent, where, limit):
            await self._by_reading(best, agent, where)
        return best.found()

    async def _by_rank(self, best: Nearest, agent: str, where: Where, limit: int) -> bool:
        """The best of what is kept in memory; whether all is."""
        async with AsyncExitStack() as stack:
            async with self._cache.lock:
                snapshot = await stack.enter_async_context(self._database.snapshot())
                ranked = await self._cache.ranked(snapshot, best.target)
            if ranked is None:
                return False
            start, size = 0, min(max(2 * limit, 256), MOST)
            while seqs := await anyio.to_thread.run_sync(
                ranked.part, start, start + size, best.least
            ):
                await self._look_up(snapshot, best, agent, where, seqs)
                start, size = start + size, min(2 * size, MOST)
        return True

    async def _by_reading(self, best: Nearest, agent: str, where: Where) -> None:
        sql, args = where.placed(self._of(agent, "all"), 4 * best.target.dimensions)
        async with self._database.snapshot() as snapshot:
            async with aclosing(snapshot.chunks(sql, agent, *args, size=CHUNK)) as chunks:
                async for rows in chunks:
                    await anyio.to_thread.run_sync(best.offer, rows)

    async def _look_up(
        self,
        snapshot: "SQLiteSnapshot",
        best: Nearest,
        agent: str,
        where: Where,
        seqs: Sequence[int],
    ) -> None:
        sql, args = where.placed(self._sql["some"], as_json(seqs))
        rows = await snapshot.fetch(sql, agent, *args)
        await anyio.to_thread.run_sync(best.offer, rows)

    def _of(self, agent: str, name: str) -> str:
        return self._sql[name].replace(_OPERATOR, "") if agent else self._sql[name]
