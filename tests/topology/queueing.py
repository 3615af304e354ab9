"""What the bus promises of queues, beyond putting and handling: a part of `acceptance`."""

import contextlib
from datetime import UTC, datetime, timedelta

import anyio

from bus import (
    FSYNCED,
    Bus,
    Delivery,
    Durability,
    NotDurable,
    QueueFull,
    UnsupportedServer,
    replicated,
)
from tests.waiting import eventually


async def order(one: Bus, other: Bus) -> None:
    """Of a key one at a time, in the order of the puts; other keys go on meanwhile."""
    queue = one.queue("by-key", tuple[str, int], ordered=True)
    for n in range(6):
        for key in "abc":
            await queue.put((key, n), key=key)
    assert (await queue.statistics()).parked == 15
    busy: set[str] = set()
    seen: dict[str, list[int]] = {key: [] for key in "abc"}

    async def handle(delivery: Delivery[tuple[str, int]]) -> None:
        key, n = delivery.body
        assert key not in busy
        busy.add(key)
        await anyio.lowlevel.checkpoint()
        seen[key].append(n)
        busy.remove(key)

    async with anyio.create_task_group() as tasks:
        for bus in (one, other):
            workers = bus.queue("by-key", tuple[str, int], ordered=True)
            tasks.start_soon(lambda queue=workers: queue.work("workers", handle, concurrency=3))
        await eventually(lambda: sum(map(len, seen.values())) == 18, timeout=15)
        tasks.cancel_scope.cancel()
    assert all(ns == list(range(6)) for ns in seen.values()), seen


async def bounds(one: Bus, other: Bus) -> None:
    """A full queue refuses, or has those who put wait until there is room."""
    full = one.queue("bounded", int, max_length=2)
    await full.put(0)
    await full.put(1, delay=60)
    with contextlib.suppress(QueueFull):
        await full.put(2)
        raise AssertionError("there was no room")
    waits = other.queue("bounded", int, max_length=2, when_full="wait")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waits.put, 3)
        async with full.consume("readers") as deliveries:
            for expected in (0, 3):
                with anyio.fail_after(10):
                    async with await anext(deliveries) as delivery:
                        assert delivery.body == expected
    statistics = await full.statistics()
    assert (statistics.length, statistics.delayed) == (0, 1)


async def clock(one: Bus, other: Bus) -> None:
    """A schedule puts each slot once, whoever of several consumers sees to it; and at a time."""
    queue = one.queue("by-the-clock", str)
    await queue.put("at", at=datetime.now(UTC) + timedelta(seconds=0.2))
    await queue.schedule("tick", "* * * * * *", "tick")
    assert [found.name for found in await queue.schedules()] == ["tick"]
    got: list[tuple[str, int]] = []

    async def handle(delivery: Delivery[str]) -> None:
        got.append((delivery.body, int(delivery.entry_id.split("-")[0]) // 1000))

    async with anyio.create_task_group() as tasks:
        for bus in (one, other):
            there = bus.queue("by-the-clock", str)
            tasks.start_soon(lambda queue=there: queue.work("workers", handle))
        await eventually(lambda: {body for body, _ in got} == {"at", "tick"}, timeout=10)
        assert await queue.unschedule("tick")
        tasks.cancel_scope.cancel()
    ticks = [second for body, second in got if body == "tick"]
    assert len(set(ticks)) == len(ticks)


async def durability(one: Bus, other: Bus) -> None:
    """A put is as safe as was asked for, or it is said that it is not; it is there in any case."""
    queue = one.queue("durable", int)
    key = queue.base

    async def put(n: int, wish: Durability) -> bool:
        try:
            await queue.put(n, durability=wish)
        except NotDurable:
            return False
        return True

    replication = await one.link.call("INFO", "replication", key=key)
    assert await put(1, replicated(1, timeout=0.3)) == (b"state=online" in replication)
    if one.link.server_version < (7, 2):
        with contextlib.suppress(UnsupportedServer):
            await put(2, FSYNCED)
            raise AssertionError("WAITAOF?")
        await queue.put(2)
    else:
        persistence = await one.link.call("INFO", "persistence", key=key)
        assert await put(2, FSYNCED) == (b"aof_enabled:1" in persistence), "is it ever synced?"
    async with other.queue("durable", int).consume("readers") as deliveries:
        for expected in (1, 2):
            async with await anext(deliveries) as delivery:
                assert delivery.body == expected


async def kills(one: Bus, other: Bus) -> None:
    """What its consumers died of is set aside with the evidence, and can be replayed."""
    queue = one.queue("deadly", int, max_kills=1)
    call = one.link.call
    await call("XGROUP", "CREATE", queue.base, "workers", "0", "MKSTREAM")
    await queue.put(13)
    await call("XREADGROUP", "GROUP", "workers", "victim", "STREAMS", queue.base, ">")
    got: list[Delivery[int]] = []

    async def handle(delivery: Delivery[int]) -> None:
        got.append(delivery)

    there = other.queue("deadly", int, max_kills=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: there.work("workers", handle))
        await eventually(lambda: _dead(one, "deadly"))
        [letter] = await queue.dead_letters()
        assert [kill.consumer for kill in letter.kills] == ["victim"]
        assert "died with it" in letter.reason
        assert not got
        assert await queue.replay(letter.id) == 1
        await eventually(lambda: bool(got))
        tasks.cancel_scope.cancel()
    assert [(d.body, d.attempt, d.kills) for d in got] == [(13, 1, ())]


async def groups(one: Bus, other: Bus) -> None:
    """Each of several groups gets every message once; what one gives up is replayed for it."""
    queue = one.queue("shared", str, max_deliveries=1)
    async with queue.consume("left") as left, other.queue("shared", str).consume("right") as right:
        first = await queue.put("x", dedupe="x")
        assert first == await other.queue("shared", str).put("x", dedupe="x")
        with anyio.fail_after(10):
            await (await anext(left)).reject("not here")
            async with await anext(right) as delivery:
                assert delivery.body == "x"
        await eventually(lambda: _dead(one, "shared"))

        async def settled() -> bool:  # acknowledgements are flushed together, a moment later
            statistics = await queue.statistics()
            assert {group.name for group in statistics.groups} == {"left", "right"}
            assert statistics.dead == 1
            return not any(group.pending for group in statistics.groups)

        await eventually(settled)
        assert await queue.replay_all() == 1
        await queue.put("y")
        with anyio.fail_after(10):
            assert [(await anext(left)).body for _ in range(2)] == ["x", "y"]
            assert (await anext(right)).body == "y"


async def drain(one: Bus, other: Bus) -> None:
    """Who is told to stop finishes what it has begun, and hands the rest back at once."""
    queue = one.queue("drained", int)
    for n in range(10):
        await queue.put(n)
    begun, stop, go = anyio.Event(), anyio.Event(), anyio.Event()
    done: list[int] = []

    async def handle(delivery: Delivery[int]) -> None:
        begun.set()
        await go.wait()
        done.append(delivery.body)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            lambda: queue.work("workers", handle, concurrency=2, prefetch=10, stop=stop)
        )
        await begun.wait()
        stop.set()
        async with other.queue("drained", int).consume("workers") as deliveries:
            with anyio.fail_after(5):
                others = [await anext(deliveries) for _ in range(8)]
            go.set()
            for delivery in others:
                await delivery.ack()
    assert sorted(done + [delivery.body for delivery in others]) == list(range(10))


async def _dead(bus: Bus, name: str) -> bool:
    return len(await bus.queue(name, object).dead_letters()) == 1


PROMISES = (order, bounds, clock, durability, kills, groups, drain)
