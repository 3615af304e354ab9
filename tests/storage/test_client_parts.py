"""Lessons, reflections, candidates, feedback and sessions over the bus, through a sidecar."""

from datetime import UTC, datetime

import pytest

from bus import Bus
from storage import CommandRefused, InvalidValue, StorageConfig
from storage.client import StorageClient
from storage.log import log_of, partition_of
from tests.storage.sidecars import sidecar

pytestmark = pytest.mark.anyio

LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)


async def test_what_agents_learn_is_kept_and_found_over_the_bus(
    bus: Bus, config: StorageConfig
) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        memory = StorageClient(scout).memory
        one, two = [
            await memory.create_lesson(
                type="success", context="c", action="a", outcome="o", lesson=f"lesson {n}",
                embedding=[0.5] * 768, related_tools=["bash"], created_at=LONG_AGO, tags=[f"t{n}"],
            )
            for n in range(2)
        ]  # fmt: skip
        assert await memory.list_lessons(since=LONG_AGO) == [two, one]
        await memory.decay_lessons(before=datetime.now(UTC), amount=0.25)
        await memory.merge_lessons(one.id, two.id)
        await memory.reinforce_lesson(one.id)
        [kept] = await memory.lessons_by_tool("bash")
        assert (kept.id, kept.confidence, kept.occurrences) == (one.id, 0.35, 3)
        assert kept.tags == ["t0", "t1"]
        [hit] = await memory.search_lessons("lesson", embedding=[0.5] * 768)
        assert hit.lesson == kept
        made = await memory.create_reflection(
            trigger_type="manual", content="x", period_start=LONG_AGO
        )
        assert await memory.list_reflections(trigger_type="manual", since=LONG_AGO) == [made]
        with pytest.raises(InvalidValue, match="^type"):
            await memory.list_lessons(type="rumour")


async def test_candidates_are_promoted_over_the_bus(bus: Bus, config: StorageConfig) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        memory = StorageClient(scout).memory
        sent = await memory.create_candidate(
            fact_text="Tea", role="user", candidate_type="preference", confidence=0.5
        )
        await memory.create_candidate(
            fact_text="tea ", role="user", candidate_type="preference", confidence=0.75
        )
        [stored] = await memory.list_candidates(status="pending")
        assert (stored.id, stored.confidence) == (sent.id, 0.75)
        item = await memory.promote_candidate(stored.id, reason="sure")
        assert (item.summary, await memory.get_item(item.id)) == ("Tea", item)
        other = await memory.create_candidate(
            fact_text="green", role="user", candidate_type="preference", confidence=0.5
        )
        await memory.merge_candidate(other.id, item.id)
        reinforced = await memory.get_item(item.id)
        assert reinforced is not None
        assert reinforced.reinforcement_count == 2
        for wrong in (other.id, "nope"):
            with pytest.raises(CommandRefused, match=f"no live candidate {wrong} that is pending"):
                await memory.promote_candidate(wrong)
        log = log_of(bus, partition_of("scout", 2))
        assert await log.dead_length() == 2, "the refused ones are set aside"


async def test_sessions_and_feedback_over_the_bus(bus: Bus, config: StorageConfig) -> None:
    async with sidecar(config), bus.join("a") as a, bus.join("b") as b:
        view, other = StorageClient(a), StorageClient(b)
        session = await view.sessions.open("key", started_at=LONG_AGO)
        seen = await view.sessions.record_all(
            session.id, [{"output": f"apple {n}", "metadata": {"n": n}} for n in range(100)]
        )
        await view.sessions.touch(session.id, messages=2, tokens=5)
        await view.sessions.close(session.id)
        assert await view.sessions.list_observations(limit=200) == seen[::-1]
        assert [one.id for one in await view.sessions.search_observations("7")] == [seen[7].id]
        again = await view.sessions.open("key")
        assert (again.id, again.status, again.message_count) == (session.id, "active", 2)
        with pytest.raises(CommandRefused, match="is it another agent's"):
            await other.sessions.open("key")
        call = await view.feedback.record(
            provider="p", model="m", tier="fast", session_type="chat", duration_ms=7
        )
        await view.feedback.rate(call.id, "up")
        [judged] = await view.feedback.statistics()
        assert (judged.model, judged.up, judged.p95_duration_ms) == ("m", 1, 7)
        assert await other.feedback.statistics() == []
        assert await other.sessions.list_observations() == []
