"""Model feedback: noted call by call, judged by users and by the models, and added up."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from storage import queries
from storage.database import Database, Row, Transaction
from storage.domain import Reads, View, Way, Writes, each
from storage.errors import InvalidValue, NotFound
from storage.model import values
from storage.model.command import Command
from storage.model.feedback import (
    RATINGS,
    EvaluateFeedback,
    Feedback,
    RateFeedback,
    RecordFeedback,
    check_feedback,
)
from storage.rows import Rows

SQL = queries.load("storage.feedback", "feedback.sql")

#: By what calls may be added up.
GROUPS: Final = ("provider", "model", "tier", "session_type")


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """How the calls of one kind went.

    Attributes:
        provider, model, tier, session_type: Of all these calls; None where that was not asked for.
        count: Of calls.
        success_rate: 0 to 1.
        mean_duration_ms, p95_duration_ms: In milliseconds; 95 % of the calls did not take longer
            than the latter (nearest rank).
        input_tokens, output_tokens, total_tokens, tool_calls: Of all calls together.
        up: Calls that users liked.
        down: Calls that they did not like.
        mean_self_eval: 0 to 1,000,000, over the calls that have such a score, to a millionth; None
            where none has.

    Example: See `Feedback`.
    """

    provider: str | None = None
    model: str | None = None
    tier: str | None = None
    session_type: str | None = None
    count: int
    success_rate: float
    mean_duration_ms: float
    p95_duration_ms: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    tool_calls: int
    up: int
    down: int
    mean_self_eval: float | None


class ModelFeedback(View):
    """What one agent may do with feedback on models, which is its own."""

    async def record(
        self,
        *,
        provider: str,
        model: str,
        tier: str,
        session_type: str,
        feedback_id: str | None = None,
        created_at: datetime | None = None,
        **columns: Any,
    ) -> Feedback:
        """Note how a call went.

        Args:
            feedback_id: A UUIDv7 is made where none is given.
            columns: Other columns of `Feedback`. total_tokens is the sum of input_tokens and
                output_tokens unless it is given.

        Returns:
            The row as it was written.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: another call has that id.
        """
        feedback = Feedback(
            id=feedback_id or values.new_id(),
            agent_id=self.agent,
            provider=provider,
            model=model,
            tier=tier,
            session_type=session_type,
            created_at=values.moment("created_at", created_at) or values.now(),
            **columns,
        )
        if "total_tokens" not in columns:
            check_feedback(feedback)
            total = feedback.input_tokens + feedback.output_tokens
            feedback = msgspec.structs.replace(feedback, total_tokens=total)
        await self._port.write(RecordFeedback(feedback=feedback))
        return feedback

    async def rate(self, feedback_id: str, rating: str | None) -> None:
        """What the user thought of a call: `up`, `down`, or None to take it back."""
        await self._port.write(
            RateFeedback(agent_id=self.agent, feedback_id=feedback_id, rating=rating)
        )

    async def evaluate(self, feedback_id: str, score: float, reasoning: str | None = None) -> None:
        """What the model thinks of its call itself: 0 to 1,000,000, on a scale of the caller's."""
        await self._port.write(
            EvaluateFeedback(
                agent_id=self.agent, feedback_id=feedback_id, score=score, reasoning=reasoning
            )
        )

    async def get_feedback(self, feedback_id: str) -> Feedback | None:
        """The row, or None where this agent has none of that id."""
        feedback: Feedback | None = await self._port.read(
            "feedback", "get_feedback", feedback_id=feedback_id
        )
        return feedback

    async def list_feedback(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        provider: str | None = None,
        model: str | None = None,
        tier: str | None = None,
        session_type: str | None = None,
        session_key: str | None = None,
        user_feedback: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Feedback]:
        """Calls of this agent from `since` to before `until`, the newest first."""
        found: list[Feedback] = await self._port.read(
            "feedback",
            "list_feedback",
            since=since,
            until=until,
            provider=provider,
            model=model,
            tier=tier,
            session_type=session_type,
            session_key=session_key,
            user_feedback=user_feedback,
            limit=limit,
            offset=offset,
        )
        return found

    async def statistics(
        self,
        *,
        by: Sequence[str] = ("model", "tier", "session_type"),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Judgement]:
        """How models did, from `since` to before `until`.

        Args:
            by: What is told apart: at least one of provider, model, tier and session_type.
        """
        found: list[Judgement] = await self._port.read(
            "feedback", "statistics", by=list(by), since=since, until=until
        )
        return found


class FeedbackReads(Reads):
    """Reads of model feedback."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Feedback, database.spelling, "model_feedback")
        self._time_in = database.spelling.time_in

    async def get_feedback(self, agent: str, feedback_id: str) -> Feedback | None:
        values.text("feedback_id", feedback_id)
        return await self._one(agent, self._rows, SQL["get_feedback"], feedback_id)

    async def list_feedback(
        self,
        agent: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
        **wanted: str | None,
    ) -> list[Feedback]:
        unknown = wanted.keys() - set(_FILTERS)
        if unknown:
            raise TypeError(f"unexpected {', '.join(sorted(unknown))}")
        if rating := wanted.get("user_feedback"):
            values.one_of("user_feedback", rating, RATINGS)
        return await self._all(
            agent,
            self._rows,
            SQL["list_feedback"],
            *map(self._time_in, values.span(since, until)),
            *(values.text(name, wanted.get(name) or "") for name in _FILTERS),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def statistics(
        self,
        agent: str,
        *,
        by: Sequence[str],
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Judgement]:
        for name in by:
            values.one_of("by", name, GROUPS)
        groups = [name for name in GROUPS if name in by]
        if not groups:
            raise InvalidValue("by", f"is empty, and must be some of {', '.join(GROUPS)}")
        sql = SQL["statistics"].replace("%s", ", ".join(groups))
        span = map(self._time_in, values.span(since, until))
        rows = await self._database.fetch(sql, agent, *span, scope=agent)
        return [_judgement(groups, row) for row in rows]


_FILTERS: Final = (*GROUPS, "session_key", "user_feedback")


def _judgement(groups: Sequence[str], row: Row) -> Judgement:
    named = dict(zip(groups, row, strict=False))
    numbers = [0 if value is None else int(value) for value in list(row)[len(groups) :]]
    count, successes, duration, p95, entered, left, total, calls, up, down, scored, score = numbers
    return Judgement(
        **named,
        count=count,
        success_rate=successes / count,
        mean_duration_ms=duration / count,
        p95_duration_ms=p95,
        input_tokens=entered,
        output_tokens=left,
        total_tokens=total,
        tool_calls=calls,
        up=up,
        down=down,
        mean_self_eval=score / scored / 1e6 if scored else None,
    )


class FeedbackWrites(Writes):
    """Applies commands on model feedback; many new rows at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(Feedback, database.spelling, "model_feedback")

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            RecordFeedback: Way(self._record),
            RateFeedback: each(self._rate),
            EvaluateFeedback: each(self._evaluate),
        }

    async def _record(self, transaction: Transaction, commands: Sequence[RecordFeedback]) -> None:
        rows = [self._rows.to_row(command.feedback) for command in commands]
        await self._insert_new(
            transaction, SQL["record_feedback"], rows, keys=((0,),), name="model feedback"
        )

    async def _rate(self, transaction: Transaction, command: RateFeedback) -> None:
        target = (command.feedback_id, command.agent_id)
        if not await transaction.fetch(SQL["rate_feedback"], *target, command.rating):
            raise _missing(*target)

    async def _evaluate(self, transaction: Transaction, command: EvaluateFeedback) -> None:
        target = (command.feedback_id, command.agent_id)
        score = float(command.score)
        sql = SQL["evaluate_feedback"]
        if not await transaction.fetch(sql, *target, score, command.reasoning):
            raise _missing(*target)


def _missing(feedback_id: str, agent: str) -> NotFound:
    return NotFound(f"agent {agent} has no model feedback {feedback_id}")
