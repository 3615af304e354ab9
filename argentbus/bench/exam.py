"""Questions whose evidence is known, and the memories that hold it: a file of them.

The file has one JSON object a line. A memory, and what was said or noted before and after it in the
same session is what stands around it in the file:

    {"memory": "m1", "text": "I moved to Oslo.", "session": "s1", "time": "2026-05-01T10:00:00Z"}

`session`, `time` (ISO 8601; UTC where it names no zone) and `context` (text that is indexed with
it, instead of its neighbours) may be missing. A question, with the ids of all the memories that
answer it:

    {"question": "Where does Ada live?", "answers": ["m1"]}
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from argentbus.errors import BadFile
from storage.model.items import MOST_CONTEXT


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
