"""Whether a search finds what answers a question: recall on questions whose evidence is known.

The file has one JSON object a line. A memory, and what was said or noted before and after it in the
same session is what stands around it in the file:

    {"memory": "m1", "text": "I moved to Oslo.", "session": "s1", "time": "2026-05-01T10:00:00Z"}

`session`, `time` (ISO 8601; UTC where it names no zone) and `context` (text that is indexed with
it, instead of its neighbours) may be missing. A question, with the ids of all the memories that
answer it:

    {"question": "Where does Ada live?", "answers": ["m1"]}
"""

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import msgspec

from argentbus.embedded import EmbeddedPostgres, free_port
from argentbus.errors import BadFile
from storage.adapter import DatabaseAdapter
from storage.embedding import Embedder
from storage.embedding.context import MOST_LINES, embedded_in_context
from storage.embedding.remembering import RememberingEmbedder
from storage.fusion import words_of
from storage.model.items import MOST_CONTEXT, CreateItem, MemoryItem
from storage.model.values import content_hash, now, pack_vector
from storage.postgres import migrations
from storage.postgres.adapter import PgAdapter
from storage.postgres.setup import setup
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.spelling import SQLiteSpelling

#: Of so many that were found first.
DEPTHS: Final = (5, 10, 25)

BACKENDS: Final = ("sqlite", "postgres")

#: Whose memories they are.
AGENT: Final = "reader"

#: Texts that are embedded, and items that are stored, at once.
AT_ONCE: Final = 64


class Memory(msgspec.Struct, frozen=True):
    """A line that is a memory; see above. Fields of other names are passed over."""

    memory: str
    text: str
    session: str | None = None
    time: str | None = None
    context: str | None = None


class Question(msgspec.Struct, frozen=True):
    """A line that is a question; see above."""

    question: str
    answers: list[str]


class Exam(msgspec.Struct, frozen=True):
    """What a file holds, and vectors for it once they are made.

    Attributes:
        contexts: What is indexed with each memory.
        memory_vectors, question_vectors: Empty where there is no embedder.
    """

    memories: list[Memory]
    questions: list[Question]
    contexts: list[str | None]
    memory_vectors: list[Sequence[float]] = []
    question_vectors: list[Sequence[float]] = []


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


def read(path: Path, before: int, after: int) -> Exam:
    """Read a file.

    Args:
        before, after: How many neighbours of its session are indexed with a memory.

    Raises:
        BadFile: it cannot be read, or is not of that form; says in which line.
    """
    memories: list[Memory] = []
    questions: list[Question] = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = msgspec.json.decode(line)
            if isinstance(fields, dict) and "question" in fields:
                questions.append(msgspec.convert(fields, Question))
            else:
                memories.append(msgspec.convert(fields, Memory))
                moment_of(memories[-1])
        except (msgspec.MsgspecError, ValueError) as error:
            raise BadFile(
                f'{path}, line {number}: {error}; it should be {{"memory": ID, "text": ..}} or '
                f'{{"question": .., "answers": [ID, ..]}}'
            ) from error
    known = {memory.memory for memory in memories}
    if len(known) < len(memories):
        raise BadFile(f"{path}: two memories have one id")
    for question in questions:
        unknown = [answer for answer in question.answers if answer not in known]
        if unknown or not question.answers:
            what = f"names {unknown[0]!r}, which is no memory" if unknown else "has no answers"
            raise BadFile(f"{path}: the question {question.question[:60]!r} {what}")
    if not questions:
        raise BadFile(f"{path}: there are no questions in it")
    return Exam(memories, questions, _contexts(memories, before, after))


def moment_of(memory: Memory) -> datetime | None:
    """When it happened.

    Raises:
        ValueError: its time is none.
    """
    if memory.time is None:
        return None
    moment = datetime.fromisoformat(memory.time)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _contexts(memories: Sequence[Memory], before: int, after: int) -> list[str | None]:
    return [
        memory.context or _around(memories, place, before, after)
        for place, memory in enumerate(memories)
    ]


def _around(memories: Sequence[Memory], place: int, before: int, after: int) -> str | None:
    session = memories[place].session
    if session is None:
        return None
    near = range(max(0, place - before), min(len(memories), place + after + 1))
    texts = [memories[n].text for n in near if n != place and memories[n].session == session]
    return "\n".join(" ".join(text.splitlines()) for text in texts)[:MOST_CONTEXT] or None


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
