"""Redis is killed and comes back on its files after longer than everybody's TTL."""

import logging
from typing import Any

import anyio
import msgspec
import pytest

from bus import Bus
from bus.queues.consumer import Consumer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class Job(msgspec.Struct):
    n: int


async def test_a_living_consumer_keeps_its_deliveries_and_a_dead_one_does_not(
    own_redis: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "argentbus")
    seen: list[tuple[int, int]] = []
    async with (
        Bus.connect(own_redis.url, namespace=namespace, ttl=1.0) as one,
        Bus.connect(own_redis.url, namespace=namespace, ttl=1.0) as two,
        anyio.create_task_group() as tasks,
    ):
        queue, call, base = one.queue("jobs", Job), one.link.call, one.keys.queue("jobs")
        await queue.put(Job(1))
        await call("XGROUP", "CREATE", base, "workers", "0")
        await call("XREADGROUP", "GROUP", "workers", "dead", "STREAMS", base, ">")
        async with queue.consume("workers", prefetch=1) as living:
            await queue.put(Job(2))
            held = await anext(living)

            async def work(consumer: Consumer[Job]) -> None:
                async for delivery in consumer:
                    async with delivery:
                        seen.append((delivery.body.n, delivery.attempt))

            tasks.start_soon(work, living)
            async with two.queue("jobs", Job).consume("workers") as others:
                tasks.start_soon(work, others)
                own_redis.kill()
                await anyio.sleep(2.5)  # the thing under test: longer than the TTL
                own_redis.start()
                # It looks for the dead before anybody else could beat.
                await two.link.retrying(others._fetching._tend_once)
                await eventually(lambda: seen, timeout=20)
            await held.ack()
            await living.settlements.flush()
            tasks.cancel_scope.cancel()
        assert (await queue.statistics()).length == 0
    assert seen == [(1, 2)]


async def test_who_subscribes_while_the_connection_breaks_is_confirmed_by_the_next_one(
    own_redis: Any, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        async with bus.topic("first", Job).subscribe(), anyio.create_task_group() as tasks:
            own_redis.freeze()
            subscribed = anyio.Event()

            async def subscribe() -> None:
                async with bus.topic("second", Job).subscribe():
                    subscribed.set()

            tasks.start_soon(subscribe)
            await anyio.wait_all_tasks_blocked()  # it has asked, and nobody answers
            own_redis.kill()
            own_redis.start()
            with anyio.fail_after(5):
                await subscribed.wait()
