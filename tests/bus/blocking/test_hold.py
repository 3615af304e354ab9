"""Blocks that end from within; processes that are killed, or stand still, while they hold some."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import pytest

from bus import LockLost, LockNotAcquired, MapSnapshot
from bus.blocking import Bus
from bus.blocking.hold import Hold
from tests.bus.blocking.waiting import eventually

# a block that is lost from within


class Block:
    """An async block that is cancelled from within when it is told to, and ends when it is told."""

    def __init__(self) -> None:
        self.lose = anyio.Event()
        self.end = anyio.Event()

    @asynccontextmanager
    async def entered(self) -> AsyncGenerator[str]:
        async def watch() -> None:
            await self.lose.wait()
            raise LockLost("it is another's")

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch)
                yield "held"
        except BaseExceptionGroup as errors:
            with anyio.CancelScope(shield=True):
                await self.end.wait()
            raise errors.exceptions[0] from None


async def _set(event: anyio.Event) -> None:
    event.set()


def test_that_a_block_is_lost_is_known_before_it_has_ended(bus: Bus) -> None:
    block = Block()
    hold = Hold(bus.portal, block.entered)
    told, late = threading.Event(), threading.Event()
    assert hold.enter() == "held"
    try:
        hold.when_over(told.set)
        assert (hold.lost, hold.left, told.is_set()) == (False, False, False)
        bus.portal.call(_set, block.lose)
        assert told.wait(5)
        assert (hold.lost, hold.left, hold.failure) == (True, False, None)
        hold.when_over(late.set)  # who comes now is told at once
        assert late.is_set()
    finally:
        bus.portal.call(_set, block.end)
    with pytest.raises(LockLost, match="another's"):
        hold.leave(None)
    assert hold.left


def test_a_lease_is_lost_when_its_process_was_declared_dead(bus: Bus) -> None:
    """Not by the clock, nor by a renewal, nor when the release has ended: those come much later."""
    known: list[bool] = []
    with pytest.raises(LockLost, match="declared dead"), bus.lock("beat", ttl=60) as lease:
        lease.check()
        with slow_release(bus):

            async def die() -> None:
                bus.over.holdings.declared_dead()

            bus.portal.call(die)
            eventually(lambda: lease.remaining == 0, timeout=2)
            try:
                lease.check()
            except LockLost as error:
                known.append("another may hold it" in str(error))
    assert known == [True]


@contextmanager
def slow_release(bus: Bus) -> Iterator[None]:
    """No answer comes to the release of a lock, for as long as the block lasts."""
    go_on = anyio.Event()
    run_once = bus.over.link.run_once

    async def slow(script: Any, *call: Any) -> Any:
        if script.name == "locks/release":
            await go_on.wait()
        return await run_once(script, *call)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bus.over.link, "run_once", slow)
        try:
            yield
        finally:
            bus.portal.call(_set, go_on)


# processes

HOLDER = """
import json, sys, time
from bus import LockLost
from bus.blocking import Bus
say = lambda **what: print(json.dumps(what), flush=True)
with Bus.connect(sys.argv[1], namespace=sys.argv[2], ttl=0.8) as bus:
    try:
        with bus.lock("beat", ttl=0.8) as lease:
            with bus.queue("jobs", int).consume("workers", prefetch=100) as deliveries:
                first = deliveries.receive()
                say(fence=lease.fence, has=first.body)
                sys.stdin.readline()
                while True:
                    try:
                        lease.check()
                    except LockLost:
                        say(lost=True)
                        break
    except LockLost as error:
        say(error=str(error))
"""


@contextmanager
def holding(url: str, namespace: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, url, namespace],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "it ended"
    return json.loads(line)


def take_all(bus: Bus, count: int) -> set[int]:
    with bus.queue("jobs", int).consume("workers") as deliveries:
        seen = set()
        while len(seen) < count:
            with deliveries.receive(timeout=10) as delivery:
                seen.add(delivery.body)
        return seen


def test_what_a_killed_holder_had_is_free_within_its_ttl_and_a_second(
    bus: Bus, redis_server: Any, namespace: str
) -> None:
    for n in range(30):
        bus.queue("jobs", int).put(n)
    with holding(redis_server.url, namespace) as process:
        fence = heard(process)["fence"]
        with pytest.raises(LockNotAcquired), bus.lock("beat", wait=0):
            pytest.fail("two holders")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        killed_at = time.monotonic()
        with bus.lock("beat", wait=10) as lease:
            assert time.monotonic() - killed_at < 0.8 + 1.0
            assert lease.fence > fence
        assert take_all(bus, 30) == set(range(30))
        assert time.monotonic() - killed_at < 0.8 + 1.0 + 1.0  # and our own work


def test_a_holder_that_stood_still_past_its_ttl_knows_when_it_wakes(
    bus: Bus, redis_server: Any, namespace: str
) -> None:
    for n in range(30):
        bus.queue("jobs", int).put(n)
    with holding(redis_server.url, namespace) as process:
        said = heard(process)
        process.send_signal(signal.SIGSTOP)
        with bus.lock("beat", wait=10) as lease:
            assert lease.fence > said["fence"]
            seen = take_all(bus, 30)  # what it had in hand included
            process.send_signal(signal.SIGCONT)
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert heard(process) == {"lost": True}
            assert "another may hold it" in heard(process)["error"]
            lease.check()
        assert seen == set(range(30))


def test_holders_outlive_a_redis_that_is_killed_and_comes_back(
    own_redis: Any, namespace: str
) -> None:
    with (
        Bus.connect(own_redis.url, namespace=namespace, ttl=5.0) as bus,
        ThreadPoolExecutor(2) as pool,
    ):
        plan, queue = bus.map("plan", int), bus.queue("jobs", int)
        with (
            bus.lock("beat", ttl=10) as lease,
            bus.election("planner") as election,
            plan.watch() as watch,
            queue.consume("workers") as deliveries,
            bus.join("scout"),
            bus.registry.events(after=bus.registry.snapshot().after) as events,
            election.lead(),
        ):
            first = watch.receive(timeout=5)
            assert isinstance(first, MapSnapshot)
            own_redis.kill()
            putting = [pool.submit(queue.put, 1), pool.submit(plan.put, "a", 1)]
            own_redis.start()
            for put in putting:
                put.result(20)
            with deliveries.receive(timeout=20) as delivery:
                assert delivery.body == 1
            change = watch.receive(timeout=20)
            assert not isinstance(change, MapSnapshot)
            assert change.key == "a"
            lease.extend()
            eventually(lambda: election.leading)
            with Bus.connect(own_redis.url, namespace=namespace) as other:
                with pytest.raises(LockNotAcquired), other.lock("beat", wait=0):
                    pytest.fail("two holders")
                with other.join("writer"):
                    assert next(e for e in events if e.kind == "joined").agent == "writer"
