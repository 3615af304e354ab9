"""The embeddings of one table in memory, as rows with a length of 1, within a bound in bytes."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from storage.database import Row

from .cosine import Floats, Target, as_matrix, unit_rows

#: Bytes that vectors may take in memory, where nothing else is said: 150,000 of 768 dimensions.
VECTOR_CACHE: Final = 512 * 1024 * 1024

#: Rows that room is taken for at a time.
BLOCK: Final = 2048

#: Bytes that a row takes beside its vector: its number, and where it is.
BESIDE: Final = 160

#: Rows that are put in order at first: more than most searches look at.
FIRST: Final = 4096


class Room:
    """Bytes for vectors, shared by the tables of one database.

    Attributes:
        bound: How many there are.
        taken: How many are in use.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.taken = 0

    def take(self, size: int) -> bool:
        """Take as many, unless there are not so many left."""
        if self.taken + size > self.bound:
            return False
        self.taken += size
        return True

    def give_back(self, size: int) -> None:
        self.taken -= size


class Vectors:
    """The vectors of some rows. For one thread at a time.

    Attributes:
        dimensions: Of each.
    """

    def __init__(self, dimensions: int, room: Room) -> None:
        self.dimensions = dimensions
        self._room = room
        self._block_size = BLOCK * (4 * dimensions + BESIDE)
        self._blocks: list[Floats] = []
        self._seqs = np.empty(0, dtype=np.int64)
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """Give the room back; nothing may be asked afterwards."""
        self._room.give_back(self._block_size * len(self._blocks))
        self._blocks.clear()
        self._places.clear()

    def put(self, rows: Sequence[Row]) -> bool:
        """Keep these rows, instead of what was kept by their numbers; of other dimensions, none.

        Returns:
            Whether there was room; if not, some may be kept.
        """
        usable = [row for row in rows if len(row[1]) == 4 * self.dimensions]
        self.drop([row[0] for row in rows if len(row[1]) != 4 * self.dimensions])
        units = unit_rows(as_matrix(usable, self.dimensions))
        for (seq, _), unit in zip(usable, units, strict=True):
            place = self._places.get(seq)
            if place is None:
                place = len(self._places)
                if place == BLOCK * len(self._blocks) and not self._grow():
                    return False
                self._places[seq] = place
                self._seqs[place] = seq
            self._row(place)[:] = unit
        return True

    def drop(self, seqs: Sequence[int]) -> None:
        """Keep these rows no longer; the last ones take their places."""
        for seq in seqs:
            place = self._places.pop(seq, None)
            if place is None:
                continue
            last = len(self._places)
            if place != last:
                moved = int(self._seqs[last])
                self._row(place)[:] = self._row(last)
                self._seqs[place] = moved
                self._places[moved] = place

    def ranked(self, target: Target) -> "Ranked":
        """All rows in the order of their rough similarity to `target`."""
        rough = np.empty(len(self), dtype=np.float32)
        for number, block in enumerate(self._blocks):
            part = rough[number * BLOCK : (number + 1) * BLOCK]
            # As quick on one core as a matrix product on two, which wait for each other.
            np.vecdot(block[: len(part)], target.unit, out=part)
        return Ranked(self._seqs[: len(self)].copy(), rough)

    def _row(self, place: int) -> Floats:
        row: Floats = self._blocks[place // BLOCK][place % BLOCK]
        return row

    def _grow(self) -> bool:
        if not self._room.take(self._block_size):
            return False
        self._blocks.append(np.empty((BLOCK, self.dimensions), dtype=np.float32))
        self._seqs = np.concatenate([self._seqs, np.empty(BLOCK, dtype=np.int64)])
        return True


class Ranked:
    """Rows in the order of their rough similarity, the greatest first; ordered as far as asked."""

    def __init__(self, seqs: NDArray[np.int64], rough: Floats) -> None:
        self._seqs = seqs
        self._rough = rough
        places = np.arange(len(rough))
        if len(rough) > FIRST:
            places = np.argpartition(-rough, FIRST)[:FIRST]
        self._order = self._sorted(places)

    def part(self, start: int, stop: int, least: float) -> list[int]:
        """Numbers of the rows at these places; none that are less similar than `least`."""
        if stop > len(self._order) < len(self._rough):
            rest = np.ones(len(self._rough), dtype=bool)
            rest[self._order] = False
            self._order = np.concatenate([self._order, self._sorted(np.flatnonzero(rest))])
        places = self._order[start:stop]
        return self._seqs[places[self._rough[places] >= least]].tolist()  # type: ignore[no-any-return]

    def _sorted(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        return places[np.argsort(-self._rough[places])]
