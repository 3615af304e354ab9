"""What a memory weighs, beside how well it fits: salience, and how much it is part of the agent.

Both are ArgentOS's: a fact that was stored again and again weighs more, one that is old less, and,
for identity, what moved the agent, mattered to it, or is about those it is close to, more.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from storage.fusion import KEYWORD_WEIGHT
from storage.model.items import MemoryItem

#: What search results may be ranked by.
RANKS: Final = ("relevance", "salience", "identity")

#: Days after which a fact's salience has halved.
SALIENCE_HALF_LIFE: Final = 30.0

#: Days after which what a fact is to the agent has halved.
HALF_LIVES: Final = {
    "routine": 30.0,
    "noteworthy": 90.0,
    "important": 365.0,
    "core": math.inf,
}

#: What significance counts for.
WEIGHTS: Final = {"routine": 1.0, "noteworthy": 1.5, "important": 2.5, "core": 5.0}


def recency(age: timedelta, half_life: float) -> float:
    """1 for what is new, half of it after each half-life.

    Args:
        age: Less than none counts as none.
        half_life: In days; infinite for what never fades.
    """
    return float(0.5 ** (max(age / timedelta(days=1), 0.0) / half_life))


def salience(
    similarity: float, reinforcements: int, age: timedelta, half_life: float = SALIENCE_HALF_LIFE
) -> float:
    """Similarity x log2(reinforcements + 1) x recency.

    Args:
        similarity: 0 to 1.
        reinforcements: How often the fact was stored, 1 at least.
        half_life: In days.
    """
    return similarity * math.log2(reinforcements + 1) * recency(age, half_life)


def identity(
    similarity: float,
    reinforcements: int,
    age: timedelta,
    *,
    valence: float = 0.0,
    arousal: float = 0.0,
    significance: str = "routine",
    bond: float = 0.0,
) -> float:
    """Similarity^2 x log2(reinforcements + 1) x recency x emotion x significance x bond.

    Emotion is 1 + |valence| x arousal / 2, significance its weight, bond 1 + 0.3 x the strongest.

    Args:
        similarity: 0 to 1.
        reinforcements: How often the fact was stored, 1 at least.
        valence: -2 to 2.
        arousal: 0 to 1.
        significance: It says how fast the fact fades, too.
        bond: The strongest to whom or what it mentions, 0 to 1.
    """
    return (
        similarity**2
        * math.log2(reinforcements + 1)
        * recency(age, HALF_LIVES[significance])
        * (1 + abs(valence) * arousal / 2)
        * WEIGHTS[significance]
        * (1 + 0.3 * bond)
    )


def of_item(rank: str, item: MemoryItem, similarity: float, at: datetime, bond: float) -> float:
    """What `item` weighs at a time, by `rank`: salience or identity."""
    age = at - item.created_at
    if rank == "salience":
        return salience(similarity, item.reinforcement_count, age)
    return identity(
        similarity,
        item.reinforcement_count,
        age,
        valence=item.emotional_valence,
        arousal=item.emotional_arousal,
        significance=item.significance,
        bond=bond,
    )


def similarities(keyword: Sequence[float], cosine: Sequence[float]) -> list[float]:
    """How well each of some facts fits, 0 to 1: by its words and by its vector.

    Args:
        keyword: How well it fits the words beside the one that fits best; where all are 0, there
            were no words, or none was found, and the vector alone counts.
        cosine: Of its vector, 0 to 1.
    """
    if not any(keyword):
        return list(cosine)
    return [
        KEYWORD_WEIGHT * one + (1 - KEYWORD_WEIGHT) * other
        for one, other in zip(keyword, cosine, strict=True)
    ]


def cosines(wanted: Sequence[float], packed: Sequence[bytes | None]) -> list[float]:
    """Cosine similarities of packed vectors to `wanted`, below 0 as 0; 0 for what has no vector."""
    target = np.asarray(wanted, dtype=np.float64)
    length = float(np.linalg.norm(target))
    found = []
    for one in packed:
        vector = np.frombuffer(one or b"", dtype="<f4").astype(np.float64)
        norm = float(np.linalg.norm(vector)) * length
        usable = len(vector) == len(target) and norm > 0
        found.append(min(max(float(vector @ target) / norm, 0.0), 1.0) if usable else 0.0)
    return found
