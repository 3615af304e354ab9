"""Fusing ranked lists: a convex sum of scores scaled to 0..1 within each list.

Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (ACM TOIS 2023), find
it ahead of reciprocal rank fusion, which throws the scores away.
"""

import unicodedata
from collections.abc import Mapping
from typing import Final

#: What the keyword list counts for, beside the vector list.
KEYWORD_WEIGHT: Final = 0.6


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


def any_word(query: str) -> str:
    """An FTS5 expression that matches any word of `query`; empty where it has no word.

    Every word is quoted, so that no operator of FTS5 takes effect.
    """
    composed = unicodedata.normalize("NFC", query)
    words = "".join(c if c.isalnum() else " " for c in composed).split()
    return " OR ".join(f'"{word}"' for word in words[:64])
