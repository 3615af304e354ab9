"""Searching memories on both backends, beside the bare statement and the bare arithmetic.

How near what was found is to what is exactly nearest is measured too: recall@10.
"""

import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import numpy as np

from storage.adapter import DatabaseAdapter
from storage.commands import DIMENSIONS
from storage.fusion import words_of
from storage.postgres.adapter import PgAdapter
from storage.postgres.nearest import INDEX
from storage.search import ALONE
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.vectors import BESIDE, BLOCK, VECTOR_CACHE

from .corpus import AGENTS, Corpus, Matrix, Question, recall
from .figures import Figure, median, percentile
from .filling import Say, connected, fill_sqlite, filled_postgres

#: How many are asked for.
LIMIT: Final = 10

#: Candidates that our vector list or our keyword list has where it is alone, and each bare one.
DEPTH: Final = ALONE

Ask = Callable[[Question], Awaitable[Sequence[Any]]]


class _Asked:
    """Answers to questions, and how long each took, in milliseconds."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.found: list[Sequence[Any]] = []

    @classmethod
    async def of(cls, ask: Ask, questions: Sequence[Question]) -> "_Asked":
        """Ask each twice: first to warm up, then to measure."""
        for question in questions:
            await ask(question)
        asked = cls()
        for question in questions:
            started = time.perf_counter()
            asked.found.append(await ask(question))
            asked.times.append((time.perf_counter() - started) * 1000)
        return asked


async def sqlite_search(rows: int, count: int, dimensions: int = DIMENSIONS) -> list[Figure]:
    """`count` questions to `rows` rows in a SQLite file, beside numpy and plain FTS5."""
    corpus = Corpus(rows, dimensions)
    questions = await anyio.to_thread.run_sync(corpus.questions, count)
    with tempfile.TemporaryDirectory(prefix="argentbus-bench-") as directory:
        path = Path(directory) / "search.db"
        async with SQLiteAdapter.open(path, dimensions=dimensions):
            pass
        matrix = await anyio.to_thread.run_sync(fill_sqlite, path, corpus)
        product = await _Asked.of(_dot(matrix), questions)
        del matrix
        with closing(sqlite3.connect(path)) as connection:
            words = await _Asked.of(_fts5(connection), questions)
        room = max(VECTOR_CACHE, (rows + BLOCK) * (4 * dimensions + BESIDE))
        async with SQLiteAdapter.open(path, dimensions=dimensions, vector_cache=room) as storage:
            return await _measured(
                f"SQLite, {rows:,} rows",
                storage,
                questions,
                {
                    "vector": (product, f"numpy: all rows in memory, product, best {DEPTH}"),
                    "keyword": (words, f"FTS5, bm25, best {DEPTH}, whoever's"),
                },
                exact=1.0,
            )


async def postgres_search(
    rows: int, count: int, dimensions: int = DIMENSIONS, say: Say = lambda _: None
) -> list[Figure]:
    """`count` questions to `rows` rows in PostgreSQL with row-level security, beside statements
    without it.
    """
    corpus = Corpus(rows, dimensions)
    say(f"finding the exact answers among {rows:,} rows")
    questions = await anyio.to_thread.run_sync(corpus.questions, count)
    async with filled_postgres(corpus, say) as server:
        connection = await connected(server)
        try:
            index = await _Asked.of(_hnsw(connection), questions)
            words = await _Asked.of(_ts_rank(connection), questions)
        finally:
            await connection.close()
        reached = recall(index.found, [question.best[""] for question in questions])
        url = server.url("bench", "argentbus")
        async with PgAdapter.open(url, dimensions=dimensions) as storage:
            return await _measured(
                f"PostgreSQL, {rows:,} rows",
                storage,
                questions,
                {
                    "vector": (index, f"HNSW, best {DEPTH} of all, no row-level security"),
                    "keyword": (words, f"GIN, ts_rank, best {DEPTH} of all, no row-level security"),
                },
                exact=reached,
            )


Bare = dict[str, tuple[_Asked, str]]


async def _measured(
    where: str, storage: DatabaseAdapter, questions: Sequence[Question], bare: Bare, exact: float
) -> list[Figure]:
    """Ours for each agent. `exact`: the recall of the bare vector search."""
    figures = []
    for agent, share in AGENTS.items():
        name = f"{where}, agent with {share / 10:g} %"
        asked = await _Asked.of(_vector(storage, agent), questions)
        figures += _times(f"{name}: vector", asked.times, *_of(bare["vector"]))
        figures.append(
            Figure(
                path=f"{name}: recall@10",
                ours=100 * recall(asked.found, [question.best[agent] for question in questions]),
                bare=100 * exact,
                unit="%",
                beside=bare["vector"][1],
            )
        )
        asked = await _Asked.of(_keyword(storage, agent), questions)
        figures += _times(f"{name}: keyword", asked.times, *_of(bare["keyword"]))
        asked = await _Asked.of(_hybrid(storage, agent), questions)
        both = [sum(pair) for pair in zip(*(one.times for one, _ in bare.values()), strict=True)]
        figures += _times(f"{name}: hybrid", asked.times, both, "both of these, one by one")
    return figures


def _of(bare: tuple[_Asked, str]) -> tuple[Sequence[float], str]:
    return bare[0].times, bare[1]


def _times(path: str, ours: Sequence[float], bare: Sequence[float], beside: str) -> list[Figure]:
    return [
        Figure(path=f"{path}, {name}", ours=of(ours), bare=of(bare), unit="ms", beside=beside)
        for name, of in (("p50", median), ("p99", lambda times: percentile(times, 0.99)))
    ]


# what is asked of storage


def _vector(storage: DatabaseAdapter, agent: str) -> Ask:
    async def ask(question: Question) -> Sequence[Any]:
        memory = storage.scoped(agent).memory
        hits = await memory.search_by_vector(question.vector.tolist(), limit=LIMIT)
        return [hit.item.id for hit in hits]

    return ask


def _keyword(storage: DatabaseAdapter, agent: str) -> Ask:
    async def ask(question: Question) -> Sequence[Any]:
        return await storage.scoped(agent).memory.search_by_keyword(question.text, limit=LIMIT)

    return ask


def _hybrid(storage: DatabaseAdapter, agent: str) -> Ask:
    async def ask(question: Question) -> Sequence[Any]:
        memory = storage.scoped(agent).memory
        return await memory.search(question.text, embedding=question.vector.tolist(), limit=LIMIT)

    return ask


# SQLite


def _dot(matrix: Matrix) -> Ask:
    def product(vector: Matrix) -> Sequence[Any]:
        similarities = matrix @ vector
        best = np.argpartition(-similarities, min(DEPTH, len(similarities) - 1))[:DEPTH]
        ordered: Sequence[Any] = best[np.argsort(-similarities[best])].tolist()
        return ordered

    async def ask(question: Question) -> Sequence[Any]:
        return product(question.vector)

    return ask


def _fts5(connection: sqlite3.Connection) -> Ask:
    sql = (
        "SELECT rowid FROM memory_items_fts WHERE memory_items_fts MATCH ? "
        "ORDER BY bm25(memory_items_fts) LIMIT ?"
    )

    async def ask(question: Question) -> Sequence[Any]:
        return connection.execute(sql, (" OR ".join(words_of(question.text)), DEPTH)).fetchall()

    return ask


# PostgreSQL


def _hnsw(connection: Any) -> Ask:
    sql = "SELECT id FROM memory_items ORDER BY embedding <=> $1 LIMIT $2"

    async def ask(question: Question) -> Sequence[Any]:
        async with connection.transaction():
            await connection.execute(
                f"SET LOCAL hnsw.ef_search = {INDEX['hnsw.ef_search']}; SET LOCAL enable_sort = off"
            )
            rows = await connection.fetch(sql, question.vector.astype("<f4").tobytes(), DEPTH)
        return [row[0] for row in rows]

    return ask


def _ts_rank(connection: Any) -> Ask:
    sql = (
        "SELECT id FROM memory_items, websearch_to_tsquery('argentbus', $1) AS query "
        "WHERE words @@ query ORDER BY ts_rank(words, query) DESC LIMIT $2"
    )

    async def ask(question: Question) -> Sequence[Any]:
        rows: Sequence[Any] = await connection.fetch(
            sql, " OR ".join(words_of(question.text)), DEPTH
        )
        return rows

    return ask
