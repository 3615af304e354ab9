"""Bounded queues: never more in them than they hold, whoever puts."""

from functools import partial
from typing import Any

import anyio
import pytest

from bus import Bus, MessageTooLarge, QueueFull

pytestmark = pytest.mark.anyio


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room(bus: Bus) -> None:
    queue = bus.queue("jobs", int, max_length=3)
    for n in range(3):
        await queue.put(n)
    with pytest.raises(QueueFull, match="max_length=3"):
        await queue.put(3)
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(5):
            await anext(deliveries)  # held, and in the way of nothing
            await (await anext(deliveries)).ack()
        await queue.put(4)
        with pytest.raises(QueueFull):
            await queue.put(5)


async def test_delayed_ones_and_those_behind_others_of_their_key_count(bus: Bus) -> None:
    queue = bus.queue("jobs", int, max_length=3, ordered=True)
    await queue.put(1, delay=60)
    await queue.put(2, key="a")
    await queue.put(3, key="a")
    for options in ({}, {"delay": 60.0}, {"key": "a"}, {"dedupe": "once"}):
        with pytest.raises(QueueFull):
            await queue.put(4, **options)  # type: ignore[arg-type]
    # One that was refused is not what a later one repeats.
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(5):
            await (await anext(deliveries)).ack()
    first = await queue.put(5, dedupe="once")
    assert await queue.put(6, dedupe="once") == first


async def test_bytes_are_bounded_and_counted_where_others_put_without_bounds(bus: Bus) -> None:
    plain = bus.queue("jobs", bytes)
    await plain.put(b"x" * 400)
    bounded = bus.queue("jobs", bytes, max_bytes=2000)
    await bounded.put(b"x" * 400)
    await plain.put(b"x" * 400)
    await plain.put(b"x", delay=60)
    statistics = await bounded.statistics()
    assert statistics.bytes is not None
    assert 1300 < statistics.bytes < 1800
    with pytest.raises(QueueFull):
        await bounded.put(b"x" * 1000)
    with pytest.raises(MessageTooLarge, match="never fits"):
        await bounded.put(b"x" * 2000)
    async with plain.consume("workers") as deliveries:
        with anyio.fail_after(5):
            await (await anext(deliveries)).ack()
            await (await anext(deliveries)).reject("no")
            await bounded.put(b"x" * 1000)
            for _ in range(2):
                await (await anext(deliveries)).ack()
    left = (await bounded.statistics()).bytes
    assert left is not None
    assert 0 < left < 200


@pytest.mark.parametrize("bound", ["max_length", "max_bytes"])
async def test_many_producers_never_overshoot_and_those_who_wait_get_through(
    bus: Bus, redis_server: Any, bound: str
) -> None:
    rules: Any = {bound: {"max_length": 20, "max_bytes": 4000}[bound], "when_full": "wait"}
    longest = 0
    got: set[int] = set()
    key = bus.keys.queue("jobs")

    async def put(there: Bus, numbers: range) -> None:
        queue = there.queue("jobs", int, **rules)
        for n in numbers:
            await queue.put(n)

    async def watch() -> None:
        nonlocal longest
        while True:
            longest = max(longest, await bus.link.call("XLEN", key))

    async with (
        Bus.connect(redis_server.url, namespace=bus.namespace) as two,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(watch)
        for number, there in enumerate([bus, two] * 10):
            tasks.start_soon(put, there, range(number * 20, number * 20 + 20))
        async with bus.queue("jobs", int, **rules).consume("workers") as deliveries:
            with anyio.fail_after(20):
                while len(got) < 400:
                    async with await anext(deliveries) as delivery:
                        got.add(delivery.body)
        tasks.cancel_scope.cancel()
    most = 20 if bound == "max_length" else 4000 // 60
    assert 5 < longest <= most


async def test_one_that_waits_may_give_up_and_is_not_in_the_queue(bus: Bus) -> None:
    queue = bus.queue("jobs", int, max_length=1, when_full="wait")
    await queue.put(1)
    with anyio.move_on_after(0.2) as scope:
        await queue.put(2)
    assert scope.cancelled_caught
    async with queue.consume("workers") as deliveries, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(queue.put, 3))
        with anyio.fail_after(5):
            for expected in (1, 3):
                delivery = await anext(deliveries)
                assert delivery.body == expected
                await delivery.ack()


async def test_a_second_group_makes_room_when_it_is_done_too(bus: Bus) -> None:
    queue = bus.queue("jobs", int, max_length=1)
    await queue.put(1)
    async with queue.consume("red") as red, queue.consume("blue") as blue:
        with anyio.fail_after(5):
            await (await anext(red)).ack()
            with pytest.raises(QueueFull):
                await queue.put(2)
            await (await anext(blue)).ack()
        await queue.put(2)


def test_rules_that_are_none_are_refused() -> None:
    from bus import Rules

    for wrong in ({"max_length": 0}, {"max_kills": 0}, {"when_full": "panic"}):
        with pytest.raises(ValueError, match="must be"):
            Rules(**wrong)  # type: ignore[arg-type]


async def test_a_repetition_behind_a_put_that_is_refused_gets_the_id_of_the_first(bus: Bus) -> None:
    queue = bus.queue("jobs", int, max_length=1)
    first = await queue.put(1, dedupe="once")
    outcomes: dict[str, str] = {}

    async def put(name: str, body: int, dedupe: str) -> None:
        try:
            outcomes[name] = await queue.put(body, dedupe=dedupe)
        except QueueFull:
            outcomes[name] = "full"

    async with anyio.create_task_group() as tasks:
        for n in range(20):  # while the first call is under way, the others gather
            tasks.start_soon(put, f"new {n}", 2, f"new.{n}")
            tasks.start_soon(put, f"again {n}", 1, "once")
    assert {outcomes[f"new {n}"] for n in range(20)} == {"full"}
    assert {outcomes[f"again {n}"] for n in range(20)} == {first}
