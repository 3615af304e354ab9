"""Queues that keep an order by key: one at a time, in the order of the puts, whatever happens."""

import contextlib

import anyio
import pytest

from bus import Bus, Consumer, Delivery, DeliveryLost, InvalidName, Queue
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def take(deliveries: Consumer[str]) -> Delivery[str]:
    with anyio.fail_after(5):
        return await anext(deliveries)


async def nothing(deliveries: Consumer[str]) -> bool:
    """Whether no delivery comes for a while: absence takes time to see."""
    with anyio.move_on_after(0.3):
        await anext(deliveries)
        return False
    return True


def ordered(bus: Bus) -> Queue[str]:
    return bus.queue("jobs", str, ordered=True)


async def fill(queue: Queue[str], *bodies: str) -> None:
    for body in bodies:
        await queue.put(body, key=body[0])


async def test_of_a_key_one_at_a_time_and_other_keys_go_on(bus: Bus) -> None:
    queue = ordered(bus)
    await fill(queue, "a1", "a2", "b1", "a3")
    await queue.put("without a key")
    async with queue.consume("workers") as one, queue.consume("workers") as two:
        async with anyio.create_task_group() as tasks:
            got: list[Delivery[str]] = []

            async def collect(deliveries: Consumer[str]) -> None:
                while True:
                    got.append(await anext(deliveries))

            tasks.start_soon(collect, one)
            tasks.start_soon(collect, two)
            for expected in ("a1", "a2", "a3"):
                await eventually(lambda: any(delivery.body[0] == "a" for delivery in got))
                await anyio.sleep(0.05)  # had the next one come along, it would be here
                [first] = [delivery for delivery in got if delivery.body[0] == "a"]
                assert first.body == expected
                got.remove(first)
                await first.ack()
            tasks.cancel_scope.cancel()
        assert sorted(delivery.body for delivery in got) == ["b1", "without a key"]
        assert (await queue.statistics()).parked == 0


async def test_a_retry_stays_before_those_behind_it(bus: Bus) -> None:
    queue = ordered(bus)
    await fill(queue, "a1", "a2")
    async with queue.consume("workers") as deliveries:
        await (await take(deliveries)).nack(delay=0.3)
        again = await take(deliveries)
        assert (again.body, again.attempt) == ("a1", 2)
        await again.ack()
        assert (await take(deliveries)).body == "a2"


async def test_a_dead_letter_lets_the_rest_pass_and_joins_at_the_end(bus: Bus) -> None:
    queue = ordered(bus)
    await fill(queue, "a1", "a2", "a3")
    async with queue.consume("workers") as deliveries:
        await (await take(deliveries)).reject("no")
        second = await take(deliveries)
        assert second.body == "a2"
        [letter] = await queue.dead_letters()
        assert letter.key == "a"
        await queue.replay(letter.id)
        for expected in ("a3", "a1"):
            await second.ack()
            second = await take(deliveries)
            assert second.body == expected
        await second.ack()
    assert (await queue.statistics()).length == 0


async def test_delayed_messages_join_when_they_are_due(bus: Bus) -> None:
    queue = ordered(bus)
    await queue.put("a1", key="a", delay=0.2)
    await queue.put("a2", key="a")
    async with queue.consume("workers") as deliveries:
        first = await take(deliveries)
        assert first.body == "a2"
        assert await nothing(deliveries)
        await first.ack()
        assert (await take(deliveries)).body == "a1"


async def test_the_slowest_group_sets_the_pace_of_a_key_until_it_is_deleted(bus: Bus) -> None:
    queue = ordered(bus)
    await fill(queue, "a1", "a2", "a3")
    async with queue.consume("fast") as fast:
        async with queue.consume("slow") as slow:
            await (await take(fast)).ack()
            assert await nothing(fast)
            await (await take(slow)).ack()
            second = await take(fast)
            assert second.body == "a2"
            await second.ack()
        assert await queue.delete_group("slow")
        assert not await queue.delete_group("slow")
        assert (await take(fast)).body == "a3"


async def test_a_lane_goes_on_where_the_stream_was_deleted(bus: Bus) -> None:
    queue = ordered(bus)
    await fill(queue, "a1", "a2")
    async with queue.consume("workers") as deliveries:
        assert (await take(deliveries)).body == "a1"
        await bus.link.call("DEL", bus.keys.queue("jobs"))
        assert (await take(deliveries)).body == "a2"


async def test_thousands_of_keys_from_many_tasks_each_in_its_order(bus: Bus) -> None:
    queue = bus.queue("jobs", tuple[int, int], ordered=True)
    seen: dict[int, list[int]] = {key: [] for key in range(50)}
    busy: set[int] = set()

    async def put(key: int) -> None:
        for n in range(20):
            await queue.put((key, n), key=f"k{key}")

    async def handle(delivery: Delivery[tuple[int, int]]) -> None:
        key, n = delivery.body
        assert key not in busy
        busy.add(key)
        await anyio.lowlevel.checkpoint()
        if n % 7 == 3 and delivery.attempt == 1:
            busy.remove(key)
            await delivery.nack(delay=0)
            return
        seen[key].append(n)
        busy.remove(key)
        if sum(map(len, seen.values())) == 1000:
            over.set()

    over = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for key in range(50):
            tasks.start_soon(put, key)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as workers:
                for _ in range(3):
                    workers.start_soon(lambda: queue.work("workers", handle, stop=over))
    assert all(numbers == list(range(20)) for numbers in seen.values())


async def test_keys_are_for_ordered_queues_and_have_to_be_names(bus: Bus) -> None:
    with pytest.raises(ValueError, match="ordered=True"):
        await bus.queue("jobs", str).put("x", key="a")
    with pytest.raises(InvalidName):
        await ordered(bus).put("x", key="a\nb")


async def test_who_was_taken_for_dead_cannot_bury_what_another_has_in_hand(bus: Bus) -> None:
    queue = bus.queue("jobs", str, ordered=True, max_deliveries=1)
    await fill(queue, "a1", "a2", "b1", "b2")
    async with queue.consume("workers") as late, queue.consume("workers") as others:
        deliveries = [await take(late), await take(late)]
        entries = [delivery.entry_id for delivery in deliveries]
        # As if it had stood still for longer than its TTL.
        await bus.link.call("XCLAIM", queue.base, "workers", "another", 0, *entries)
        with pytest.raises(DeliveryLost):
            await deliveries[0].reject("too late")
        with contextlib.suppress(ValueError):
            async with deliveries[1]:
                raise ValueError("the last attempt, and too late")
        await late.settlements.flush(all=True)
        assert await nothing(others)
        assert await queue.dead_letters() == []
        [group] = (await queue.statistics()).groups
        assert group.pending == 2
