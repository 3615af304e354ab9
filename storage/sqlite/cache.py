"""The vectors of one table in memory, in step with the table.

Triggers (`schema/`, vectors) number every change that gives a row its embedding, whoever
made it. A search reads what has changed since the last one, in the snapshot of the database that it
then looks the rows up in: so it sees what was committed before it began, in any process, and a row
is never found by what another one had. What a rolled-back transaction changed is in no snapshot.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread

from .cosine import Target
from .vectors import Ranked, Room, Vectors

if TYPE_CHECKING:
    from .database import SQLiteSnapshot

#: Rows that are read at a time.
CHUNK: Final = 1000


class VectorCache:
    """The vectors of one table. Whoever uses it holds its lock.

    Args:
        sql: The statements on the table.
        room: What it may take, together with other tables.

    Attributes:
        lock: Held from before a snapshot is taken: so no snapshot is older than what is kept.
    """

    def __init__(self, sql: Mapping[str, str], room: Room) -> None:
        self.lock = anyio.Lock()
        self._sql = sql
        self._room = room
        self._vectors: Vectors | None = None
        self._newest: tuple[int, int] | None = None
        self._retry = -1

    async def ranked(self, snapshot: "SQLiteSnapshot", target: Target) -> Ranked | None:
        """The rows of `snapshot` in the order of their rough similarity to `target`.

        Rows of other dimensions than the first target's are not kept, nor are they found.

        Returns:
            None where there is not room for all, or the target has other dimensions.
        """
        vectors = self._vectors
        if vectors is not None and vectors.dimensions != target.dimensions:
            return None
        if vectors is None or not await self._follow(snapshot, vectors):
            vectors = await self._read(snapshot, target.dimensions)
        if vectors is None:
            return None
        return await anyio.to_thread.run_sync(vectors.ranked, target)

    async def _follow(self, snapshot: "SQLiteSnapshot", vectors: Vectors) -> bool:
        """Take in what has changed; whether that can be told, and there was room."""
        if self._newest is None:
            return False
        changes = await snapshot.fetch(self._sql["since"], self._newest[0])
        # Where the change that was read last is gone, so may be others. Where another one has its
        # number, the file is a copy of an earlier day.
        if not changes or tuple(changes[0][:2]) != self._newest:
            return False
        left = {int(change[2]) for change in changes[1:]}
        for part in parts(sorted(left), CHUNK):
            rows = await snapshot.fetch(self._sql["embeddings_of"], as_json(part))
            left.difference_update(int(row[0]) for row in rows)
            if not await anyio.to_thread.run_sync(vectors.put, rows):
                return False
        vectors.drop(sorted(left))
        self._newest = tuple(changes[-1][:2])
        return True

    async def _read(self, snapshot: "SQLiteSnapshot", dimensions: int) -> Vectors | None:
        """Read the whole table, if there is room."""
        if self._vectors is not None:
            self._vectors.close()
            self._vectors = None
        newest = await snapshot.fetch(self._sql["newest"])
        if not newest or newest[0][0] < self._retry:
            return None
        vectors = Vectors(dimensions, self._room)
        try:
            async with aclosing(snapshot.chunks(self._sql["embeddings"], size=CHUNK)) as chunks:
                async for rows in chunks:
                    if not await anyio.to_thread.run_sync(vectors.put, rows):
                        # Not tried at each search: only when the table has changed a lot.
                        self._retry = newest[0][0] + max(len(vectors) // 8, CHUNK)
                        return None
            self._vectors, self._newest = vectors, tuple(newest[0])
        finally:
            if self._vectors is not vectors:
                vectors.close()
        return vectors


def as_json(seqs: Sequence[int]) -> str:
    """A list of numbers as a statement takes it."""
    return f"[{','.join(map(str, seqs))}]"


def parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Stretches of `size` values, the last one shorter."""
    return (values[start : start + size] for start in range(0, len(values), size))
