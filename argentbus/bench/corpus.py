"""What searches are measured on: memories of 1,000 agents, and questions; made as they are needed.

Vectors: for each thousand rows there is a centre, a random unit vector. A row is a random centre
plus a random unit vector, its length then made 1: rows of a centre have a cosine similarity of
about 0.5 to each other, as texts on one subject have, and of about 0 to the others. A question is
made as a row is.

Words: 12 a row, of 10,000, the n-th of them as often as 1 / (n + 100): the commonest is in 3 rows
of a hundred, as words with a meaning are. A question has three words of one row.

Rows belong to agents, for whom alone they are: one in five to `large`, one in fifty to `medium`,
one in a thousand to `small`, the rest to 997 others.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Whom questions are asked for, and their shares of the rows, in thousandths.
AGENTS: Final = {"large": 200, "medium": 20, "small": 1}

#: How many others there are.
OTHERS: Final = 1000 - len(AGENTS)

#: Rows that are made at a time.
CHUNK: Final = 2000

#: Rows of a centre, on average; there are 16 centres at least.
_SUBJECT: Final = 1000

_VOCABULARY: Final = 10_000
_WORDS: Final = 12

Matrix = NDArray[np.float32]


class Chunk(NamedTuple):
    """Some rows: their ids, whose they are, their texts and vectors."""

    ids: list[str]
    agents: list[str]
    texts: list[str]
    vectors: Matrix


class Question(NamedTuple):
    """What is searched for.

    Attributes:
        best: For each agent: the ids of its ten nearest rows, exactly, the nearest first.
    """

    text: str
    vector: Matrix
    best: dict[str, list[str]]


class Corpus:
    """`rows` rows of vectors with `dimensions` numbers: always the same."""

    def __init__(self, rows: int, dimensions: int) -> None:
        self.rows = rows
        self.dimensions = dimensions
        random = np.random.default_rng(1)
        count = max(16, rows // _SUBJECT)
        self._centres = _units(random.standard_normal((count, dimensions), dtype=np.float32))
        often = 1 / (np.arange(_VOCABULARY) + 100)
        self._often = np.cumsum(often / often.sum())

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in stretches."""
        for start in range(0, self.rows, CHUNK):
            count = min(CHUNK, self.rows - start)
            random = np.random.default_rng((2, start))
            numbers = range(start, start + count)
            yield Chunk(
                ids=[f"{n:08}" for n in numbers],
                agents=[owner(n) for n in numbers],
                texts=self._texts(random, count),
                vectors=self._vectors(random, count),
            )

    def questions(self, count: int) -> list[Question]:
        """So many questions, with their answers: all rows are made once to find them."""
        random = np.random.default_rng(3)
        words = [" ".join(text.split()[:3]) for text in self._texts(random, count)]
        vectors = self._vectors(random, count)
        nearest = {agent: _Nearest(count) for agent in ("", *AGENTS)}
        for chunk in self.chunks():
            similarities = vectors @ chunk.vectors.T
            for agent, best in nearest.items():
                places = [n for n, one in enumerate(chunk.agents) if agent in ("", one)]
                best.take([chunk.ids[n] for n in places], similarities[:, places])
        return [
            Question(words[n], vectors[n], {agent: best.ids(n) for agent, best in nearest.items()})
            for n in range(count)
        ]

    def _vectors(self, random: np.random.Generator, count: int) -> Matrix:
        noise = random.standard_normal((count, self.dimensions), dtype=np.float32)
        centres = self._centres[random.integers(len(self._centres), size=count)]
        return _units(centres + _units(noise))

    def _texts(self, random: np.random.Generator, count: int) -> list[str]:
        drawn = np.searchsorted(self._often, random.random((count, _WORDS)))
        return [" ".join(f"w{word}" for word in row) for row in drawn.tolist()]


class _Nearest:
    """The ten nearest rows to each of some vectors."""

    def __init__(self, count: int) -> None:
        self._best: list[list[tuple[float, str]]] = [[] for _ in range(count)]

    def take(self, ids: Sequence[str], similarities: Matrix) -> None:
        for n, row in enumerate(similarities):
            first = np.argsort(-row, kind="stable")[:10]
            offered = zip((-row[first]).tolist(), (ids[place] for place in first), strict=True)
            self._best[n] = sorted((*self._best[n], *offered))[:10]

    def ids(self, n: int) -> list[str]:
        return [key for _, key in self._best[n]]


def owner(n: int) -> str:
    """Whose the `n`-th row is."""
    place = n % 1000
    for agent, share in AGENTS.items():
        if place < share:
            return agent
        place -= share
    return f"agent-{n % OTHERS}"


def _units(matrix: Matrix) -> Matrix:
    units: Matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return units


def packed(vectors: Matrix) -> list[bytes]:
    """Vectors as little-endian float32."""
    return [vector.astype("<f4").tobytes() for vector in vectors]


def recall(found: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]]) -> float:
    """Which share of what is wanted was found, 0 to 1."""
    hits = sum(
        len(set(one) & set(other[: len(one)])) for one, other in zip(wanted, found, strict=True)
    )
    return hits / max(1, sum(map(len, wanted)))
