"""Model feedback: noted, judged, and added up."""

import random
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import pytest

from storage import CommandRefused, Feedback, InvalidValue, Judgement
from storage.adapter import DatabaseAdapter
from storage.feedback import ModelFeedback
from storage.model.feedback import MOST, RecordFeedback

pytestmark = [pytest.mark.anyio, pytest.mark.kept_database]

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def note(feedback: ModelFeedback, feedback_id: str, **columns: Any) -> Feedback:
    given = {
        "provider": "openai",
        "model": "m0",
        "tier": "fast",
        "session_type": "chat",
        "created_at": START,
    }
    return await feedback.record(**(given | columns), feedback_id=feedback_id)


async def test_feedback_comes_back_as_it_was_written(storage: DatabaseAdapter) -> None:
    feedback = storage.scoped("scout").feedback
    written = await note(
        feedback,
        "f-1",
        complexity_score=0.05620324891060591,
        duration_ms=8540,
        success=False,
        error_type="timeout",
        input_tokens=10,
        output_tokens=20,
        tool_call_count=1,
        user_feedback="down",
        session_key="agent:main:0",
        profile="default",
        self_eval_score=7.5,
        self_eval_reasoning="schnell 🧀",
    )
    assert written.total_tokens == 30
    assert await feedback.get_feedback("f-1") == written
    assert await feedback.get_feedback("nope") is None
    given = await note(feedback, "f-2", input_tokens=1, total_tokens=5)
    assert (given.total_tokens, given.success, given.user_feedback) == (5, True, None)
    assert await note(feedback, "f-2", input_tokens=1, total_tokens=5) == given
    for agent, columns in (("writer", {}), ("scout", {"model": "m1"})):
        with pytest.raises(CommandRefused, match="another model feedback f-2 already"):
            await note(storage.scoped(agent).feedback, "f-2", **columns)


async def test_a_call_is_rated_and_evaluated(storage: DatabaseAdapter) -> None:
    feedback = storage.scoped("scout").feedback
    await note(feedback, "f-1")

    async def stored() -> tuple[Any, ...]:
        found = await feedback.get_feedback("f-1")
        assert found is not None
        return found.user_feedback, found.self_eval_score, found.self_eval_reasoning

    await feedback.rate("f-1", "up")
    assert await stored() == ("up", None, None)
    await feedback.evaluate("f-1", 1, "went well")
    await feedback.rate("f-1", "down")
    assert await stored() == ("down", 1.0, "went well")
    await feedback.rate("f-1", None)
    await feedback.evaluate("f-1", 0.25)
    assert await stored() == (None, 0.25, None)
    other = storage.scoped("writer").feedback
    for view, wrong in ((other, "f-1"), (feedback, "nope")):
        for change in (view.rate(wrong, "up"), view.evaluate(wrong, 1)):
            with pytest.raises(CommandRefused, match=f"no model feedback {wrong}"):
                await change
    for wrong_change, field in (
        (feedback.rate("f-1", "great"), "rating"),
        (feedback.evaluate("f-1", float("nan")), "score"),
        (feedback.evaluate("f-1", 1, "\0"), "reasoning"),
    ):
        with pytest.raises(InvalidValue, match=f"^{field}"):
            await wrong_change
    assert await stored() == (None, 0.25, None)


async def test_calls_are_listed_the_newest_first_and_by_filter(storage: DatabaseAdapter) -> None:
    feedback = storage.scoped("scout").feedback
    for n in range(4):
        await note(
            feedback,
            f"f-{n}",
            model=f"m{n % 2}",
            provider="ollama" if n == 3 else "openai",
            tier="powerful" if n == 2 else "fast",
            session_type="heartbeat" if n == 1 else "chat",
            session_key=f"s-{n}",
            user_feedback="up" if n == 0 else None,
            created_at=START + n * HOUR,
        )

    async def ids(**filters: Any) -> list[str]:
        return [one.id for one in await feedback.list_feedback(**filters)]

    assert await ids() == ["f-3", "f-2", "f-1", "f-0"]
    assert await ids(limit=2, offset=1) == ["f-2", "f-1"]
    assert await ids(since=START + HOUR, until=START + 3 * HOUR) == ["f-2", "f-1"]
    assert await ids(model="m1") == ["f-3", "f-1"]
    assert await ids(provider="ollama") == await ids(session_key="s-3") == ["f-3"]
    assert await ids(tier="powerful") == ["f-2"]
    assert await ids(session_type="heartbeat") == ["f-1"]
    assert await ids(user_feedback="up") == ["f-0"]
    for wrong, field in (
        ({"user_feedback": "great"}, "user_feedback"),
        ({"model": "\0"}, "model"),
        ({"until": "now"}, "until"),
    ):
        with pytest.raises(InvalidValue, match=f"^{field}"):
            await feedback.list_feedback(**wrong)  # type: ignore[arg-type]


async def test_statistics_are_those_of_the_calls(storage: DatabaseAdapter) -> None:
    numbers = random.Random(7)
    calls = [
        Feedback(
            id=f"f-{n}",
            agent_id="scout",
            provider="p",
            model=numbers.choice(["m0", "m1"]),
            tier=numbers.choice(["fast", "powerful"]),
            session_type="chat",
            duration_ms=numbers.randrange(10_000),
            success=numbers.random() < 0.8,
            input_tokens=numbers.randrange(1000),
            output_tokens=numbers.randrange(1000),
            total_tokens=numbers.randrange(2000),
            tool_call_count=numbers.randrange(9),
            user_feedback=numbers.choice(["up", "down", None]),
            self_eval_score=numbers.choice([None, numbers.randrange(100) / 4]),
            created_at=START + n * HOUR,
        )
        for n in range(120)
    ]
    await storage.apply([RecordFeedback(feedback=call) for call in calls])
    await note(storage.scoped("writer").feedback, "theirs", duration_ms=MOST)
    feedback = storage.scoped("scout").feedback
    expected = [
        judged(model, tier, [c for c in calls[10:100] if (c.model, c.tier) == (model, tier)])
        for model in ("m0", "m1")
        for tier in ("fast", "powerful")
    ]
    span = {"since": START + 10 * HOUR, "until": START + 100 * HOUR}
    assert await feedback.statistics(by=["tier", "model"], **span) == expected
    [whole] = await feedback.statistics(by=["session_type"])
    assert (whole.session_type, whole.model, whole.count) == ("chat", None, 120)
    assert whole.p95_duration_ms == sorted(call.duration_ms for call in calls)[113]
    assert [one.count for one in await storage.operator().feedback.statistics(by=["provider"])] == [
        *(1, 120)
    ]
    assert await feedback.statistics(until=START) == []
    for by, problem in (([], "by: is empty"), (["agent_id"], "by: is 'agent_id'")):
        with pytest.raises(InvalidValue, match=problem):
            await feedback.statistics(by=by)


def judged(model: str, tier: str, calls: list[Feedback]) -> Judgement:
    durations = sorted(call.duration_ms for call in calls)
    scores = [call.self_eval_score for call in calls if call.self_eval_score is not None]
    ratings = [call.user_feedback for call in calls]
    return Judgement(
        model=model,
        tier=tier,
        count=len(calls),
        success_rate=sum(call.success for call in calls) / len(calls),
        mean_duration_ms=sum(durations) / len(calls),
        p95_duration_ms=durations[ceil(0.95 * len(calls)) - 1],
        input_tokens=sum(call.input_tokens for call in calls),
        output_tokens=sum(call.output_tokens for call in calls),
        total_tokens=sum(call.total_tokens for call in calls),
        tool_calls=sum(call.tool_call_count for call in calls),
        up=ratings.count("up"),
        down=ratings.count("down"),
        mean_self_eval=pytest.approx(sum(scores) / len(scores), abs=1e-9),
    )
