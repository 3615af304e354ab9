"""Scatter and gather: whatever answers come in time, and who did not answer."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest

from bus import Agent, Bus, MessageTooLarge, RequestFailed, RequestTimeout, UndecodableMessage
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class Reviewers:
    """Agents that each behave as their name says."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.cancelled: list[str] = []

    async def serve(self, agent: Agent) -> None:
        async for delivery in agent.inbox():
            async with delivery:
                self.began.append(agent.id)
                match agent.id.split("-")[0]:
                    case "good":
                        await delivery.reply(f"{delivery.body} by {agent.id}")
                    case "failing":
                        raise PermissionError("not mine")
                    case "odd":
                        await delivery.reply(["not", "text"])
                    case _:
                        try:
                            await anyio.sleep_forever()
                        finally:
                            self.cancelled.append(agent.id)

    @asynccontextmanager
    async def here(self, bus: Bus, *names: str) -> AsyncIterator[Agent]:
        async with AsyncExitStack() as stack:
            asker = await stack.enter_async_context(bus.join("asker", role="reviewer"))
            agents = [
                await stack.enter_async_context(bus.join(name, role="reviewer", shared=True))
                for name in names
            ]
            async with anyio.create_task_group() as tasks:
                for agent in agents:
                    tasks.start_soon(self.serve, agent)
                yield asker
                tasks.cancel_scope.cancel()


async def test_everybody_answers(bus: Bus) -> None:
    async with Reviewers().here(bus, "good-a", "good-b", "good-b") as asker:
        answers = await asker.gather("x", str, role="reviewer", timeout=10)
        assert answers.replies == {"good-a": "x by good-a", "good-b": "x by good-b"}
        assert answers.complete


async def test_partial_results_say_who_failed_and_who_is_silent(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "argentbus")
    reviewers = Reviewers()
    async with reviewers.here(bus, "good-a", "failing", "odd", "slow") as asker:
        answers = await asker.gather("x", str, role="reviewer", timeout=1)
        assert answers.replies == {"good-a": "x by good-a"}
        assert answers.silent == ["slow"]
        assert not answers.complete
        assert isinstance(answers.failures["odd"], UndecodableMessage)
        failure = answers.failures["failing"]
        assert isinstance(failure, RequestFailed)
        assert (failure.error_type, failure.agent) == ("PermissionError", "failing")
        await eventually(lambda: reviewers.cancelled == ["slow"])


async def test_answers_are_given_as_they_arrive_and_the_rest_is_cancelled(bus: Bus) -> None:
    reviewers = Reviewers()
    async with reviewers.here(bus, "good-a", "good-b", "slow-a", "slow-b") as asker:
        async with asker.gathering("x", str, role="reviewer", timeout=30) as answers:
            assert answers.asked == ["good-a", "good-b", "slow-a", "slow-b"]
            first = [await anext(answers) for _ in range(2)]
            assert {answer.agent for answer in first} == {"good-a", "good-b"}
            assert answers.silent == ["slow-a", "slow-b"]
            await eventually(lambda: len(reviewers.began) == 4)
        with anyio.fail_after(3):
            await eventually(lambda: sorted(reviewers.cancelled) == ["slow-a", "slow-b"])


async def test_a_gathering_that_is_cancelled_cancels_the_handlers(bus: Bus) -> None:
    reviewers = Reviewers()
    async with reviewers.here(bus, "slow-a", "slow-b") as asker:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: asker.gather("x", str, role="reviewer", timeout=30))
            await eventually(lambda: len(reviewers.began) == 2)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(3):
            await eventually(lambda: len(reviewers.cancelled) == 2)


async def test_a_question_that_is_too_large_is_not_asked(bus: Bus) -> None:
    async with Reviewers().here(bus, "good-a") as asker:
        with pytest.raises(MessageTooLarge):
            await asker.gather("x" * (9 << 20), str, role="reviewer", timeout=5)


async def test_a_gathering_ends_with_its_time_although_redis_is_away(
    own_redis: Any, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        async with bus.join("asker") as asker, bus.join("good-a", role="reviewer"):
            await bus.mailbox.open()
            own_redis.freeze()
            try:
                with anyio.fail_after(3), pytest.raises(RequestTimeout, match="nobody was asked"):
                    await asker.gather("x", str, role="reviewer", timeout=1)
            finally:
                own_redis.thaw()
