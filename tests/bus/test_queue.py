"""Queues: at least once, retried, reclaimed, buried, trimmed."""

import logging
from collections import Counter
from functools import partial
from typing import Any

import anyio
import msgspec
import pytest

from bus import Bus, BusError, Delivery, ServerRefused
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class Job(msgspec.Struct):
    n: int


async def test_each_message_goes_to_one_consumer_of_each_group(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    seen: dict[str, Counter[int]] = {"red": Counter(), "blue": Counter()}

    async def work(group: str) -> None:
        async with queue.consume(group, prefetch=3) as deliveries:
            async for delivery in deliveries:
                async with delivery:
                    seen[group][delivery.body.n] += 1

    async with anyio.create_task_group() as tasks:
        for group in ("red", "red", "blue"):
            tasks.start_soon(work, group)
        for n in range(100):
            await queue.put(Job(n))
        await eventually(lambda: all(len(counts) == 100 for counts in seen.values()))
        tasks.cancel_scope.cancel()
    for counts in seen.values():
        assert set(counts.values()) == {1}


async def test_what_all_groups_have_acked_leaves_the_stream_and_nothing_else(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    for n in range(50):
        await queue.put(Job(n))
    async with queue.consume("slow") as slow:
        async with queue.consume("fast") as fast:
            for _ in range(50):
                await (await anext(fast)).ack()
        assert (await queue.statistics()).length == 50
        for _ in range(20):
            await (await anext(slow)).ack()
    statistics = await queue.statistics()
    assert statistics.length == 30
    assert {group.name: group.pending for group in statistics.groups} == {"slow": 30, "fast": 0}


async def test_a_failed_handler_is_retried_and_buried_at_last(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    queue = bus.queue("jobs", Job, max_deliveries=3)
    await queue.put(Job(1))
    attempts = []
    with caplog.at_level(logging.CRITICAL, "argentbus"):
        async with queue.consume("workers") as deliveries:
            with anyio.fail_after(20):
                for _ in range(3):
                    async with await anext(deliveries) as delivery:
                        attempts.append(delivery.attempt)
                        raise ValueError("the parser gave up")

                async def buried() -> bool:
                    return bool(await queue.dead_letters())

                await eventually(buried)
    assert attempts == [1, 2, 3]
    [letter] = await queue.dead_letters()
    assert "the parser gave up" in letter.reason
    assert (letter.attempts, letter.group) == (3, "workers")


async def test_replayed_dead_letters_are_delivered_anew(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    await queue.put(Job(7))
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(10):
            await (await anext(deliveries)).reject("not today")
            [letter] = await queue.dead_letters()
            assert await queue.replay(letter.id) == 1
            assert await queue.replay(letter.id) == 0
            again = await anext(deliveries)
        assert (again.body, again.attempt) == (Job(7), 1)
        await again.ack()
    assert await queue.dead_letters() == []


async def test_nack_delivers_again_after_the_delay_asked_for(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    await queue.put(Job(1))
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(10):
            first = await anext(deliveries)
            await first.nack(delay=0.3)
            nacked_at = anyio.current_time()
            second = await anext(deliveries)
            assert anyio.current_time() - nacked_at >= 0.29
            assert (second.id, second.attempt) == (first.id, 2)
            await second.ack()


async def test_a_delivery_is_settled_once(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    await queue.put(Job(1))
    async with queue.consume("workers") as deliveries:
        delivery = await anext(deliveries)
        await delivery.ack()
        for settle in (delivery.ack, delivery.nack):
            with pytest.raises(BusError, match="settled before"):
                await settle()


async def test_a_closing_consumer_hands_back_what_it_had_not_started(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    for n in range(10):
        await queue.put(Job(n))
    async with queue.consume("workers", ttl=60) as deliveries:
        async with await anext(deliveries):
            pass
    async with queue.consume("workers", ttl=60) as deliveries:
        with anyio.fail_after(5):  # far below the ttl: nothing waits for the first to expire
            rest = [await anext(deliveries) for _ in range(9)]
        assert sorted(delivery.body.n for delivery in rest) == list(range(1, 10))
        assert {delivery.attempt for delivery in rest} == {1}


async def test_a_cancelled_handler_gives_its_message_back(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    await queue.put(Job(1))
    async with queue.consume("workers", ttl=60) as deliveries:
        with anyio.CancelScope() as scope:
            async with await anext(deliveries):
                scope.cancel()
                await anyio.sleep_forever()
        with anyio.fail_after(5):
            assert (await anext(deliveries)).attempt == 2


async def test_a_slow_handler_keeps_its_delivery_for_many_ttls(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    await queue.put(Job(1))
    others: list[Delivery[Job]] = []

    async def lurk() -> None:
        async with queue.consume("workers", ttl=0.3) as deliveries:
            others.append(await anext(deliveries))

    async with queue.consume("workers", ttl=0.3) as deliveries:
        async with await anext(deliveries):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lurk)
                await anyio.sleep(3.0)  # the thing under test: ten TTLs
                tasks.cancel_scope.cancel()
    assert others == []
    assert (await queue.statistics()).groups[0].pending == 0


async def test_delayed_messages_wait_and_deduplicated_ones_are_one(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    first = await queue.put(Job(1), dedupe="pr-17", delay=0.3)
    assert await queue.put(Job(2), dedupe="pr-17") == first
    assert (await queue.statistics()).delayed == 1
    put_at = anyio.current_time()
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(10):
            async with await anext(deliveries) as delivery:
                assert delivery.body == Job(1)
                assert anyio.current_time() - put_at >= 0.25
    statistics = await queue.statistics()
    assert (statistics.delayed, statistics.length) == (0, 0)


async def test_garbled_entries_are_buried_with_the_reason_and_the_rest_goes_on(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    queue = bus.queue("jobs", Job)
    key = bus.keys.queue("jobs")
    await bus.link.call("XADD", key, "*", "e", b"\xff\xfe garbage")
    await bus.link.call("XADD", key, "*", "other", "field", "more", "fields")
    await bus.queue("jobs", str).put("not a job")
    await queue.put(Job(1))
    with caplog.at_level(logging.CRITICAL, "argentbus"):
        async with queue.consume("workers") as deliveries:
            with anyio.fail_after(10):
                async with await anext(deliveries) as delivery:
                    assert delivery.body == Job(1)
    reasons = [letter.reason for letter in await queue.dead_letters()]
    assert len(reasons) == 3
    assert "not an envelope" in reasons[0]
    assert "no field named e" in reasons[1]
    assert "is not a Job" in reasons[2]


async def test_a_flushed_stream_is_made_again_and_the_loss_reported(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    queue = bus.queue("jobs", Job)
    with caplog.at_level(logging.ERROR, "argentbus"):
        async with queue.consume("workers") as deliveries:
            await bus.link.call("DEL", bus.keys.queue("jobs"))
            await eventually(lambda: "what it held is lost" in caplog.text)
            await queue.put(Job(5))
            with anyio.fail_after(10):
                async with await anext(deliveries) as delivery:
                    assert delivery.body == Job(5)


async def test_broken_connections_lose_and_double_nothing(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    handled: Counter[int] = Counter()
    done = anyio.Event()

    async def break_connections() -> None:
        while not done.is_set():
            for kind in ("NORMAL", "PUBSUB"):
                await bus.link.retrying(partial(bus.link.call, "CLIENT", "KILL", "TYPE", kind))
            await anyio.sleep(0.02)  # how often the fault strikes

    async def put(start: int) -> None:
        for n in range(start, start + 100):
            await queue.put(Job(n))

    async def work() -> None:
        async with queue.consume("workers", prefetch=20) as deliveries:
            async for delivery in deliveries:
                async with delivery:
                    handled[delivery.body.n] += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        async with anyio.create_task_group() as producers:
            producers.start_soon(break_connections)
            async with anyio.create_task_group() as puts:
                for start in (0, 100, 200, 300):
                    puts.start_soon(put, start)
            done.set()
        await eventually(lambda: len(handled) == 400, timeout=20)
        tasks.cancel_scope.cancel()
    entries = await bus.link.call("XLEN", bus.keys.queue("jobs") + ":dead")
    assert entries == 0
    assert sum(handled.values()) == 400


@pytest.mark.parametrize("loss", ["DEL {q}", "FLUSHALL", "XGROUP DESTROY {q} g"])
async def test_an_idle_consumer_outlives_the_loss_of_its_stream(
    own_redis: Any, namespace: str, loss: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace, ttl=2.0) as bus:
        queue = bus.queue("jobs", Job)
        async with queue.consume("g") as deliveries:
            await eventually(lambda: _blocked(bus))
            key = bus.keys.queue("jobs")
            await bus.link.call(*(word.replace("{q}", key) for word in loss.split()))
            await eventually(lambda: _blocked(bus))
            await queue.put(Job(1))
            with anyio.fail_after(5):
                async for delivery in deliveries:
                    assert delivery.body == Job(1)
                    break


async def _blocked(bus: Bus) -> bool:
    return b"blocked_clients:1" in await bus.link.call("INFO", "clients")


async def test_what_cannot_be_buried_stays_pending(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    dead = f"{bus.keys.queue('jobs')}:dead"
    await bus.link.call("SET", dead, "not a stream")
    await queue.put(Job(1))
    async with queue.consume("g") as deliveries:
        async for delivery in deliveries:
            with pytest.raises(ServerRefused):
                await delivery.reject("bad")
            break
    await bus.link.call("DEL", dead)
    async with queue.consume("g") as deliveries:
        with anyio.fail_after(5):
            async for delivery in deliveries:
                assert delivery.body == Job(1)
                break


async def test_a_refused_put_is_not_taken_for_the_first_of_its_dedupe_id(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    await bus.link.call("SET", bus.keys.queue("jobs"), "not a stream")
    with pytest.raises(ServerRefused):
        await queue.put(Job(1), dedupe="one")
    await bus.link.call("DEL", bus.keys.queue("jobs"))
    await queue.put(Job(1), dedupe="one")
    assert (await queue.statistics()).length == 1


async def test_a_foreign_value_among_the_housekeeping_does_not_stop_it(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    async with queue.consume("g") as deliveries, bus.join("scout"):
        for key in (f"{bus.keys.queue('jobs')}:watch:g", f"{bus.keys.presence_index}:watch"):
            await bus.link.call("DEL", key)
            await bus.link.call("HSET", key, "not", "a string")
        await bus.reaper.reap()
        await queue.put(Job(1), delay=0.1)
        with anyio.fail_after(5):
            async for delivery in deliveries:
                assert delivery.body == Job(1)
                break
