"""Consumers that read nothing, or little, ahead: who is served first, and what nobody waits for."""

import time
from typing import Any

import anyio
import pytest

from bus import Bus, Delivery
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_retry_takes_no_message_along_from_whoever_is_idle(bus: Bus) -> None:
    queue = bus.queue("jobs", str)
    await queue.put("flaky")
    async with (
        queue.consume("workers", prefetch=0) as busy,
        queue.consume("workers", prefetch=0) as idle,
    ):
        with anyio.fail_after(5):
            await (await anext(busy)).nack(delay=0.3)
            again = await anext(busy)  # claimed while it read; its handler is at work from now on
        await queue.put("the next one")
        with anyio.fail_after(1):
            assert (await anext(idle)).body == "the next one"
        await again.ack()


async def test_what_arrives_for_nobody_goes_back_at_once(bus: Bus) -> None:
    queue = bus.queue("jobs", str)
    async with (
        queue.consume("workers", prefetch=0) as gone,
        queue.consume("workers", prefetch=0) as idle,
    ):
        with anyio.move_on_after(0.7):
            await anext(gone)
        await queue.put("for whoever asks")  # the read of who was cancelled is still under way
        with anyio.fail_after(2):
            delivery = await anext(idle)
        assert (delivery.body, delivery.attempt) == ("for whoever asks", 1)


@pytest.mark.parametrize("prefetch", [0, 1, 4])
async def test_what_the_dead_held_goes_before_a_backlog(bus: Bus, prefetch: int) -> None:
    queue = bus.queue("jobs", str)
    base = bus.keys.queue("jobs")
    for n in range(5):
        await queue.put(f"orphan {n}")
    await bus.link.call("XGROUP", "CREATE", base, "workers", "0")
    await bus.link.call("XREADGROUP", "GROUP", "workers", "dead", "STREAMS", base, ">")
    async with anyio.create_task_group() as tasks:
        for n in range(500):
            tasks.start_soon(queue.put, f"{n}")
    orphans: list[str] = []
    stop = anyio.Event()

    async def handle(delivery: Delivery[str]) -> None:
        await anyio.sleep(0.01)
        if delivery.body.startswith("orphan"):
            orphans.append(delivery.body)
            if len(orphans) == 5:
                stop.set()

    began = time.monotonic()
    await queue.work("workers", handle, concurrency=1, prefetch=prefetch, stop=stop)
    took = time.monotonic() - began
    # The TTL of the bus is 1 s; what is left shows that nothing waited for the backlog.
    assert took < 3
    assert (await queue.statistics()).length > 100


async def test_a_retry_that_is_due_is_not_looked_at_again_and_again(
    bus: Bus, redis_server: Any
) -> None:
    async def scripts() -> int:
        text = (await bus.link.call("INFO", "commandstats")).decode()
        [line] = [line for line in text.splitlines() if line.startswith("cmdstat_evalsha:")]
        return int(line.partition("calls=")[2].partition(",")[0])

    queue = bus.queue("jobs", str)
    for n in range(3):
        await queue.put(f"{n}")
    for prefetch in (0, 1):
        async with queue.consume("workers", prefetch=prefetch) as busy:
            with anyio.fail_after(5):
                await (await anext(busy)).nack(delay=0.1)
                while (await anext(busy)).attempt > 1:
                    pass

            async def due() -> bool:
                [group] = (await queue.statistics()).groups
                return group.retrying > 0

            await eventually(due)
            await anyio.sleep(0.3)
            before = await scripts()
            await anyio.sleep(1)  # the thing under test: what is done in a second
            assert await scripts() - before < 20
