"""Salience and identity: the formulas, and search results in their order."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import InvalidValue
from storage.adapter import DatabaseAdapter
from storage.database import Row
from storage.memory import Memory
from storage.memory.ranking import cosines, identity, recency, salience, similarities
from storage.model.values import pack_vector

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
_unit = st.floats(0, 1)


def test_what_is_as_old_as_its_half_life_counts_half() -> None:
    assert recency(timedelta(0), 30) == 1
    assert recency(30 * DAY, 30) == 0.5
    assert recency(60 * DAY, 30) == 0.25
    assert recency(15 * DAY, 30) == pytest.approx(math.sqrt(0.5))
    assert recency(-DAY, 30) == 1, "of another clock"
    assert recency(10_000 * DAY, math.inf) == 1


def test_salience_is_similarity_by_reinforcement_by_recency() -> None:
    assert salience(0.8, 1, timedelta(0)) == pytest.approx(0.8)
    assert salience(0.8, 7, timedelta(0)) == pytest.approx(0.8 * 3)
    assert salience(0.8, 7, 30 * DAY) == pytest.approx(0.8 * 3 / 2)
    assert salience(0.8, 7, 30 * DAY, half_life=10) == pytest.approx(0.8 * 3 / 8)


@pytest.mark.parametrize(
    ("significance", "age", "weight"),
    [
        ("routine", 30, 0.5),
        ("noteworthy", 90, 1.5 / 2),
        ("important", 365, 2.5 / 2),
        ("core", 100_000, 5),
    ],
)
def test_identity_has_a_half_life_and_a_weight_for_each_significance(
    significance: str, age: int, weight: float
) -> None:
    score = identity(0.5, 3, age * DAY, significance=significance)
    assert score == pytest.approx(0.25 * 2 * weight)


def test_identity_counts_emotion_and_the_strongest_bond() -> None:
    def score(**more: Any) -> float:
        return identity(1, 1, timedelta(0), **more)

    assert score() == 1
    assert score(valence=-2, arousal=1) == score(valence=2, arousal=1) == 2
    assert score(valence=1, arousal=0.5) == pytest.approx(1.25)
    assert score(valence=2, arousal=0) == score(valence=0, arousal=1) == 1
    assert score(bond=1) == pytest.approx(1.3)
    assert score(bond=0.5, valence=2, arousal=1) == pytest.approx(2.3)


@given(_unit, st.integers(1, 2**53), st.integers(0, 10**6), st.floats(-2, 2), _unit, _unit)
def test_scores_are_finite_and_grow_with_each_part(
    fit: float, count: int, days: int, valence: float, arousal: float, bond: float
) -> None:
    age = days * DAY
    emotion = {"valence": valence, "arousal": arousal}
    score = identity(fit, count, age, bond=bond, **emotion)
    assert 0 <= score < math.inf
    assert identity(fit, count, age, bond=1, **emotion) >= score
    assert identity(fit, count + 1, age, bond=bond, **emotion) >= score
    assert identity(fit, count, age + DAY, bond=bond, **emotion) <= score
    assert salience(fit, count, age) >= salience(fit, count, age + DAY) >= 0


def test_what_fits_by_words_and_by_vector_fits_by_both() -> None:
    assert similarities([1, 0.5, 0], [0, 1, 1]) == pytest.approx([0.5, 0.75, 0.5])
    assert similarities([0, 0], [0.3, 0.2]) == [0.3, 0.2]
    assert similarities([], []) == []
    packed = [pack_vector("v", one, 2) for one in ([1, 0], [0, 2], [-1, 0], [3, 3], [0, 0])]
    expected = [1, 0, 0, math.sqrt(0.5), 0, 0]
    assert cosines([2, 0], [*packed, None]) == pytest.approx(expected)
    assert cosines([0, 0], packed) == [0] * 5
    assert cosines([1, 0, 0], packed) == [0] * 5


@pytest.fixture
async def memory(storage: DatabaseAdapter) -> Memory:
    """Facts that fit alike, and differ in one thing each."""
    memory = storage.scoped("scout").memory
    facts: dict[str, dict[str, Any]] = {
        "plain": {},
        "old": {"created_at": NOW - 60 * DAY},
        "again": {"reinforcement_count": 7},
        "moving": {"emotional_valence": -2, "emotional_arousal": 1},
        "core": {"significance": "core", "created_at": NOW - 60 * DAY},
        "friend": {},
    }
    for n, (name, columns) in enumerate(facts.items()):
        await memory.create_item(
            **{
                "summary": f"apple {n}",
                "memory_type": "event",
                "item_id": name,
                "embedding": [1, 0, 0],
                "created_at": NOW,
            }
            | columns
        )
    for name, bond in (("Ann", 0.4), ("Bob", 1.0)):
        entity = await memory.create_entity(name, bond_strength=bond)
        await memory.link_entity("friend", entity.id)
    return memory


SALIENCE = {"again": 3, "plain": 1, "moving": 1, "friend": 1, "old": 0.25, "core": 0.25}
IDENTITY = {"core": 5, "again": 3, "moving": 2, "friend": 1.3, "plain": 1, "old": 0.25}


async def test_results_are_ranked_by_what_is_asked_for(memory: Memory) -> None:
    for rank, expected in (("salience", SALIENCE), ("identity", IDENTITY)):
        for query in ({"query": ""}, {"query": "apple"}):
            hits = await memory.search(**query, embedding=[2, 0, 0], rank=rank, at=NOW)
            scores = {hit.item.id: hit.score for hit in hits}
            assert scores == pytest.approx(expected)
            assert list(scores.values()) == sorted(scores.values(), reverse=True)
        best = await memory.search_by_vector([1, 0, 0], rank=rank, at=NOW, limit=1)
        assert [hit.item.id for hit in best] == [next(iter(expected))]
        assert await memory.search("apple", rank=rank, limit=0) == []
        assert await memory.search("pear", rank=rank) == []
    [hit] = await memory.search_by_keyword("4", rank="identity", at=NOW + 1000 * DAY)
    assert (hit.item.id, hit.score) == ("core", pytest.approx(5)), "a core memory never fades"


async def test_a_rank_or_a_time_that_cannot_be_is_said_to_be_so(memory: Memory) -> None:
    with pytest.raises(InvalidValue, match="rank: is 'luck', and must be relevance, salience, id"):
        await memory.search("apple", rank="luck")
    with pytest.raises(InvalidValue, match="at: must be a datetime with a time zone"):
        await memory.search("apple", rank="salience", at=datetime(2026, 1, 1))  # noqa: DTZ001


async def test_only_bonds_that_the_agent_may_see_count(storage: DatabaseAdapter) -> None:
    theirs = storage.scoped("a").memory
    for visibility, bond in (("private", 1.0), ("public", 0.5)):
        item = await theirs.create_item(
            summary=f"apple {visibility}", memory_type="event", visibility="public", created_at=NOW
        )
        await theirs.link_entity(
            item.id,
            (await theirs.create_entity(visibility, visibility=visibility, bond_strength=bond)).id,
        )
    seen = {
        agent: {
            hit.item.summary: hit.score
            for hit in await storage.scoped(agent).memory.search("apple", rank="identity", at=NOW)
        }
        for agent in ("a", "b")
    }
    assert seen["a"] == pytest.approx({"apple private": 1.3, "apple public": 1.15})
    assert seen["b"] == pytest.approx({"apple private": 1, "apple public": 1.15})


async def test_bonds_of_all_candidates_are_fetched_at_once(
    storage: DatabaseAdapter, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    fetch = storage._database.fetch

    async def counted(sql: str, *args: Any, scope: str) -> list[Row]:
        asked.append(sql)
        return await fetch(sql, *args, scope=scope)

    monkeypatch.setattr(storage._database, "fetch", counted)
    assert len(await memory.search("apple", rank="identity")) == 6
    assert [sql for sql in asked if "item_entities" in sql] == asked[1:] != []
    assert len(asked) == 2
    await memory.search("apple", rank="salience")
    assert len(asked) == 3
