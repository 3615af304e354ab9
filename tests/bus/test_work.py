"""Handlers: their time limit, several at a time, and how they end."""

import logging
from collections import Counter

import anyio
import pytest

from bus import Bus, Delivery
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_handler_that_takes_too_long_is_cancelled_and_has_failed(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "argentbus")
    queue = bus.queue("jobs", int, max_deliveries=1)
    await queue.put(1)
    await queue.put(2)
    async with queue.consume("workers", handler_timeout=0.1) as deliveries:
        with anyio.fail_after(5):
            async with await anext(deliveries):
                await anyio.sleep_forever()
            async with await anext(deliveries) as second:  # the next block has a time of its own
                assert second.body == 2
            async with anyio.create_task_group() as tasks:
                await deliveries.settlements.flush()
                tasks.cancel_scope.cancel()
    [letter] = await queue.dead_letters()
    assert "TimeoutError: not handled within 0.1 s" in letter.reason
    assert letter.body(int) == 1
    assert (await queue.statistics()).groups[0].pending == 0


async def test_what_was_settled_before_its_time_was_up_stays_settled(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    await queue.put(1)
    async with queue.consume("workers", handler_timeout=0.1) as deliveries:
        with anyio.fail_after(5):
            async with await anext(deliveries) as delivery:
                await delivery.ack()
                await anyio.sleep_forever()
    assert (await queue.statistics()).length == 0


async def test_cancelling_from_outside_is_no_timeout(bus: Bus) -> None:
    queue = bus.queue("jobs", int, max_deliveries=1)
    await queue.put(1)
    async with queue.consume("workers", handler_timeout=60) as deliveries:
        with anyio.move_on_after(0.05) as scope:
            async with await anext(deliveries):
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        with anyio.fail_after(5):
            assert (await anext(deliveries)).body == 1
    assert await queue.dead_letters() == []


class Hall:
    """A handler that keeps its deliveries until it is opened."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.handled: Counter[int] = Counter()
        self.opened = anyio.Event()

    async def handle(self, delivery: Delivery[int]) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.opened.wait()
            self.handled[delivery.body] += 1
        finally:
            self.inside -= 1


async def test_as_many_handlers_at_a_time_as_asked_for(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    hall = Hall()
    for n in range(20):
        await queue.put(n)
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: queue.work("workers", hall.handle, concurrency=4, stop=stop))
        await eventually(lambda: hall.inside == 4)
        hall.opened.set()
        await eventually(lambda: len(hall.handled) == 20)
        stop.set()
    assert hall.most == 4
    assert set(hall.handled.values()) == {1}
    assert (await queue.statistics()).length == 0


@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_draining_lets_handlers_finish_and_hands_the_rest_back_at_once(
    bus: Bus, redis_server, how: str
) -> None:
    queue = bus.queue("jobs", int)
    more = bus.queue("more", int)
    hall = Hall()
    for n in range(20):
        await queue.put(n)

    async def handle(delivery: Delivery[int]) -> None:
        await hall.handle(delivery)
        await more.put(delivery.body)  # a handler may use the bus to its end

    stop = anyio.Event()
    scope = anyio.CancelScope()

    async def work() -> None:
        nonlocal more
        with scope:
            async with Bus.connect(redis_server.url, namespace=bus.namespace, ttl=0.5) as there:
                more = there.queue("more", int)
                jobs = there.queue("jobs", int)
                await jobs.work("workers", handle, concurrency=3, prefetch=10, stop=stop)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await eventually(lambda: hall.inside == 3)
        stop.set() if how == "stopped" else scope.cancel()
        async with queue.consume("workers", ttl=60) as deliveries:
            with anyio.fail_after(1):
                rest = [await anext(deliveries) for _ in range(17)]
            assert sorted(delivery.body for delivery in rest) == list(range(3, 20))
            assert {delivery.attempt for delivery in rest} == {1}
            with anyio.move_on_after(1.5):  # the thing under test: three TTLs of the draining one
                await anext(deliveries)
                pytest.fail("a delivery was taken from a handler at work")
            hall.opened.set()
            await eventually(lambda: len(hall.handled) == 3)
            for delivery in rest:
                await delivery.ack()

    statistics = await queue.statistics()
    assert (statistics.length, statistics.groups[0].pending) == (0, 0)
    assert (await bus.queue("more", int).statistics()).length == 3


async def test_a_handler_that_does_not_finish_in_time_gives_its_message_back(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    queue = bus.queue("jobs", int)
    hall = Hall()
    await queue.put(1)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: queue.work("workers", hall.handle, drain=0.1))
            await eventually(lambda: hall.inside == 1)
            tasks.cancel_scope.cancel()
    assert "did not finish in time: cancelled, their messages go back: seconds=0.1" in caplog.text
    assert not hall.handled
    async with queue.consume("workers", ttl=60) as deliveries:
        with anyio.fail_after(2):
            assert (await anext(deliveries)).attempt == 2


async def test_a_handlers_error_has_the_message_tried_again_and_the_worker_goes_on(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "argentbus")
    queue = bus.queue("jobs", int, max_deliveries=1)
    stop = anyio.Event()

    async def handle(delivery: Delivery[int]) -> None:
        if delivery.body == 0:
            raise ValueError("not this one")
        stop.set()

    await queue.put(0)
    await queue.put(1)
    with anyio.fail_after(10):
        await queue.work("workers", handle, concurrency=1, stop=stop)
    [letter] = await queue.dead_letters()
    assert "not this one" in letter.reason
