"""What is under way when the bus closes, and what comes after that: it is said, at once."""

from typing import Any

import anyio
import pytest

from bus import FSYNCED, Bus, BusUnavailable
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
