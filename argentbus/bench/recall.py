"""Whether a search finds what answers a question: recall on questions whose evidence is known."""

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import msgspec

from argentbus.embedded import EmbeddedPostgres, free_port
from storage.adapter import DatabaseAdapter
from storage.embedding import Embedder
from storage.embedding.context import MOST_LINES, embedded_in_context
from storage.embedding.remembering import RememberingEmbedder
from storage.fusion import words_of
from storage.model.items import CreateItem, MemoryItem
from storage.model.values import content_hash, now, pack_vector
from storage.postgres import migrations
from storage.postgres.adapter import PgAdapter
from storage.postgres.setup import setup
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.spelling import SQLiteSpelling

from .exam import Exam, moment_of

#: Of so many that were found first.
DEPTHS: Final = (5, 10, 25)

BACKENDS: Final = ("sqlite", "postgres")

#: Whose memories they are.
AGENT: Final = "reader"

#: Texts that are embedded, and items that are stored, at once.
AT_ONCE: Final = 64


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one way of searching finds.

    Attributes:
        recall: Percent of a question's answers among the first 5, 10 and 25 found, by depth; the
            mean over all questions.
        hit: Percent of questions of which at least one answer is among them.
    """

    way: str
    backend: str
    recall: dict[int, float]
    hit: dict[int, float]


async def embed(exam: Exam, embedder: Embedder, say: Callable[[int, int], None]) -> Exam:
    """The same with vectors.

    Args:
        say: Told how many of how many texts are embedded.
    """
    # A memory is a neighbour of several: each text is embedded once.
    remembering = RememberingEmbedder(embedder, len(exam.memories) + AT_ONCE * MOST_LINES)
    passages = [
        (memory.text, context) for memory, context in zip(exam.memories, exam.contexts, strict=True)
    ]
    questions = [question.question for question in exam.questions]
    total = len(passages) + len(questions)
    of_memories: list[Sequence[float]] = []
    for first in range(0, len(passages), AT_ONCE):
        of_memories += await embedded_in_context(remembering, passages[first : first + AT_ONCE])
        say(len(of_memories), total)
    of_questions: list[Sequence[float]] = []
    for first in range(0, len(questions), AT_ONCE):
        some = questions[first : first + AT_ONCE]
        of_questions += await embedder.embed(some, kind="query")
        say(len(of_memories) + len(of_questions), total)
    return msgspec.structs.replace(exam, memory_vectors=of_memories, question_vectors=of_questions)


async def measure(exam: Exam, backend: str, dimensions: int) -> list[Row]:
    """Every way of searching `backend`: by words, and with vectors by these and by both."""
    async with _opened(backend, dimensions) as storage:
        stands = await _store(exam, storage)
        memory = storage.scoped(AGENT).memory
        vectors: Sequence[Any] = exam.question_vectors or [None] * len(exam.questions)

        async def keyword(question: str, _: Any) -> list[str]:
            hits = await memory.search_by_keyword(question, limit=max(DEPTHS))
            return [hit.item.id for hit in hits]

        async def vector(_: str, embedding: Any) -> list[str]:
            hits = await memory.search_by_vector(embedding, limit=max(DEPTHS))
            return [hit.item.id for hit in hits]

        async def hybrid(question: str, embedding: Any) -> list[str]:
            hits = await memory.search(question, embedding=embedding, limit=max(DEPTHS))
            return [hit.item.id for hit in hits]

        ways: dict[str, Callable[[str, Any], Awaitable[list[str]]]] = {"keyword": keyword}
        if exam.question_vectors:
            ways |= {"vector": vector, "hybrid": hybrid}
        rows = []
        for name, way in ways.items():
            found = [
                await way(question.question, embedding)
                for question, embedding in zip(exam.questions, vectors, strict=True)
            ]
            rows.append(_row(name, backend, exam, found, stands))
        return rows


def plain(exam: Exam) -> Row:
    """What FTS5's BM25 finds by any word of a question, in the texts alone and nothing tuned."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE texts USING fts5(text)")
        connection.executemany(
            "INSERT INTO texts (rowid, text) VALUES (?, ?)",
            ((place, memory.text) for place, memory in enumerate(exam.memories)),
        )
        find = "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rank LIMIT ?"
        found = [
            [
                exam.memories[place].memory
                for (place,) in connection.execute(find, (words, max(DEPTHS)))
            ]
            if (words := SQLiteSpelling().any_of(words_of(question.question)))
            else []
            for question in exam.questions
        ]
    return _row("BM25 of FTS5", "sqlite", exam, found, {})


def _row(
    way: str,
    backend: str,
    exam: Exam,
    found: Sequence[Sequence[str]],
    stands: dict[str, str],
) -> Row:
    recall, hit = {}, {}
    for depth in DEPTHS:
        shares = []
        for question, ids in zip(exam.questions, found, strict=True):
            wanted = {stands.get(answer, answer) for answer in question.answers}
            shares.append(len(wanted & set(ids[:depth])) / len(wanted))
        recall[depth] = 100 * sum(shares) / len(shares)
        hit[depth] = 100 * sum(map(bool, shares)) / len(shares)
    return Row(way=way, backend=backend, recall=recall, hit=hit)


async def _store(exam: Exam, storage: DatabaseAdapter) -> dict[str, str]:
    """Store the memories; return for each the one that stands for it.

    One that says the same as another of its agent is not stored twice.
    """
    start = now() - timedelta(seconds=len(exam.memories))
    first: dict[str, str] = {}
    commands = []
    for place, (memory, context) in enumerate(zip(exam.memories, exam.contexts, strict=True)):
        moment = start + timedelta(seconds=place)
        vector = exam.memory_vectors[place] if exam.memory_vectors else None
        first.setdefault(content_hash(memory.text), memory.memory)
        item = MemoryItem(
            id=memory.memory,
            agent_id=AGENT,
            memory_type="event",
            summary=memory.text,
            context=context,
            embedding=pack_vector("embedding", vector, len(vector)) if vector else None,
            happened_at=moment_of(memory),
            created_at=moment,
            updated_at=moment,
        )
        commands.append(CreateItem(item=item))
    for begin in range(0, len(commands), AT_ONCE):
        await storage.apply(commands[begin : begin + AT_ONCE])
    return {memory.memory: first[content_hash(memory.text)] for memory in exam.memories}


@asynccontextmanager
async def _opened(backend: str, dimensions: int) -> AsyncGenerator[DatabaseAdapter]:
    async with anyio.TemporaryDirectory(prefix="argentbus-bench-") as directory:
        if backend == "sqlite":
            path = Path(directory) / "recall.db"
            async with SQLiteAdapter.open(path, dimensions=dimensions) as storage:
                yield storage
            return
        server = EmbeddedPostgres(Path(directory) / "postgres", free_port())
        await anyio.to_thread.run_sync(server.start)
        try:
            url = server.url("recall", "argentbus")
            await setup(server.url(), url)
            await migrations.run(server.url("recall"), dimensions=dimensions)
            async with PgAdapter.open(url, dimensions=dimensions) as opened:
                yield opened
        finally:
            await anyio.to_thread.run_sync(server.stop)


def agreement(rows: Iterable[Row]) -> float:
    """By how many points the backends differ at most, at the same way and depth."""
    by_way: dict[str, list[Row]] = {}
    for row in rows:
        by_way.setdefault(row.way, []).append(row)
    return max(
        (
            max(row.recall[depth] for row in same) - min(row.recall[depth] for row in same)
            for same in by_way.values()
            for depth in DEPTHS
        ),
        default=0.0,
    )
