"""What the bus promises, in short: run on every kind of server and every way to reach one."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec

from bus import Bus, LockNotAcquired
from tests.topology import queueing
from tests.topology.company import gathering, holdings
from tests.topology.coordination import jobs, locks, maps
from tests.topology.signed import signed
from tests.waiting import eventually

#: Seconds without a heartbeat after which something counts as dead in these tests.
TTL = 1.0


class Job(msgspec.Struct):
    n: int


class Answer(msgspec.Struct):
    n: int


@asynccontextmanager
async def two(url: str, namespace: str) -> AsyncIterator[tuple[Bus, Bus]]:
    async with (
        Bus.connect(url, namespace=namespace, ttl=TTL, patience=20) as one,
        Bus.connect(url, namespace=namespace, ttl=TTL, patience=20) as other,
    ):
        yield one, other


async def presence(url: str, namespace: str) -> None:
    """Agents join, say what they do, and are reaped when their heartbeat stops."""
    async with two(url, namespace) as (one, other):
        async with one.join("scout", role="researcher") as scout, other.join("writer") as writer:
            await scout.set_state(status="processing", activity="reading")
            snapshot = await other.registry.snapshot()
            assert set(snapshot.agents) == {"scout", "writer"}
            assert snapshot.states["scout"].activity == "reading"
            events = other.registry.events(after=snapshot.after)
            # As if its process had been killed: nobody beats for it any more.
            one.roll.exit(scout.instance)
            with anyio.fail_after(10):
                event = await anext(events)
            assert (event.kind, event.agent) == ("expired", "scout")
            await events.aclose()
            assert set((await one.registry.snapshot()).agents) == {"writer"}
            assert writer.lost.is_set() is False


async def queue(url: str, namespace: str) -> None:
    """Messages are handled, retried, taken from the dead, delayed, buried, replayed."""
    async with two(url, namespace) as (one, other):
        jobs = one.queue("jobs", Job, max_deliveries=2)
        base = one.keys.queue("jobs")
        await one.link.call("XGROUP", "CREATE", base, "workers", "0", "MKSTREAM")
        await jobs.put(Job(0))
        await one.link.call("XREADGROUP", "GROUP", "workers", "dead", "STREAMS", base, ">")
        for n in range(1, 20):
            await jobs.put(Job(n))
        assert await jobs.put(Job(20), dedupe="twenty") == await jobs.put(Job(20), dedupe="twenty")
        await jobs.put(Job(21), delay=0.3)
        handled: dict[int, int] = {}
        async with anyio.create_task_group() as tasks:
            for bus in (one, other):
                tasks.start_soon(_work, bus, handled)
            await eventually(lambda: len(handled) == 21, timeout=15)
            await eventually(lambda: _dead(other), timeout=15)
            tasks.cancel_scope.cancel()
        assert set(handled) == set(range(22)) - {13}
        letters = await jobs.dead_letters()
        assert [letter.attempts for letter in letters] == [2]
        assert await jobs.replay(letters[0].id) == 1
        figures = await jobs.statistics()
        assert (figures.dead, figures.length) == (0, 1)
        assert await other.queues() == ["jobs"]


async def _work(bus: Bus, handled: dict[int, int]) -> None:
    async with bus.queue("jobs", Job, max_deliveries=2).consume("workers", prefetch=3) as mine:
        async for delivery in mine:
            async with delivery:
                if delivery.body.n == 13:
                    raise ValueError("never this one")
                if delivery.body.n == 7 and delivery.attempt == 1:
                    raise ValueError("not yet")
                handled[delivery.body.n] = delivery.attempt


async def _dead(bus: Bus) -> bool:
    return len(await bus.queue("jobs", Job).dead_letters()) == 1


async def lock(url: str, namespace: str) -> None:
    """A lock is handed to who waits, at once, with a greater fence."""
    async with two(url, namespace) as (one, other):
        taken = anyio.Event()
        fences: list[int] = []

        async def wait() -> None:
            async with other.lock("plan", ttl=10) as lease:
                fences.append(lease.fence)
                taken.set()

        async with anyio.create_task_group() as tasks:
            async with one.lock("plan", ttl=10) as lease:
                fences.append(lease.fence)
                with contextlib.suppress(LockNotAcquired):
                    async with other.lock("plan", wait=0):
                        raise AssertionError("two holders")
                tasks.start_soon(wait)
                waiters = f"{one.keys.lock('plan')}:waiters"
                await eventually(lambda: _has(one, waiters))
            # Woken: by itself it would look again after a second.
            with anyio.fail_after(0.8):
                await taken.wait()
        assert fences[0] < fences[1]


async def _has(bus: Bus, key: str) -> bool:
    return bool(await bus.link.call("ZCARD", key))


async def topic(url: str, namespace: str) -> None:
    """What is published reaches every subscriber, in order."""
    async with two(url, namespace) as (one, other):
        names = [f"mood-{n}" for n in range(5)]
        async with contextlib.AsyncExitStack() as stack:
            feeds = [
                await stack.enter_async_context(other.topic(name, str).subscribe())
                for name in names
            ]
            mine = await stack.enter_async_context(one.topic(names[0], str).subscribe())
            for name in names:
                for n in range(20):
                    await one.topic(name, str).publish(f"{name} {n}")
            with anyio.fail_after(10):
                for name, feed in zip(names, feeds, strict=True):
                    assert [(await anext(feed)).body for _ in range(20)] == [
                        f"{name} {n}" for n in range(20)
                    ]
                assert [(await anext(mine)).body for _ in range(20)]
            assert [feed.gaps for feed in feeds] == [0] * 5


async def pattern(url: str, namespace: str) -> None:
    """All topics that fit are heard, each in order, also those that nobody knew before."""
    async with two(url, namespace) as (one, other):
        # Publishers have looked, and found nobody.
        await one.topic("mood.0", str).publish("too early")
        await one.topic("weather", str).publish("too early")
        async with (
            other.topics("mood.?*", str).subscribe() as moods,
            other.topics("mood.*", str).subscribe() as others,
            other.topic("mood.3", str).subscribe() as by_name,
        ):
            for n in range(5):
                await one.topic("weather", str).publish("rain")
                for m in range(4):
                    await one.topic(f"mood.{n}", str).publish(str(m))
            for feed in (moods, others):
                with anyio.fail_after(5):
                    got = [await anext(feed) for _ in range(20)]
                if one.link.cluster and not one.link.sharded:
                    # Each topic's come by a node of its own: in order, but not with others'.
                    got.sort(key=lambda event: event.topic)
                assert [(event.topic, event.body) for event in got] == [
                    (f"mood.{n}", str(m)) for n in range(5) for m in range(4)
                ]
                assert feed.gaps == feed.dropped == 0
            with anyio.fail_after(5):  # each once, whatever else listens
                assert [(await anext(by_name)).body for _ in range(4)] == ["0", "1", "2", "3"]
            for feed in (moods, others, by_name):
                assert not feed._items


async def request(url: str, namespace: str) -> None:
    """Agents ask each other, and get answers."""
    async with two(url, namespace) as (one, other):
        async with one.join("scout") as scout, other.join("writer") as writer:

            async def answer() -> None:
                async for delivery in writer.inbox(Job):
                    async with delivery:
                        await delivery.reply(Answer(delivery.body.n * 2))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer)
                for n in range(5):
                    answered = await scout.request("writer", Job(n), Answer, timeout=5)
                    assert answered.n == n * 2
                tasks.cancel_scope.cancel()


async def log(url: str, namespace: str) -> None:
    """A log keeps its entries in order, wakes its reader, and is trimmed in its epoch."""
    async with two(url, namespace) as (one, other):
        journal = one.log("storage:0")
        ids = [await journal.append(Job(n)) for n in range(10)]
        entries = await other.log("storage:0").read()
        assert [entry.id for entry in entries] == ids
        async with anyio.create_task_group() as tasks:

            async def append() -> None:
                await journal.append(Job(10))

            reader = other.log("storage:0")
            tasks.start_soon(append)
            with anyio.fail_after(5):
                assert len(await reader.read(after=ids[-1], block=5)) == 1
        assert await journal.trim(through=ids[4], epoch=await journal.epoch()) == 5
        await one.put_value("partitions", b"4")
        assert await other.get_value("partitions") == b"4"


async def coordination(url: str, namespace: str) -> None:
    """Locks of all kinds, jobs that are run once, elections, and shared maps."""
    async with two(url, namespace) as pair:
        for promise in (locks, jobs, maps):
            await promise(*pair)


async def queues(url: str, namespace: str) -> None:
    """Queues in order, bounded, by the clock, durable, with what went wrong set aside."""
    async with two(url, namespace) as pair, anyio.create_task_group() as tasks:
        for promise in queueing.PROMISES:
            tasks.start_soon(promise, *pair)


async def company(url: str, namespace: str) -> None:
    """Many are asked at once, and the dead leave what they held to others."""
    async with two(url, namespace) as pair:
        await gathering(*pair)
        await holdings(*pair)


#: In parts that run one after the other: each promise has times to keep, and two cores are few.
PARTS = (
    (presence, queue, lock, topic, request, log, coordination),
    (pattern, queues, company, signed),
)

PROMISES: dict[str, Callable[[str, str], Any]] = {
    promise.__name__: promise for part in PARTS for promise in part
}


async def everything(url: str, namespace: str) -> None:
    """All promises, those of a part at the same time, each in a namespace of its own."""
    for part in PARTS:
        async with anyio.create_task_group() as tasks:
            for promise in part:
                tasks.start_soon(promise, url, f"{namespace}-{promise.__name__}")
