"""Model feedback: how models did, call by call, and the commands that note it."""

from datetime import datetime
from typing import Final, Self

import msgspec

from . import values
from .command import Command, check_target

RATINGS: Final = ("up", "down")

#: Greatest count of tokens, calls or milliseconds: those of eight million rows can be added up.
MOST: Final = 2**40


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `model_feedback`. Its agent's own.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: For whom the model was called.
        provider, model: Who runs it, and its name.
        tier: The kind of model that was asked for, such as `fast`.
        session_type: What for, such as `chat`.
        complexity_score: Of what was asked, 0 to 1,000,000.
        duration_ms: Of the call, in milliseconds.
        success: Whether it answered.
        error_type: What went wrong, where it was no success.
        input_tokens, output_tokens, total_tokens: What it read and wrote, and what is charged.
        tool_call_count: How many tools it called.
        user_feedback: `up` or `down`; None: nobody said.
        session_key, profile: In which session, and under which profile; or None.
        self_eval_score: The model's own judgement, 0 to 1,000,000.
        self_eval_reasoning: Why it judges so.
        created_at: When it was called, with a time zone.

    Example:
        for ms in (300, 500):
            call: Feedback = await mine.feedback.record(
                provider="local", model="small", tier="fast", session_type="chat", duration_ms=ms
            )
        await mine.feedback.rate(call.id, "up")
        judgements: list[Judgement] = await mine.feedback.statistics(by=["model"])
        one = judgements[0]
        print(one.model, one.count, one.mean_duration_ms, one.up)  #> small 2 400.0 1
    """

    id: str
    agent_id: str
    provider: str
    model: str
    tier: str
    session_type: str
    complexity_score: float = 0.0
    duration_ms: int = 0
    success: bool = True
    error_type: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    tool_call_count: int = 0
    user_feedback: str | None = None
    session_key: str | None = None
    profile: str | None = None
    self_eval_score: float | None = None
    self_eval_reasoning: str | None = None
    created_at: datetime


class RecordFeedback(Command, frozen=True, kw_only=True, tag=True):
    """Note how a call of a model went."""

    area = "feedback"

    feedback: Feedback

    @property
    def agent_id(self) -> str:
        return self.feedback.agent_id

    def checked(self, dimensions: int) -> Self:
        check_feedback(self.feedback)
        return self


class RateFeedback(Command, frozen=True, kw_only=True, tag=True):
    """What the user thought of it.

    Attributes:
        rating: `up`, `down`, or None to take it back.
    """

    area = "feedback"

    agent_id: str
    feedback_id: str
    rating: str | None

    def checked(self, dimensions: int) -> Self:
        check_target("feedback_id", self.feedback_id)
        if self.rating is not None:
            values.one_of("rating", self.rating, RATINGS)
        return self


class EvaluateFeedback(Command, frozen=True, kw_only=True, tag=True):
    """What the model thinks of it itself."""

    area = "feedback"

    agent_id: str
    feedback_id: str
    score: float
    reasoning: str | None = None

    def checked(self, dimensions: int) -> Self:
        check_target("feedback_id", self.feedback_id)
        values.number("score", self.score, 0, 1e6)
        values.optional_text("reasoning", self.reasoning)
        return self


COMMANDS: Final = (RecordFeedback, RateFeedback, EvaluateFeedback)


def check_feedback(feedback: Feedback) -> None:
    """Check every value.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", feedback.id, least=1, most=128)
    for field in ("provider", "model", "tier", "session_type"):
        values.text(field, getattr(feedback, field), least=1, most=256)
    values.number("complexity_score", feedback.complexity_score, 0, 1e6)
    for field in (
        "duration_ms",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "tool_call_count",
    ):
        values.whole(field, getattr(feedback, field), 0, MOST)
    values.truth("success", feedback.success)
    for field in ("error_type", "session_key", "profile"):
        values.optional_text(field, getattr(feedback, field), most=256)
    if feedback.user_feedback is not None:
        values.one_of("user_feedback", feedback.user_feedback, RATINGS)
    if feedback.self_eval_score is not None:
        values.number("self_eval_score", feedback.self_eval_score, 0, 1e6)
    values.optional_text("self_eval_reasoning", feedback.self_eval_reasoning)
    values.known_moment("created_at", feedback.created_at)
