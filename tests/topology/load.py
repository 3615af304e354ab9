"""Everything at work at once, while a test takes servers, or what they hold, away."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio

from bus import (
    Agent,
    Bus,
    BusError,
    Delivery,
    LockLost,
    MapChange,
    MapSnapshot,
    NotDurable,
    RequestTimeout,
    replicated,
)
from presence import Roster
from presence.roster import AgentView
from tests.topology.acceptance import Answer, Job
from tests.waiting import eventually


class Load:
    """What has been done, by kind: each goes on for ever, whatever happens to the servers.

    Attributes:
        replicated: The journal of the producers whose `put(durability=replicated(1))` returned.
        acknowledged: That of those whose plain `put` returned.
        since: Those of both that were begun after the last call of `mark`.
        handled: How often each was handled.
        by_key: What was handled under each key, each message the first time.
        done: How often each kind of work has been done.
        fences: Of one lock, in the order in which it was got.
        written, seen: What the writer of a map has put, and what its watcher has.
        expired: Agents that were declared dead.
        present: Agents that the roster shows.
    """

    def __init__(self) -> None:
        self.replicated: set[int] = set()
        self.acknowledged: set[int] = set()
        self.since: set[int] = set()
        self.handled: Counter[int] = Counter()
        self.by_key: defaultdict[int, list[int]] = defaultdict(list)
        self.done: Counter[str] = Counter()
        self.fences: list[int] = []
        self.written: dict[str, int] = {}
        self.seen: dict[str, int] = {}
        self.expired: list[str] = []
        self.present: Mapping[str, AgentView] = {}
        self.producing = True
        self._era = 0

    def mark(self) -> None:
        """Forget what was put so far: whatever is begun from now on has to be handled."""
        self._era += 1
        self.since = set()

    @property
    def era(self) -> int:
        return self._era

    def put(self, n: int, era: int, journal: set[int]) -> None:
        """Note a put that returned, and was begun in `era`."""
        journal.add(n)
        if era == self._era:
            self.since.add(n)

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
        """Stop producing, and wait until all that is `wanted` was handled, and all agree."""
        self.producing = False
        try:
            await eventually(lambda: wanted <= self.handled.keys(), timeout=timeout)
        except AssertionError:
            missing = sorted(wanted - self.handled.keys())
            raise AssertionError(f"lost {len(missing)}: {missing[:20]}") from None
        assert self.fences == sorted(set(self.fences)), "a fence that did not grow"
        for key, numbers in self.by_key.items():
            assert numbers == sorted(numbers), f"out of order under {key}: {numbers}"
        await eventually(lambda: self.seen == self.written, timeout=timeout)
        await eventually(lambda: self.present.keys() == {"scout", "writer"}, timeout=timeout)


KINDS = (
    *("put", "replicated", "handled", "lock", "request", "topic", "pattern", "log"),
    *("state", "roster", "map", "led", "leader"),
)


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
        for bus in (one, other):
            tasks.start_soon(_handle, bus, load)
            tasks.start_soon(_handle_by_key, bus, load)
            tasks.start_soon(_lock, bus, load)
            tasks.start_soon(_lead, bus, load)
        tasks.start_soon(_answer, writer)
        tasks.start_soon(_request, scout, load)
        tasks.start_soon(_publish, one)
        tasks.start_soon(_listen, other, load)
        tasks.start_soon(_listen_by_pattern, other, load)
        tasks.start_soon(_log, one, load)
        tasks.start_soon(_read, other, load)
        tasks.start_soon(_state, scout, load)
        tasks.start_soon(_look_who_is_there, other, load)
        tasks.start_soon(_write_map, one, load)
        tasks.start_soon(_watch_map, other, load)
        tasks.start_soon(_follow, other, load)
        await load.goes_on()
        yield load
        tasks.cancel_scope.cancel()


async def _put(bus: Bus, load: Load, first: int) -> None:
    jobs = bus.queue("jobs", Job)
    for n in range(first, 1 << 30, 8):
        if not load.producing:
            return
        era = load.era
        await jobs.put(Job(n))
        load.put(n, era, load.acknowledged)
        load.done["put"] += 1
        await anyio.sleep(0.002)


async def _put_replicated(bus: Bus, load: Load, first: int) -> None:
    """What a replica has acknowledged survives its master; half of it is in order by key."""
    plain, by_key = bus.queue("jobs", Job), bus.queue("by-key", Job, ordered=True)
    safe = replicated(1, timeout=1.0)
    for n in range(first + 4, 1 << 30, 8):
        if not load.producing:
            return
        era = load.era
        try:
            if first % 2:
                await plain.put(Job(n), durability=safe)
            else:
                await by_key.put(Job(n), key=f"k{first}", durability=safe)
        except NotDurable:
            continue  # it is there, and as safe as any other
        load.put(n, era, load.replicated)
        load.done["replicated"] += 1
        await anyio.sleep(0.001)


async def _handle(bus: Bus, load: Load) -> None:
    async with bus.queue("jobs", Job).consume("workers") as deliveries:
        async for delivery in deliveries:
            async with delivery:
                load.handled[delivery.body.n] += 1
                load.done["handled"] += 1


async def _handle_by_key(bus: Bus, load: Load) -> None:
    async def handle(delivery: Delivery[Job]) -> None:
        n = delivery.body.n
        if not load.handled[n]:
            load.by_key[n % 8].append(n)
        load.handled[n] += 1
        load.done["handled"] += 1

    await bus.queue("by-key", Job, ordered=True).work("workers", handle)


async def _lock(bus: Bus, load: Load) -> None:
    """Two take turns, so that one of them waits."""
    while True:
        try:
            async with bus.lock("plan", ttl=2) as lease:
                load.fences.append(lease.fence)
                await anyio.sleep(0.01)
        except LockLost:
            continue
        load.done["lock"] += 1


async def _lead(bus: Bus, load: Load) -> None:
    async with bus.election("chief", ttl=2) as election:
        while True:
            try:
                async with election.lead():
                    await anyio.sleep(0.05)
            except LockLost:
                continue
            load.done["led"] += 1


async def _follow(bus: Bus, load: Load) -> None:
    async with bus.election("chief") as election:
        async for _ in election.changes():
            load.done["leader"] += 1


async def _answer(agent: Agent) -> None:
    async for delivery in agent.inbox(Job):
        async with delivery:
            await delivery.reply(Answer(delivery.body.n))


async def _request(agent: Agent, load: Load) -> None:
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


async def _listen_by_pattern(bus: Bus, load: Load) -> None:
    async with bus.topics("m*d", str).subscribe() as feed:
        async for _ in feed:
            load.done["pattern"] += 1


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


async def _state(agent: Agent, load: Load) -> None:
    while True:
        await agent.set_state(activity=f"step {load.done['state']}")
        load.done["state"] += 1
        await anyio.sleep(0.02)


async def _look_who_is_there(bus: Bus, load: Load) -> None:
    async with Roster.watch(bus) as roster:
        load.present = roster.agents
        async for change in roster.changes():
            if change.kind == "expired":
                load.expired.append(change.agent)
            load.done["roster"] += 1


async def _write_map(bus: Bus, load: Load) -> None:
    plan, n = bus.map("plan", int), 0
    while load.producing:
        n += 1
        key = f"step-{n % 5}"
        load.written[key] = (await plan.put(key, n)).value
        load.done["written"] += 1
        await anyio.sleep(0.01)


async def _watch_map(bus: Bus, load: Load) -> None:
    async with bus.map("plan", int).watch() as watch:
        async for item in watch:
            if isinstance(item, MapSnapshot):
                load.seen = {key: entry.value for key, entry in item.entries.items()}
            elif isinstance(item, MapChange) and item.entry is not None:
                load.seen[item.key] = item.entry.value
            load.done["map"] += 1
