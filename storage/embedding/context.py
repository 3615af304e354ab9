"""The embedding of a text in its context: its own vector, and half of each line around it.

Averaged vectors and not the vector of the joined text, which takes several times as long to make
and finds no more: the lines of a conversation were mostly embedded when they were said.
`argentbus bench recall` is what the weight was chosen by.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from .embedder import Embedder, Vector

#: What a line of the context counts for, beside the text itself.
CONTEXT_WEIGHT: Final = 0.5

#: Lines of a context that are embedded; those behind them are only found by their words.
MOST_LINES: Final = 16


async def embedded_in_context(
    embedder: Embedder, texts: Sequence[tuple[str, str | None]]
) -> list[Vector]:
    """A vector for each text with its context, in their order.

    Raises:
        EmbeddingFailed: the embedder failed.
    """
    parts = [[text, *_lines(context)] for text, context in texts]
    different = list(dict.fromkeys(part for some in parts for part in some))
    made = await embedder.embed(different, kind="passage") if different else []
    by_text = dict(zip(different, made, strict=True))
    return [_blended([by_text[part] for part in some]) for some in parts]


def _lines(context: str | None) -> list[str]:
    return [line for line in (context or "").splitlines() if line.strip()][:MOST_LINES]


def _blended(vectors: Sequence[Vector]) -> Vector:
    """The first one and a part of the others, as long as the first one is."""
    if len(vectors) == 1:
        return vectors[0]
    rows = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units = rows / np.where(norms == 0, 1, norms)
    together = units[0] + CONTEXT_WEIGHT * units[1:].sum(axis=0)
    length = np.linalg.norm(together)
    blended: list[float] = (together * (norms[0, 0] / length) if length else rows[0]).tolist()
    return blended
