"""Cosine similarity: roughly and quickly for many vectors, exactly for the few that may be nearest.

Packed vectors are little-endian float32. Those of other dimensions, or with numbers that are not
finite, are passed over; a vector of zeros is similar to nothing (0).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from storage.database import Row

#: What rounds a number to float32 is wrong by, at most, as a share of it.
_ROUNDING: Final = 2.0**-24

#: Sums of squares that float32 has room for, whatever is done with them.
_ORDINARY: Final = (1e-12, 1e12)

Floats = NDArray[np.float32]


class Target:
    """The vector that is looked for.

    Attributes:
        unit: The same with a length of 1, as float32.
        slack: Most that a rough similarity is wrong by: so much a product of float32 vectors, and
            half as much again a length (Higham, "Accuracy and Stability of Numerical Algorithms",
            2002, section 3.1).
    """

    def __init__(self, embedding: Sequence[float]) -> None:
        self._numbers = np.asarray(embedding, dtype=np.float32).astype(np.float64)
        self._length = float(np.sqrt(self._numbers @ self._numbers))
        self.unit: Floats = (self._numbers / (self._length or 1.0)).astype(np.float32)
        self.slack = 1.01 * (1.5 * self.dimensions + 8) * _ROUNDING

    @property
    def dimensions(self) -> int:
        return len(self._numbers)

    def rough(self, matrix: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Similarities to rows, roughly; and which of them float32 had room for."""
        squares, ordinary = _squares(matrix)
        with np.errstate(over="ignore", invalid="ignore"):
            similarities: Floats = np.vecdot(matrix, self.unit) / np.sqrt(squares)
        similarities[~ordinary] = -np.inf
        return similarities, ordinary

    def exact(self, matrix: Floats) -> NDArray[np.float64]:
        """Similarities to rows, -1 to 1, or NaN; none depends on the rows beside it."""
        rows = matrix.astype(np.float64)
        with np.errstate(invalid="ignore"):
            lengths = np.sqrt(np.vecdot(rows, rows)) * self._length
            similarities: NDArray[np.float64] = np.vecdot(rows, self._numbers) / np.where(
                lengths == 0, 1.0, lengths
            )
        np.clip(similarities, -1.0, 1.0, out=similarities)
        return similarities


class Nearest:
    """The nearest so far to a target: of equally near ones, those with the lesser ids.

    Args:
        limit: How many are wanted.

    Attributes:
        target: What they are to be near to.
    """

    def __init__(self, target: Target, limit: int) -> None:
        self.target = target
        self._limit = limit
        self._best: list[tuple[float, str]] = []

    @property
    def least(self) -> float:
        """What is roughly less similar than this is none of the nearest."""
        if len(self._best) < self._limit:
            return -np.inf
        return -self._best[-1][0] - self.target.slack if self._best else np.inf

    def offer(self, rows: Sequence[Row]) -> None:
        """Take the best of these: ids with their packed vectors."""
        usable = [row for row in rows if len(row[1]) == 4 * self.target.dimensions]
        matrix = as_matrix(usable, self.target.dimensions)
        rough, ordinary = self.target.rough(matrix)
        least = self.least
        if 0 < self._limit < len(rough):
            last = float(np.partition(rough, -self._limit)[-self._limit])
            least = max(least, last - 2 * self.target.slack)
        places = np.flatnonzero((rough >= least) | ~ordinary)
        exact = self.target.exact(matrix[places]).tolist()
        offered = [
            (-similarity, str(usable[place][0]))
            for similarity, place in zip(exact, places.tolist(), strict=True)
            if similarity == similarity  # not NaN
        ]
        self._best = sorted((*self._best, *offered))[: self._limit]

    def found(self) -> dict[str, float]:
        """Ids with their similarities, the nearest first."""
        return {key: -negative for negative, key in self._best}


def as_matrix(rows: Sequence[Row], dimensions: int) -> Floats:
    """The packed vectors of rows (their second columns), a row each."""
    packed = b"".join(row[1] for row in rows)
    return np.frombuffer(packed, dtype="<f4").reshape(len(rows), dimensions)


def unit_rows(matrix: Floats) -> Floats:
    """Rows with a length of 1, or of 0: those that were zeros, or not finite."""
    squares, ordinary = _squares(matrix)
    units = (matrix / np.sqrt(squares)[:, None]).astype(np.float32, copy=False)
    for place in np.flatnonzero(~ordinary):
        row = matrix[place].astype(np.float64)
        length = np.sqrt(row @ row)
        units[place] = row / length if 0 < length < np.inf else 0.0
    return units


def _squares(matrix: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Squared lengths of rows, 1 where float32 has no room for them; and where it has."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares: Floats = np.vecdot(matrix, matrix)
    ordinary = (squares > _ORDINARY[0]) & (squares < _ORDINARY[1])
    return np.where(ordinary, squares, np.float32(1.0)), ordinary
