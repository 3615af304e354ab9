"""Lessons: what an agent learned from what it did."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from storage import queries
from storage.database import Database
from storage.domain import Reads, View
from storage.model import values
from storage.model.lessons import (
    TYPES,
    CreateLesson,
    DecayLesson,
    DecayLessons,
    DeleteLesson,
    Lesson,
    MergeLessons,
    ReinforceLesson,
    UpdateLesson,
)
from storage.rows import Rows
from storage.search import Search

SQL = queries.load("storage.memory", "lessons.sql")


class LessonHit(msgspec.Struct, frozen=True):
    """A lesson that was found.

    Attributes:
        lesson: What was found.
        score: 1 for the best of all candidates, 0 for the last.

    Example: See `Lesson`.
    """

    lesson: Lesson
    score: float


class Lessons(View):
    """What one agent may do with lessons.

    It sees its own and those that are shared with it, and changes its own.
    """

    async def get_lesson(self, lesson_id: str) -> Lesson | None:
        """The lesson, or None where there is none that this agent may see."""
        lesson: Lesson | None = await self._port.read("lessons", "get_lesson", lesson_id=lesson_id)
        return lesson

    async def list_lessons(
        self,
        *,
        type: str | None = None,
        min_confidence: float = 0.0,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Lesson]:
        """Lessons that this agent may see, the last seen first.

        Args:
            type: Only those of this one.
            min_confidence: Least confidence, 0 to 1.
            since: Those last seen at this time or later; `until`: before that.
            limit, offset: Most lessons, up to 10,000, and how many of the first to pass over.

        Raises:
            InvalidValue: a filter or a limit that cannot be.
        """
        lessons: list[Lesson] = await self._port.read(
            "lessons",
            "list_lessons",
            type=type,
            min_confidence=min_confidence,
            since=since,
            until=until,
            limit=limit,
            offset=offset,
        )
        return lessons

    async def lessons_by_tool(self, tool: str, *, limit: int = 50, offset: int = 0) -> list[Lesson]:
        """Lessons about a tool, the surest first, then those learned most often.

        Args:
            limit, offset: Most lessons, up to 10,000, and how many of the first to pass over.

        Raises:
            InvalidValue: a limit or an offset that cannot be.
        """
        lessons: list[Lesson] = await self._port.read(
            "lessons", "lessons_by_tool", tool=tool, limit=limit, offset=offset
        )
        return lessons

    async def search_lessons(
        self, query: str, *, embedding: Sequence[float] | None = None, limit: int = 10
    ) -> list[LessonHit]:
        """The lessons that fit best: any word of `query`, and the nearest to `embedding`.

        With an empty query by vector alone, without an embedding by words alone.

        Args:
            embedding: Numbers, as many as this storage's dimension; made of the query where there
                is an embedder.
            limit: Most lessons, up to 1,000.

        Raises:
            InvalidValue: the embedding is not of this storage's dimension, or not finite; a limit
                that cannot be.
            EmbeddingFailed: the embedder that is configured failed.
        """
        embedding = await self._embedded_query(query, embedding)
        hits: list[LessonHit] = await self._port.read(
            "lessons", "search_lessons", query=query, embedding=embedding, limit=limit
        )
        return hits

    async def create_lesson(
        self,
        *,
        type: str,
        context: str,
        action: str,
        outcome: str,
        lesson: str,
        embedding: Sequence[float] | None = None,
        lesson_id: str | None = None,
        created_at: datetime | None = None,
        **columns: Any,
    ) -> Lesson:
        """Write a lesson down.

        Args:
            type: mistake, success, workaround, discovery, error_correction, best_practice or
                anti_pattern.
            lesson: 1 to 1,000,000 characters; the texts before it may be empty.
            embedding: Numbers, as many as this storage's dimension (768 by default); made of the
                texts where there is an embedder.
            lesson_id: A UUIDv7 is made where none is given.
            columns: Other columns of `Lesson`.

        Returns:
            The lesson as it was written.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: another lesson has that id.
            EmbeddingFailed: the embedder that is configured failed; nothing was written.
        """
        moment = values.moment("created_at", created_at) or values.now()
        texts = {"context": context, "action": action, "outcome": outcome, "lesson": lesson}
        for field, text in texts.items():
            values.text(field, text)
        columns.setdefault("last_seen", moment)
        written = Lesson(
            id=lesson_id or values.new_id(),
            agent_id=self.agent,
            type=type,
            context=context,
            action=action,
            outcome=outcome,
            lesson=lesson,
            embedding=await self._embedded("\n".join(texts.values()), embedding),
            created_at=moment,
            updated_at=moment,
            **columns,
        )
        await self._port.write(CreateLesson(lesson=written))
        return written

    async def update_lesson(self, lesson_id: str, **changes: Any) -> None:
        """Change columns of a lesson of this agent's own; its embedding only where one is given.

        Raises:
            InvalidValue: a value that no table may hold, or a column that stays as it is.
        """
        await self._pack_in(changes)
        await self._port.write(
            UpdateLesson(agent_id=self.agent, lesson_id=lesson_id, changes=changes, at=values.now())
        )

    async def reinforce_lesson(self, lesson_id: str) -> None:
        """It was learned once more: counted, seen now, and 0.1 surer, up to 1."""
        await self._port.write(
            ReinforceLesson(agent_id=self.agent, lesson_id=lesson_id, at=values.now())
        )

    async def decay_lesson(self, lesson_id: str, amount: float = 0.1) -> None:
        """Trust a lesson of this agent's own less.

        Args:
            amount: What its confidence loses, 0 to 1; it ends at 0.

        Raises:
            InvalidValue: an amount that cannot be.
            CommandRefused: there is no such lesson.
        """
        await self._port.write(
            DecayLesson(agent_id=self.agent, lesson_id=lesson_id, amount=amount, at=values.now())
        )

    async def decay_lessons(self, *, before: datetime, amount: float = 0.1) -> None:
        """Trust all lessons of this agent less that were last seen before a time.

        Args:
            before: With a time zone.
            amount: What the confidence of each loses, 0 to 1; it ends at 0.

        Raises:
            InvalidValue: a time or an amount that cannot be.
        """
        await self._port.write(
            DecayLessons(agent_id=self.agent, amount=amount, before=before, at=values.now())
        )

    async def merge_lessons(self, keeper_id: str, other_id: str) -> None:
        """Make one of two lessons of this agent's own.

        The keeper was learned as often as both, and last when the later one was; it has the
        tags, tools and episodes of both, its own first. The other one is deleted.
        """
        await self._port.write(
            MergeLessons(
                agent_id=self.agent, keeper_id=keeper_id, other_id=other_id, at=values.now()
            )
        )

    async def delete_lesson(self, lesson_id: str) -> None:
        """Forget a lesson of this agent's own; one that is not there is no error."""
        await self._port.write(DeleteLesson(agent_id=self.agent, lesson_id=lesson_id))


class LessonReads(Reads):
    """Reads of lessons."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Lesson, database.spelling, "lessons")
        self._search = Search(database, self._rows, "shared")
        self._own_sql = queries.load(database.package, "lessons.sql")
        self._time_in = database.spelling.time_in

    async def get_lesson(self, agent: str, lesson_id: str) -> Lesson | None:
        values.text("lesson_id", lesson_id)
        return await self._one(agent, self._rows, SQL["get_lesson"], lesson_id)

    async def list_lessons(
        self,
        agent: str,
        *,
        type: str | None = None,
        min_confidence: float = 0.0,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Lesson]:
        if type:
            values.one_of("type", type, TYPES)
        return await self._all(
            agent,
            self._rows,
            SQL["list_lessons"],
            type or "",
            values.number("min_confidence", min_confidence, 0, 1),
            *map(self._time_in, values.span(since, until)),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def lessons_by_tool(
        self, agent: str, tool: str, *, limit: int = 50, offset: int = 0
    ) -> list[Lesson]:
        return await self._all(
            agent,
            self._rows,
            self._own_sql["lessons_by_tool"],
            values.text("tool", tool),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def search_lessons(
        self,
        agent: str,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        limit: int = 10,
    ) -> list[LessonHit]:
        if embedding is not None:
            values.pack_vector("embedding", embedding, self._dimensions)
        found = await self._search.hybrid(agent, query, embedding, limit)
        return [LessonHit(one.row, one.score) for one in found]
