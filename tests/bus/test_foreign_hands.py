"""What a foreign hand wrote into keys of the bus is passed over or named, and the rest goes on."""

import logging
from typing import Any

import anyio
import pytest

from bus import Bus, ServerRefused, WrongType
from bus.keys import QueueKeys
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

GARBAGE = ("garbage", "1-", "99999999999999999999-0", "-1-0", "", "\n")


async def test_garbled_members_of_the_sets_are_passed_over_and_the_rest_goes_on(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    queue = bus.queue("jobs", str)
    keys = QueueKeys(queue.base)
    async with queue.consume("workers"):
        pass  # the group is there
    for text in GARBAGE:
        await bus.link.call("ZADD", keys.retry("workers"), 1, text)
        await bus.link.call("ZADD", keys.delayed, 1, text)
    handled = []
    with anyio.fail_after(20):
        async with queue.consume("workers") as deliveries:
            await queue.put("now")
            await queue.put("later", delay=0.2)
            async for delivery in deliveries:
                async with delivery:
                    if delivery.attempt == 1:
                        raise RuntimeError("once more")
                    handled.append(delivery.body)
                if len(handled) == 2:
                    break
    statistics = await queue.statistics()
    assert sorted(handled) == ["later", "now"]
    assert statistics.garbled == len(GARBAGE)
    assert (statistics.delayed, statistics.groups[0].retrying) == (0, 0)
    # What waited for its time became a message, and one that cannot be read a dead letter.
    assert statistics.dead == len(GARBAGE)
    assert "no entry id" in caplog.text


async def test_garbled_heads_and_counters_do_not_stop_an_ordered_queue(bus: Bus) -> None:
    queue = bus.queue("jobs", str, ordered=True, max_bytes=100_000, max_length=100)
    keys = QueueKeys(queue.base)
    for body in ("a1", "a2", "a3"):
        await queue.put(body, key="a")
    await bus.link.call("HSET", keys.lanes, "a", "garbage", "nobody", "garbage")
    garbage = [word for name in ("parked", "bytes", "refused", "garbled") for word in (name, "1e5")]
    await bus.link.call("HSET", keys.counts, *garbage)
    handled = []
    with anyio.fail_after(20):
        async with queue.consume("workers") as deliveries:
            async for delivery in deliveries:
                async with delivery:
                    handled.append(delivery.body)
                if len(handled) == 3:
                    break
            assert handled == ["a1", "a2", "a3"]
            await bus.link.call("HSET", keys.counts, *garbage)
            await queue.put("a4", key="a")  # and counted anew
            async with await anext(deliveries) as delivery:
                assert delivery.body == "a4"
    statistics = await queue.statistics()
    assert (statistics.length, statistics.parked, statistics.bytes) == (0, 0, 0)


@pytest.mark.parametrize("key", ["delayed", "retry:workers", "kills:workers", "schedules", "lanes"])
async def test_a_set_of_another_type_is_named_and_messages_go_on(
    bus: Bus, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "argentbus")
    queue = bus.queue("jobs", str)
    async with queue.consume("workers"):
        pass
    await bus.link.call("SET", f"{queue.base}:{key}", "of another program")
    with anyio.fail_after(20):
        async with queue.consume("workers") as deliveries:
            for body in ("one", "two"):
                await queue.put(body)
                async with await anext(deliveries) as delivery:
                    assert delivery.body == body
            await eventually(lambda: f"{queue.base}:{key} of Redis" in caplog.text)
            await bus.link.call("DEL", f"{queue.base}:{key}")
            await queue.put("later", delay=0.01)
            async with await anext(deliveries) as delivery:
                assert delivery.body == "later"
    assert caplog.text.count("goes on without it") == 1


async def test_a_stream_of_another_type_is_an_error_that_names_it(bus: Bus) -> None:
    queue = bus.queue("jobs", str)
    await bus.link.call("LPUSH", queue.base, "of another program")
    async with anyio.create_task_group() as tasks:
        tasks.cancel_scope.deadline = anyio.current_time() + 5
        with pytest.raises(WrongType, match="a list, where argentbus keeps a stream.*DEL") as put:
            await queue.put("one")
        assert (put.value.key, put.value.found, put.value.wanted) == (queue.base, "list", "stream")
        with pytest.raises(WrongType, match="is a list"):
            async with queue.consume("workers"):
                pass
    assert not tasks.cancel_scope.cancel_called


async def test_a_stream_replaced_under_its_consumer_ends_it_with_that_error(bus: Bus) -> None:
    queue = bus.queue("jobs", str)
    with anyio.fail_after(10), pytest.raises(WrongType, match="is a string"):
        async with queue.consume("workers") as deliveries:
            await bus.link.call("SET", queue.base, "of another program")
            await anext(deliveries)


@pytest.mark.parametrize("part", ["", ":fence", ":waiters", ":sharers"])
async def test_a_lock_of_another_type_is_an_error_that_names_it(bus: Bus, part: str) -> None:
    key = f"{bus.keys.lock('one')}{part}"
    await bus.link.call("RPUSH", key, "of another program")
    with anyio.fail_after(5), pytest.raises(WrongType, match="is a list") as raised:
        async with bus.lock("one", wait=1):
            pass
    assert raised.value.key == key


async def test_a_map_of_another_type_is_an_error_that_names_it(bus: Bus) -> None:
    plan = bus.map("plan", str)
    await bus.link.call("RPUSH", bus.keys.map("plan"), "of another program")
    for attempt in (plan.get("a"), plan.put("a", "b"), plan.delete("a")):
        with anyio.fail_after(5), pytest.raises(WrongType, match="is a list.*keeps a hash"):
            await attempt
    with anyio.fail_after(5), pytest.raises(WrongType, match="is a list"):
        async with plan.watch() as watch:
            await anext(watch)


@pytest.mark.parametrize("part", ["", ":records", ":unsettled"])
async def test_a_presence_index_of_another_type_is_told_and_healed(
    redis_server: Any, namespace: str, bus: Bus, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    caplog.set_level(logging.WARNING, "argentbus")
    key = f"{bus.keys.presence_index}{part}"

    async def spoil() -> None:
        async with bus.link.dedicated(key) as connection:
            await bus.link.ask(connection, b"DEL", key)
            await bus.link.ask(connection, b"RPUSH", key, "of another program")

    async with bus.join("scout", ttl=1.0):
        await spoil()
        await eventually(lambda: f"{key} of Redis" in caplog.text)
        if part in ("", ":records"):
            async with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0) as other:
                with anyio.fail_after(5), pytest.raises(WrongType, match="is a list") as raised:
                    async with other.join("writer"):
                        pass
                assert raised.value.key == key
                with pytest.raises(WrongType, match="is a list"):
                    await other.registry.snapshot()
        await bus.link.call("DEL", key)
        await eventually(lambda: _present(bus, "scout"))
    reports = [r for r in caplog.records if key in r.getMessage() and r.levelno >= logging.WARNING]
    assert len(reports) <= 6, [r.getMessage() for r in reports]


async def _present(bus: Bus, agent: str) -> bool:
    try:
        return agent in (await bus.registry.snapshot()).agents
    except ServerRefused:
        return False


async def test_a_put_that_is_refused_is_not_in_the_stream(bus: Bus) -> None:
    queue = bus.queue("jobs", str, ordered=True)
    keys = QueueKeys(queue.base)
    await queue.put("head", key="bad")
    put, refused = ["head"], []

    async def one(body: str, **options: Any) -> None:
        try:
            await queue.put(body, **options)
        except ServerRefused:
            refused.append(body)
        else:
            put.append(body)

    async def several(turn: int) -> None:
        async with anyio.create_task_group() as tasks:
            for n in range(5):  # while the first call is under way, the others gather
                tasks.start_soon(one, f"plain {n}")
                tasks.start_soon(lambda n=n: one(f"of a key {n}", key=f"k{n}"))
                tasks.start_soon(lambda n=n: one(f"once {n}", dedupe=f"{turn}.{n}"))
                tasks.start_soon(lambda n=n: one(f"of the head's {n}", key="bad"))
                tasks.start_soon(lambda n=n: one(f"later {n}", delay=60))

    of_another = (f"{keys.lane}bad", keys.delayed, keys.counts, keys.lanes, f"{keys.dedupe}4.3")
    for turn, key in enumerate(of_another):
        kept = await bus.link.call("EXISTS", key) and await bus.link.call("DUMP", key)
        await bus.link.call("DEL", key)
        await bus.link.call("XADD", key, "*", "a", "foreign hand's")
        before = len(refused)
        await several(turn)
        assert len(refused) > before, key
        await bus.link.call("DEL", key)
        if kept:
            await bus.link.call("RESTORE", key, 0, kept)
        statistics = await queue.statistics()
        found = statistics.length + statistics.delayed + statistics.parked
        assert found == len(put), (key, found, len(put))
