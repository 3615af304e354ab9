"""Consumers that are killed with -9: what they held goes on, what killed them is set aside."""

import logging
import signal
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from bus import Bus
from tests.bus.holder import Holder
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

TTL = 1.0


class Holders:
    def __init__(self, url: str, namespace: str) -> None:
        self._told = {"url": url, "namespace": namespace, "group": "workers", "ttl": TTL}
        self.all: list[Holder] = []

    async def hold(self, most: int, **options: Any) -> tuple[Holder, str, list[Any]]:
        """A process that has taken `most` deliveries; the consumer's name; what it has."""
        holder = Holder()
        self.all.append(holder)
        name = await holder.aask("hold", **self._told, **options)
        return holder, name, await holder.aask("take", most=most, wait=10)


@pytest.fixture
def holders(redis_server: Any, namespace: str) -> Iterator[Holders]:
    holders = Holders(redis_server.url, namespace)
    yield holders
    for holder in holders.all:
        holder.kill()


async def test_fifty_deliveries_of_a_killed_process_are_with_others_within_ttl_and_a_second(
    bus: Bus, holders: Holders
) -> None:
    queue = bus.queue("jobs", int)
    for n in range(50):
        await queue.put(n)
    holder, _, taken = await holders.hold(50, prefetch=50)
    assert len(taken) == 50
    async with queue.consume("workers") as deliveries:
        holder.kill()
        killed_at = anyio.current_time()
        with anyio.fail_after(10):
            got = [await anext(deliveries) for _ in range(50)]
        # It may have beaten just before it was killed, and the TTL counts from then.
        assert anyio.current_time() - killed_at < TTL + 1.0
        assert sorted(delivery.body for delivery in got) == list(range(50))
        assert {(delivery.attempt, len(delivery.kills)) for delivery in got} == {(2, 1)}


async def test_what_killed_its_consumers_in_turn_is_set_aside_with_the_evidence(
    bus: Bus, holders: Holders, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "argentbus")
    # One attempt would be all it had, if deaths were failures.
    queue = bus.queue("jobs", int, max_deliveries=1, max_kills=2)
    await queue.put(13)
    await queue.put(7)
    names = []
    for attempt in (1, 2):
        holder, name, taken = await holders.hold(1, prefetch=10)
        names.append(name)
        assert [row[1:] for row in taken] == [[13, attempt, attempt - 1]]
        holder.kill()
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(10):
            other = await anext(deliveries)
        # Both had read it ahead; only the first time can that be held against it.
        assert (other.body, other.attempt, len(other.kills)) == (7, 2, 1)
        await other.ack()

        async def buried() -> bool:
            return bool(await queue.dead_letters())

        await eventually(buried)
    [letter] = await queue.dead_letters()
    assert letter.body(int) == 13
    assert [kill.consumer for kill in letter.kills] == names
    assert all(name in letter.reason for name in names)
    assert letter.kills[0].at < letter.kills[1].at
    assert (letter.group, letter.attempts) == ("workers", 2)
    [group] = (await queue.statistics()).groups
    assert (group.pending, group.suspects) == (0, 0)


async def test_a_failure_after_a_death_counts_as_the_first(bus: Bus, holders: Holders) -> None:
    queue = bus.queue("jobs", int, max_deliveries=2)
    await queue.put(1)
    holder, _, _ = await holders.hold(1)
    holder.kill()
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(10):
            second = await anext(deliveries)
            assert (second.attempt, second.failures) == (2, 1)
            await second.nack(delay=0)
            third = await anext(deliveries)
            assert (third.attempt, third.failures, len(third.kills)) == (3, 2, 1)
            await third.nack(delay=0)
    [letter] = await queue.dead_letters()
    assert (letter.attempts, len(letter.kills)) == (3, 1)


async def test_a_suspended_process_learns_that_its_delivery_is_anothers(
    bus: Bus, holders: Holders
) -> None:
    queue = bus.queue("jobs", int, ordered=True)
    await queue.put(1, key="a")
    await queue.put(2, key="a")
    holder, _, [[entry, *_]] = await holders.hold(1)
    async with queue.consume("workers") as deliveries:
        holder.signal(signal.SIGSTOP)
        with anyio.fail_after(10):
            first = await anext(deliveries)
        assert first.body == 1
        holder.signal(signal.SIGCONT)
        # Its ack would let the next one of the key start while this one is being handled.
        assert await holder.aask("ack", entry=entry) == "DeliveryLost"
        assert (await queue.statistics()).parked == 1
        holder.kill()  # it would read the second itself
        await first.ack()
        with anyio.fail_after(10):
            assert (await anext(deliveries)).body == 2
