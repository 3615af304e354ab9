"""Fusing ranked lists: a convex sum of scores scaled to 0..1 within each list.

Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (ACM TOIS 2023), find
it ahead of reciprocal rank fusion, which throws the scores away.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

#: What the keyword list counts for, beside the vector list: `argentbus bench recall` chose it.
KEYWORD_WEIGHT: Final = 0.55


def scaled(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores moved to 0..1; all 1 where they do not differ."""
    if not scores:
        return {}
    least, most = min(scores.values()), max(scores.values())
    if most == least:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - least) / (most - least) for key, score in scores.items()}


def fused(
    keyword: Mapping[str, float], vector: Mapping[str, float], limit: int
) -> list[tuple[str, float]]:
    """The `limit` best keys of both lists, with their scores, the best first."""
    if not vector:
        combined = scaled(keyword)
    elif not keyword:
        combined = scaled(vector)
    else:
        left, right = scaled(keyword), scaled(vector)
        combined = {
            key: KEYWORD_WEIGHT * left.get(key, 0.0) + (1 - KEYWORD_WEIGHT) * right.get(key, 0.0)
            for key in left.keys() | right.keys()
        }
    return sorted(combined.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]


def nearest(
    query: Sequence[float], candidates: Sequence[tuple[str, bytes]], limit: int
) -> dict[str, float]:
    """The `limit` candidates of greatest cosine similarity to `query`, exactly.

    Args:
        query: `d` numbers.
        candidates: Keys with packed float32 vectors; those of another length are passed over.
    """
    dimensions = len(query)
    usable = [(key, packed) for key, packed in candidates if len(packed) == 4 * dimensions]
    if not usable:
        return {}
    matrix = np.frombuffer(b"".join(packed for _, packed in usable), dtype="<f4")
    matrix = matrix.reshape(len(usable), dimensions)
    wanted = np.asarray(query, dtype=np.float32)
    norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(wanted)
    similarities = (matrix @ wanted) / np.where(norms == 0, 1, norms)
    best = np.argsort(-similarities, kind="stable")[:limit]
    return {usable[place][0]: float(similarities[place]) for place in best}


def words_of(query: str) -> list[str]:
    """The words of `query`, at most 64: letters and digits, so that no operator takes effect."""
    composed = unicodedata.normalize("NFC", query)
    return "".join(c if c.isalnum() else " " for c in composed).split()[:64]
