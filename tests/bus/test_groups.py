"""Several groups on one queue, where they start, and what an operator sees of them."""

import anyio
import pytest

from bus import Bus
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_later_group_starts_where_it_is_asked_to(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    await queue.put(1)
    async with (
        queue.consume("whole") as whole,
        queue.consume("news", start="end") as news,
    ):
        await queue.put(2)
        with anyio.fail_after(5):
            assert [(await anext(whole)).body for _ in range(2)] == [1, 2]
            assert (await anext(news)).body == 2


async def test_a_group_that_started_at_the_end_misses_nothing_after_a_loss(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    async with queue.consume("news", start="end") as news:
        await bus.link.call("DEL", bus.keys.queue("jobs"))
        await queue.put(1)
        with anyio.fail_after(5):
            assert (await anext(news)).body == 1


async def test_a_replay_is_for_the_group_that_gave_the_message_up(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    await queue.put(1)
    async with queue.consume("red") as red, queue.consume("blue") as blue:
        with anyio.fail_after(5):
            await (await anext(red)).reject("no")
            await (await anext(blue)).ack()
            [letter] = await queue.dead_letters()
            assert (await queue.dead_letter(letter.id)) == letter
            assert await queue.replay(letter.id) == 1
            await queue.put(2)
            again = await anext(red)
            assert (again.body, again.attempt) == (1, 1)
            await again.ack()
            assert (await anext(blue)).body == 2
            await red.settlements.flush()
            await red.settlements.trim()
        async with queue.consume("green") as green:
            with anyio.fail_after(5):
                assert (await anext(green)).body == 2
    assert await queue.dead_letter(letter.id) is None


async def test_a_replay_for_a_group_that_was_deleted_waits_for_it(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    await queue.put(1)
    async with queue.consume("red") as red, queue.consume("blue") as blue:
        with anyio.fail_after(5):
            await (await anext(red)).reject("no")
            await (await anext(blue)).ack()
    await queue.delete_group("red")
    assert await queue.replay_all() == 1
    async with queue.consume("blue") as blue:
        await queue.put(2)
        with anyio.fail_after(5):
            await (await anext(blue)).ack()
        await blue.settlements.trim()
        async with queue.consume("red") as red:
            with anyio.fail_after(5):
                assert (await anext(red)).body == 1


async def test_all_of_a_group_are_replayed_or_purged(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    for n in range(250):
        await queue.put(n)
    for group in ("red", "blue"):
        async with queue.consume(group):
            pass
    for group in ("red", "blue"):
        async with queue.consume(group) as deliveries:
            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    for _ in range(250):
                        tasks.start_soon((await anext(deliveries)).reject, "no")
    assert (await queue.statistics()).dead == 500
    assert await queue.purge_all(group="blue") == 250
    assert await queue.replay_all(group="blue") == 0
    assert await queue.replay_all(group="red") == 250
    statistics = await queue.statistics()
    assert (statistics.dead, statistics.length) == (0, 250)
    async with queue.consume("red") as deliveries:
        with anyio.fail_after(20):
            bodies = [(await anext(deliveries)).body for _ in range(250)]
    assert sorted(bodies) == list(range(250))


async def test_what_an_operator_sees(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    assert (await queue.statistics()).oldest_age is None
    await queue.put(1)
    first_put = anyio.current_time()
    await queue.put(2)
    await bus.link.call("XADD", bus.keys.queue("jobs"), "*", "e", b"garbage")
    unread = await queue.statistics()
    assert unread.oldest_age is not None
    assert unread.groups == []
    async with queue.consume("red", start="beginning") as red:
        with anyio.fail_after(5):
            await (await anext(red)).ack()
            await (await anext(red)).nack(delay=60)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anext, red)

                async def refused() -> bool:
                    return (await queue.statistics()).refused == 1

                await eventually(refused)
                tasks.cancel_scope.cancel()
        seen = await queue.statistics()
    [group] = seen.groups
    assert (group.name, group.pending, group.retrying) == ("red", 1, 1)
    assert group.lag == (0 if bus.link.server_version >= (7,) else None)
    assert seen.dead == 1
    assert group.oldest_age is not None
    assert 0 <= group.oldest_age <= anyio.current_time() - first_put + 1
    assert seen.oldest_age == group.oldest_age


async def test_who_left_in_good_order_is_counted_no_more(bus: Bus) -> None:
    queue = bus.queue("jobs", int)

    async def consumers() -> int:
        [group] = (await queue.statistics()).groups
        return group.consumers

    async with queue.consume("workers") as deliveries:
        await queue.put(1)
        with anyio.fail_after(5):
            async with await anext(deliveries):
                assert await consumers() == 1
    assert await consumers() == 0

    # What waits for a retry is still in its name, until another has it.
    await queue.put(2)
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(5):
            await (await anext(deliveries)).nack(delay=0.2)
    assert await consumers() == 1
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(5):
            async with await anext(deliveries) as again:
                assert (again.body, again.attempt) == (2, 2)

        async def alone() -> bool:
            return await consumers() == 1

        await eventually(alone, timeout=5)
    assert await consumers() == 0
