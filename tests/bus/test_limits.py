"""Messages that are larger than the receiver carries, on every inlet: refused, and counted."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from bus import Agent, Bus, MessageTooLarge, RequestTimeout
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

LARGE = "x" * 2000
TOO_LARGE = "is larger than the 1,000 this bus carries"


@pytest.fixture
async def small(
    redis_server: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Bus]:
    """A bus that carries less than the others."""
    caplog.set_level(logging.CRITICAL, "argentbus")
    async with Bus.connect(
        redis_server.url, namespace=namespace, ttl=1.0, most_message_bytes=1000
    ) as small:
        yield small


async def test_a_queue_and_an_inbox_set_it_aside(bus: Bus, small: Bus) -> None:
    queue = small.queue("jobs", str)
    with pytest.raises(MessageTooLarge):
        await queue.put(LARGE)
    await bus.queue("jobs", str).put(LARGE)
    await bus.queue("jobs", str).put("small")
    with anyio.fail_after(10):
        async with queue.consume("workers") as deliveries:
            async with await anext(deliveries) as delivery:
                assert delivery.body == "small"
    [letter] = await queue.dead_letters()
    assert TOO_LARGE in letter.reason
    statistics = await queue.statistics()
    assert (statistics.refused, statistics.dead, statistics.length) == (1, 1, 0)
    # Who carries more can still replay and handle it.
    assert await queue.replay(letter.id) == 1
    async with bus.queue("jobs", str).consume("workers") as deliveries:
        async with await anext(deliveries) as delivery:
            assert delivery.body == LARGE

    async with bus.join("sender") as sender, small.join("scout") as scout:
        await sender.send("scout", LARGE)
        await sender.send("scout", "small")
        with anyio.fail_after(10):
            async for delivery in scout.inbox():
                async with delivery:
                    assert delivery.body == "small"
                break

            async def set_aside() -> bool:
                return await bus.link.call("XLEN", f"{bus.keys.inbox('scout')}:dead") == 1

            await eventually(set_aside)


async def test_feeds_count_it(bus: Bus, small: Bus) -> None:
    async with (
        small.topic("mood", str).subscribe() as feed,
        small.topics("m*", str).subscribe() as pattern,
    ):
        await bus.topic("mood", str).publish(LARGE)
        await bus.topic("mood", str).publish("small")
        with anyio.fail_after(10):
            for one in (feed, pattern):
                assert (await anext(one)).body == "small"
                assert one.refused == 1


async def test_a_reply_is_counted_and_a_log_says_why(bus: Bus, small: Bus) -> None:
    async def serve(agent: Agent) -> None:
        async for delivery in agent.inbox():
            async with delivery:
                await delivery.reply(LARGE if delivery.body == "?" else "small")

    async with bus.join("judge") as judge, small.join("scout") as scout:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, judge)
            with pytest.raises(RequestTimeout):
                await scout.request("judge", "?", str, timeout=0.3)
            assert small.mailbox.refused == 1
            assert await scout.request("judge", "short, please", str, timeout=5) == "small"
            tasks.cancel_scope.cancel()

    await bus.log("journal").append(LARGE)
    await bus.log("journal").append("small")
    first, second = await small.log("journal").read()
    assert first.envelope is None
    assert TOO_LARGE in (first.error or "")
    assert second.envelope is not None
    await small.log("journal").reject(first, reason=first.error or "")
    assert await bus.log("journal").dead_length() == 1
