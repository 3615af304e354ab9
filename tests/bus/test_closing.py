"""What is under way when the bus closes, and what comes after that: it is said, at once."""

from typing import Any

import anyio
import pytest

from bus import FSYNCED, Bus, BusError, BusUnavailable, Consumer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_puts_that_are_under_way_when_the_bus_closes_are_told(
    own_redis: Any, namespace: str
) -> None:
    told: list[str] = []

    async def put(queue: Any, body: str) -> None:
        with pytest.raises(BusUnavailable, match="the bus is closed"):
            await queue.put(body)
        told.append(body)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            try:
                async with Bus.connect(own_redis.url, namespace=namespace) as bus:
                    queue = bus.queue("jobs", str)
                    await queue.put("first")
                    lane = bus.appender.lane(queue.base)
                    own_redis.freeze()
                    tasks.start_soon(put, queue, "on its way")
                    await eventually(lambda: lane._on_its_way is not None)
                    tasks.start_soon(put, queue, "behind it")
                    await eventually(lambda: len(lane._waiting) == 1)
            finally:
                own_redis.thaw()
    assert sorted(told) == ["behind it", "on its way"]


async def test_puts_after_the_end_are_told(redis_server: Any, namespace: str) -> None:
    async with Bus.connect(redis_server.url, namespace=namespace) as bus:
        queue, bounded = bus.queue("jobs", str), bus.queue("few", str, max_length=1)
        await queue.put("x")
        await bounded.put("x")
    for _ in range(2):
        with anyio.fail_after(5), pytest.raises(BusUnavailable, match="the bus is closed"):
            await queue.put("y")
        with anyio.fail_after(5), pytest.raises(BusUnavailable, match="the bus is closed"):
            await queue.put("y", durability=FSYNCED)
        with anyio.fail_after(5), pytest.raises(BusUnavailable, match="the bus is closed"):
            await bounded.put("y")


async def test_a_consumer_whose_block_has_ended_hands_out_nothing(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    for number in range(3):
        await queue.put(number)
    async with queue.consume("workers") as ended:
        first = await anext(ended)
        await eventually(lambda: len(ended._prefetch.entries) == 2)
    with anyio.fail_after(5), pytest.raises(StopAsyncIteration):
        await anext(ended)
    async with queue.consume("workers") as deliveries:
        # All three went back: what the ended one still has in hand, it cannot settle.
        bodies = set()
        for _ in range(3):
            async with await anext(deliveries) as delivery:
                bodies.add(delivery.body)
        assert bodies == {0, 1, 2}
    for settle in (first.ack, first.nack, lambda: first.reject("late")):
        with anyio.fail_after(5), pytest.raises(BusError, match="its consumer's block ended"):
            await settle()
    with anyio.fail_after(5), pytest.raises(BusError, match="its consumer's block ended"):
        async with first:
            pass
    with pytest.raises(KeyError):  # the handler's own error is not hidden by it
        async with first:
            raise KeyError


async def test_who_waits_for_a_delivery_is_let_go_when_the_block_ends(bus: Bus) -> None:
    async def wait(deliveries: Consumer[int]) -> None:
        with pytest.raises(StopAsyncIteration):
            await anext(deliveries)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            async with bus.queue("jobs", int).consume("workers") as deliveries:
                tasks.start_soon(wait, deliveries)
                await eventually(lambda: deliveries._prefetch._asking == 1)
