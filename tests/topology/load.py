"""Everything at work at once, while a test takes servers away."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from bus import Bus, BusError, LockLost, RequestTimeout
from bus.messages.envelope import wrap
from bus.servers.link import TRANSIENT, backoff
from tests.topology.acceptance import Answer, Job
from tests.waiting import eventually


class Load:
    """What has been done, by kind: each goes on for ever, whatever happens to the servers.

    Attributes:
        replicated: Messages that a replica had when `put` returned.
        acknowledged: Messages whose `put` returned.
        handled: How often each was handled.
        done: How often each kind of work has been done.
    """

    def __init__(self) -> None:
        self.replicated: set[int] = set()
        self.acknowledged: set[int] = set()
        self.handled: Counter[int] = Counter()
        self.done: Counter[str] = Counter()
        self.fences: list[int] = []
        self.producing = True

    async def goes_on(
        self, *, more: int = 3, timeout: float = 30.0, without: str | None = None
    ) -> None:
        """Wait until every kind of work (but one) was done some more times."""
        before = Counter(self.done)

        def behind() -> list[str]:
            return [k for k in KINDS if k != without and self.done[k] < before[k] + more]

        try:
            await eventually(lambda: not behind(), timeout=timeout)
        except AssertionError:
            raise AssertionError(f"does not go on within {timeout:g} s: {behind()}") from None

    async def all_handled(self, wanted: set[int], *, timeout: float = 30.0) -> None:
        try:
            await eventually(lambda: wanted <= self.handled.keys(), timeout=timeout)
        except AssertionError:
            missing = sorted(wanted - self.handled.keys())
            raise AssertionError(f"lost {len(missing)}: {missing[:20]}") from None


KINDS = ("put", "replicated", "handled", "lock", "request", "topic", "log", "state")


@asynccontextmanager
async def under_load(url: str, namespace: str) -> AsyncIterator[Load]:
    """Run all kinds of work, in two buses, for the length of the context."""
    load = Load()
    async with (
        Bus.connect(url, namespace=namespace, ttl=3.0, patience=30) as one,
        Bus.connect(url, namespace=namespace, ttl=3.0, patience=30) as other,
        one.join("scout") as scout,
        other.join("writer") as writer,
        anyio.create_task_group() as tasks,
    ):
        for n in range(4):
            tasks.start_soon(_put, one, load, n)
            tasks.start_soon(_put_replicated, one, load, n)
        tasks.start_soon(_handle, other, load)
        tasks.start_soon(_lock, one, load)
        tasks.start_soon(_lock, other, load)
        tasks.start_soon(_answer, writer)
        tasks.start_soon(_request, scout, load)
        tasks.start_soon(_publish, one)
        tasks.start_soon(_listen, other, load)
        tasks.start_soon(_log, one, load)
        tasks.start_soon(_read, other, load)
        tasks.start_soon(_state, scout, load)
        await load.goes_on()
        yield load
        tasks.cancel_scope.cancel()


async def _put(bus: Bus, load: Load, first: int) -> None:
    jobs = bus.queue("jobs", Job)
    for n in range(first, 1 << 30, 8):
        if not load.producing:
            return
        await jobs.put(Job(n))
        load.acknowledged.add(n)
        load.done["put"] += 1
        await anyio.sleep(0.002)


async def _put_replicated(bus: Bus, load: Load, first: int) -> None:
    """`put(replicated=1)` by hand: what a replica has acknowledged must survive its master."""
    key = bus.keys.queue("jobs")
    for n in range(first + 4, 1 << 30, 8):
        delays = backoff()
        while True:
            if not load.producing:
                return
            try:
                async with bus.link.dedicated(key) as connection:
                    _, message = wrap(Job(n), sender="by hand")
                    await bus.link.ask(connection, b"XADD", key, "*", "e", message)
                    if await bus.link.ask(connection, b"WAIT", 1, 500):
                        break
            except TRANSIENT:
                await anyio.sleep(next(delays))
        load.replicated.add(n)
        load.done["replicated"] += 1


async def _handle(bus: Bus, load: Load) -> None:
    async with bus.queue("jobs", Job).consume("workers") as deliveries:
        async for delivery in deliveries:
            async with delivery:
                load.handled[delivery.body.n] += 1
                load.done["handled"] += 1


async def _lock(bus: Bus, load: Load) -> None:
    while True:
        try:
            async with bus.lock("plan", ttl=2) as lease:
                load.fences.append(lease.fence)
                await anyio.sleep(0.01)
        except LockLost:
            continue
        load.done["lock"] += 1


async def _answer(agent) -> None:
    async for delivery in agent.inbox(Job):
        async with delivery:
            await delivery.reply(Answer(delivery.body.n))


async def _request(agent, load: Load) -> None:
    n = 0
    while True:
        n += 1
        try:
            assert (await agent.request("writer", Job(n), Answer, timeout=2)).n == n
        except (RequestTimeout, BusError):
            continue
        load.done["request"] += 1


async def _publish(bus: Bus) -> None:
    while True:
        try:
            await bus.topic("mood", str).publish("calm")
        except BusError:
            continue
        await anyio.sleep(0.02)


async def _listen(bus: Bus, load: Load) -> None:
    async with bus.topic("mood", str).subscribe() as feed:
        async for _ in feed:
            load.done["topic"] += 1


async def _log(bus: Bus, load: Load) -> None:
    n = 0
    while True:
        n += 1
        await bus.log("journal").append(Job(n))
        await anyio.sleep(0.01)


async def _read(bus: Bus, load: Load) -> None:
    journal, after = bus.log("journal"), "0-0"
    while True:
        for entry in await journal.read(after=after, block=1):
            after = entry.id
            load.done["log"] += 1


async def _state(agent, load: Load) -> None:
    while True:
        await agent.set_state(activity=f"step {load.done['state']}")
        load.done["state"] += 1
        await anyio.sleep(0.02)
