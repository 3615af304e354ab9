"""Model feedback, and reflections."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.feedback import EvaluateFeedback, Feedback, RateFeedback, RecordFeedback
from storage.model.reflections import CreateReflection, Reflection
from storage.parts import Scoped
from tests.storage.histories import moment

_numbers = st.integers(0, 3)

plans = st.one_of(
    st.tuples(st.just("record feedback"), st.integers(0, 2**40), st.booleans()),
    st.tuples(st.just("rate feedback"), _numbers, st.sampled_from(["up", "down", None])),
    st.tuples(st.just("evaluate feedback"), _numbers, st.floats(0, 1) | st.floats(0, 1e6)),
    st.tuples(st.just("reflect"), st.sampled_from(["why", "how"])),
)


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("record feedback", duration, success):
            return RecordFeedback(
                feedback=Feedback(
                    id=f"f-{n % 4}",
                    agent_id="scout",
                    provider="p",
                    model=f"m-{n % 2}",
                    tier="fast",
                    session_type="chat",
                    duration_ms=duration,
                    success=success,
                    created_at=now,
                )
            )
        case ("rate feedback", which, rating):
            return RateFeedback(agent_id="scout", feedback_id=f"f-{which}", rating=rating)
        case ("evaluate feedback", which, score):
            return EvaluateFeedback(agent_id="scout", feedback_id=f"f-{which}", score=score)
        case ("reflect", content):
            return CreateReflection(
                reflection=Reflection(
                    id=f"r-{n % 3}",
                    agent_id="scout",
                    trigger_type="manual",
                    content=content,
                    created_at=now,
                )
            )
    return None


async def reads(view: Scoped) -> list[Any]:
    return [
        await view.feedback.statistics(),
        await view.feedback.statistics(by=["tier"]),
        await view.feedback.list_feedback(),
        await view.memory.list_reflections(),
    ]
