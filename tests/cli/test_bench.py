"""The benchmarks of searches, in a short form: what they find is right, whatever time it takes."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from argentbus.bench import search
from argentbus.bench.corpus import AGENTS, Corpus, owner, recall
from argentbus.bench.figures import Figure
from tests.shell import Shell

pytestmark = pytest.mark.anyio

ROWS = 4000


def expect(figures: Sequence[Figure], backend: str) -> None:
    """Every row is there, and what is nearest was found."""
    shares = [f"agent with {share / 10:g} %" for share in AGENTS.values()]
    kinds = [f"{kind}, {of}" for kind in ("vector", "keyword", "hybrid") for of in ("p50", "p99")]
    assert {figure.path for figure in figures} == {
        f"{backend}, {ROWS:,} rows, {share}: {what}"
        for share in shares
        for what in (*kinds, "recall@10")
    }
    for figure in figures:
        assert figure.ours > 0, figure
        assert figure.bare > 0, figure
        if figure.path.endswith("recall@10"):
            assert figure.ours >= (100 if backend == "SQLite" else 95), figure


async def test_in_sqlite_all_that_is_nearest_is_found() -> None:
    expect(await search.sqlite_search(ROWS, 10, dimensions=16), "SQLite")


async def test_in_postgres_nearly_all_that_is_nearest_is_found() -> None:
    said: list[str] = []
    expect(await search.postgres_search(ROWS, 10, 16, said.append), "PostgreSQL")
    assert any("memory_items_embedding" in text for text in said)


def test_the_large_form_takes_a_number_of_rows(shell: Shell) -> None:
    ran = shell.run("bench", "--large", "--rows", "1000", "--quick", "--json")
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)
    assert len(figures) == 21
    assert all("PostgreSQL, 1,000 rows" in figure["path"] for figure in figures)


def test_the_corpus_is_the_same_each_time_and_its_answers_are_exact() -> None:
    corpus = Corpus(2500, 8)
    [one, other] = [list(corpus.chunks()) for _ in range(2)]
    assert [chunk.ids for chunk in one] == [chunk.ids for chunk in other]
    assert all(np.array_equal(a.vectors, b.vectors) for a, b in zip(one, other, strict=True))
    vectors = np.concatenate([chunk.vectors for chunk in one])
    ids = [key for chunk in one for key in chunk.ids]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for question in corpus.questions(5):
        for agent in AGENTS:
            own = [n for n in range(2500) if owner(n) == agent]
            order = sorted(own, key=lambda n: -float(vectors[n] @ question.vector))
            assert question.best[agent] == [ids[n] for n in order[:10]]
    owners = [owner(n) for n in range(1_000_000)]
    assert len(set(owners)) == 1000
    assert owners.count("small") == 1000
    assert owners.count("large") == 200_000


def test_recall_is_the_share_that_was_found() -> None:
    assert recall([[1, 2, 9], []], [[2, 1, 3], [4]]) == 0.5
