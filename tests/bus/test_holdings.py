"""Whoever is declared dead gives up what it held, at once; whoever only froze learns it."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import msgspec
import pytest

from bus import Agent, Bus, LockLost
from bus.agents.giveup import GiveUp
from bus.agents.holdings import settle
from bus.agents.inbox import INBOX_GROUP, inbox_of
from bus.keys import QueueKeys
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

#: An agent with a TTL of a second that holds, for far longer, a lock, a claim and fifty deliveries.
HOLDER = """
import sys, anyio
from bus import Bus, LockLost

async def main(url, namespace, agent):
    async with Bus.connect(url, namespace=namespace, ttl=60) as bus:
        try:
            async with bus.lock("early", ttl=60), bus.join("holder", ttl=1.0) as holder:
                jobs = bus.queue("jobs", int).consume("workers", prefetch=1)
                async with bus.lock("beat", ttl=60), jobs as claims:
                    claim = await anext(claims)
                    held = [await anext(holder.inbox(prefetch=50)) for _ in range(50)]
                    print("holds", len(held), claim.attempt, flush=True)
                    await anyio.sleep_forever()
        except LockLost as error:
            print("lost:", error, flush=True)
            async with bus.join("holder", ttl=1.0, takeover=True), bus.lock("beat", ttl=60):
                print("again", flush=True)

anyio.run(main, *sys.argv[1:])
"""


@contextmanager
def holder(bus: Bus) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(bus.link.address), bus.namespace, "holder"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with anyio.fail_after(20):
        return str(await anyio.to_thread.run_sync(process.stdout.readline)).strip()


async def fill(bus: Bus) -> None:
    await bus.queue("jobs", int).put(1)
    async with bus.join("sender", ttl=5.0) as sender:
        for number in range(50):
            await sender.send("holder", number)


class Heir:
    """Waits for everything that the holder has, and notes when it came."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.got: dict[str, float] = {}

    async def lock(self, name: str) -> None:
        async with self._bus.lock(name, ttl=5):
            self.got[name] = anyio.current_time()
            await anyio.sleep_forever()

    async def claim(self) -> None:
        async with self._bus.queue("jobs", int).consume("workers") as claims:
            await anext(claims)
            self.got["claim"] = anyio.current_time()
            await anyio.sleep_forever()

    async def inbox(self) -> None:
        seen = set()
        inbox = inbox_of(self._bus, "holder", {}, sender="heir")
        async with inbox.consume(INBOX_GROUP, ttl=60) as deliveries:
            async for delivery in deliveries:
                async with delivery:
                    seen.add(delivery.body)
                if len(seen) == 50:
                    self.got["inbox"] = anyio.current_time()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator["Heir"]:
        async with anyio.create_task_group() as tasks:
            for work in (self.claim, self.inbox):
                tasks.start_soon(work)
            for name in ("beat", "early"):
                tasks.start_soon(self.lock, name)

                async def in_line(name: str = name) -> bool:
                    key = self._bus.keys.lock(name) + ":waiters"
                    return bool(await self._bus.link.call("ZCARD", key))

                await eventually(in_line)
            yield self
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def watcher(bus: Bus) -> AsyncIterator[Agent]:
    async with bus.join("watcher", ttl=30.0) as agent:
        yield agent


async def test_what_a_killed_agent_held_is_with_others_within_its_ttl_and_a_second(
    bus: Bus,
) -> None:
    await fill(bus)
    with holder(bus) as process:
        assert await line_of(process) == "holds 50 1"
        async with watcher(bus), Heir(bus).waiting() as heir:
            assert heir.got == {}
            process.kill()
            killed = anyio.current_time()
            await eventually(lambda: len(heir.got) == 4, timeout=20)
            assert max(heir.got.values()) - killed < 2.0
        events = await bus.link.call("XRANGE", bus.keys.presence_events, "-", "+")
        [cause] = [e[1][-1] for e in events if b"expired" in e[1]]
        assert cause == b"no heartbeat for 1 s: what it held is given up"

        async def settled() -> bool:
            return not await bus.link.call("EXISTS", f"{bus.keys.presence_index}:unsettled")

        await eventually(settled)


@pytest.mark.parametrize("waits_for", ["lock", "claim"])
async def test_who_only_waits_for_it_finds_out_that_its_holder_died(
    redis_server: Any, namespace: str, bus: Bus, waits_for: str
) -> None:
    async with Bus.connect(redis_server.url, namespace=namespace) as before:
        await fill(before)
    with holder(bus) as process:
        assert await line_of(process) == "holds 50 1"
        # Nobody else looks for the dead: this one has not joined, and watches nobody.
        async with (
            Bus.connect(redis_server.url, namespace=namespace, ttl=60) as alone,
            anyio.create_task_group() as tasks,
        ):
            heir = Heir(alone)
            if waits_for == "lock":
                tasks.start_soon(heir.lock, "beat")
                waiters = bus.keys.lock("beat") + ":waiters"
                await eventually(lambda: bus.link.call("ZCARD", waiters))
            else:
                tasks.start_soon(heir.claim)
                consumers = QueueKeys(bus.keys.queue("jobs")).consumers("workers")

                async def both() -> bool:
                    return int(await bus.link.call("ZCARD", consumers)) == 2

                await eventually(both)
            process.kill()
            killed = anyio.current_time()
            await eventually(lambda: bool(heir.got), timeout=20)
            assert max(heir.got.values()) - killed < 2.0
            tasks.cancel_scope.cancel()


async def test_who_froze_and_wakes_learns_that_its_locks_are_anothers(bus: Bus) -> None:
    await fill(bus)
    with holder(bus) as process:
        assert await line_of(process) == "holds 50 1"
        async with watcher(bus):
            async with Heir(bus).waiting() as heir:
                process.send_signal(signal.SIGSTOP)
                await eventually(lambda: len(heir.got) == 4, timeout=20)
                process.send_signal(signal.SIGCONT)
                woken = anyio.current_time()
                assert "was given up" in await line_of(process)
                # Far sooner than it would have renewed its lease, which is for 60 s.
                assert anyio.current_time() - woken < 2.0
            # What it takes from then on is under another estate, and its own.
            assert await line_of(process) == "again"


async def test_a_reaper_that_dies_halfway_is_succeeded_by_another(bus: Bus) -> None:
    await fill(bus)
    with holder(bus) as process:
        assert await line_of(process) == "holds 50 1"
        process.kill()
        index = bus.keys.presence_index
        # Declared dead by a reaper of which nothing more is heard.
        [record] = (await bus.registry.find()) or [None]
        assert record is not None
        keys = [bus.keys.presence("holder"), index]
        await bus.link.call("DEL", keys[0])
        raw = await bus.link.call("HGET", f"{index}:records", "holder")
        await bus.link.call("HSET", f"{index}:unsettled", record.instance, raw)
        await bus.link.call("ZREM", index, "holder")
        await bus.link.call("HDEL", f"{index}:records", "holder")
        async with watcher(bus), Heir(bus).waiting() as heir:
            await eventually(lambda: len(heir.got) == 4, timeout=20)


async def test_a_bus_that_joined_no_agent_notes_nothing(bus: Bus) -> None:
    async with bus.lock("beat", ttl=5), bus.queue("jobs", int).consume("workers"):
        assert not await bus.link.call("EXISTS", bus.keys.holdings(bus.holdings.estate))
        async with bus.join("late", ttl=5.0):
            assert await bus.link.call("HLEN", bus.keys.holdings(bus.holdings.estate)) == 2
            async with bus.lock("other", ttl=5):
                assert await bus.link.call("HLEN", bus.keys.holdings(bus.holdings.estate)) == 3
        assert not await bus.link.call("EXISTS", bus.keys.holdings(bus.holdings.estate))


async def test_a_lock_outlives_a_redis_that_was_away_for_longer_than_the_agents_ttl(
    own_redis: Any, namespace: str
) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace) as bus,
        Bus.connect(own_redis.url, namespace=namespace) as other,
        other.join("watcher", ttl=10.0),
        bus.join("holder", ttl=1.0),
        bus.lock("beat", ttl=60) as lease,
    ):
        own_redis.kill()
        await anyio.sleep(2.5)  # the thing under test: longer than the TTL
        own_redis.start()

        async def back() -> bool:
            return bool(await bus.link.call("EXISTS", bus.keys.presence("holder")))

        await eventually(lambda: bus.link.retrying(back), timeout=20)
        await other.link.retrying(other.reaper.reap)
        assert lease.remaining > 0
        assert not await bus.registry.was_declared_dead(bus.holdings.estate)


async def test_flushall_has_everything_noted_again(own_redis: Any, namespace: str) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace) as bus,
        bus.join("holder", ttl=1.0),
    ):
        await bus.holdings.add_consumer("a consumer", "its group's key")
        key = bus.keys.holdings(bus.holdings.estate)
        await bus.link.call("FLUSHALL")

        async def noted() -> bool:
            return int(await bus.link.call("HLEN", key)) == 1

        await eventually(noted)


async def test_hostile_holdings_run_nothing_but_what_gives_up(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "argentbus")
    await bus.link.call("SET", f"{bus.namespace}:victim", "alive")
    key = bus.keys.holdings("evil")
    hostile = [
        b"",
        b"\xff\x00",
        b"[" * 10_000,
        msgspec.json.encode(GiveUp("state", [f"{bus.namespace}:victim"], ["a", "b"])),
        msgspec.json.encode(GiveUp("locks/release", ["other:victim", "b", "c"], ["alive", "x"])),
        msgspec.json.encode(GiveUp("lapse", [f"{bus.namespace}:victim"], ["x"])),
        msgspec.json.encode(GiveUp("lapse", [], [])),
    ]
    for number, raw in enumerate(hostile):
        await bus.link.call("HSET", key, f"n{number}", raw)
    with pytest.raises(LockLost, match="no longer held when it was released"):
        async with (lock := bus.lock("beat", ttl=60, wait=0)):
            # One good one among them is still given up.
            token = (await bus.link.call("GET", bus.keys.lock("beat"))).decode()
            call = GiveUp("locks/release", *lock._release_call(token))
            await bus.link.call("HSET", key, "good", msgspec.json.encode(call))
            # And none that would take a key along that is not of the lock.
            mixed = GiveUp("locks/release", [*call.keys[:-1], f"{bus.namespace}:victim"], call.args)
            await bus.link.call("HSET", key, "mixed", msgspec.json.encode(mixed))
            assert await settle(bus, "evil") == ["good"]
            assert await bus.link.call("GET", bus.keys.lock("beat")) is None
    assert await bus.link.call("GET", f"{bus.namespace}:victim") == b"alive"


async def test_a_lock_that_is_lost_by_death_cancels_its_block(bus: Bus) -> None:
    async with bus.join("holder", ttl=5.0):
        with anyio.fail_after(5), pytest.raises(LockLost, match="was given up"):
            async with bus.lock("beat", ttl=60):
                bus.holdings.declared_dead()
                await anyio.sleep_forever()


async def test_a_consumer_that_counted_as_dead_forgets_what_it_had_read_ahead(
    bus: Bus, redis_server: Any, namespace: str
) -> None:
    queue = bus.queue("jobs", int)
    async with bus.join("holder", ttl=5.0), queue.consume("workers", ttl=60) as stale:
        for number in range(5):
            await queue.put(number)
        await eventually(lambda: len(stale._prefetch.entries) == 5)
        async with Bus.connect(redis_server.url, namespace=namespace) as other:
            async with other.queue("jobs", int).consume("workers") as fresh:
                assert len(await settle(other, bus.holdings.estate)) == 1
                with anyio.fail_after(5):
                    for number in range(5):
                        async with await anext(fresh) as delivery:
                            assert delivery.body == number
                assert len(stale._prefetch.entries) == 5
                # Far sooner than its next heartbeat, which is due in 20 s.
                bus.holdings.declared_dead()
                await eventually(lambda: not stale._prefetch.entries, timeout=5)
