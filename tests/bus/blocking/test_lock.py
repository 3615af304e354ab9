"""Locks, presence and the end of things: what a thread holds is renewed, lost, and given up."""

import gc
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from bus import (
    AgentAlreadyPresent,
    BusUnavailable,
    InvalidName,
    LockLost,
    LockNotAcquired,
    PresenceLost,
)
from bus import Bus as AsyncBus
from bus.blocking import Bus
from tests.bus.blocking.waiting import eventually


def call(bus: Bus, *command: Any) -> Any:
    return bus.portal.call(bus.over.link.call, *command)


def test_a_lock_is_renewed_while_the_thread_is_busy_and_excludes_others(bus: Bus) -> None:
    with bus.lock("beat", ttl=0.3) as lease:
        first = lease.over._expires_at
        eventually(lambda: lease.over._expires_at > first + 3 * 0.3)  # whatever this thread does
        lease.check()
        assert 0 < lease.remaining <= 0.3
        with pytest.raises(LockNotAcquired):
            with bus.lock("beat", wait=0):
                pytest.fail("two holders")
    with bus.lock("beat", wait=0) as later:
        assert later.fence > lease.fence


def test_threads_take_turns(bus: Bus) -> None:
    inside: list[int] = []

    def hold(n: int) -> None:
        with bus.lock("beat", ttl=5) as lease:
            inside.append(n)
            assert inside == [n]
            lease.check()
            inside.remove(n)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, range(16)))


def test_a_lost_lease_is_told_when_asked_and_on_leaving(bus: Bus) -> None:
    with pytest.raises(LockLost, match="no longer held"):
        with bus.lock("beat", ttl=0.3) as lease:
            call(bus, "SET", bus.over.keys.lock("beat"), "a stranger")
            eventually(lambda: lease.remaining == 0)
            with pytest.raises(LockLost):
                lease.check()
    with pytest.raises(LockLost) as caught, bus.lock("other", ttl=0.3) as lease:
        call(bus, "SET", bus.over.keys.lock("other"), "a stranger")
        eventually(lambda: lease.remaining == 0)
        raise KeyError("mine")
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_lease_that_cannot_be_renewed_is_told_while_redis_is_silent(
    own_redis: Any, namespace: str
) -> None:
    with Bus.connect(own_redis.url, namespace=namespace, patience=2.0) as bus:
        with pytest.raises(LockLost), bus.lock("beat", ttl=1.0) as lease:
            own_redis.freeze()
            try:
                lost_by = time.monotonic() + 1.0
                eventually(lambda: lease.remaining == 0, timeout=3)
                assert time.monotonic() < lost_by + 0.3
                with pytest.raises(LockLost):
                    lease.check()
            finally:
                own_redis.thaw()


def test_the_same_lock_excludes_the_async_bus(bus: Bus, redis_server: Any, namespace: str) -> None:
    async def attempt() -> bool:
        async with AsyncBus.connect(redis_server.url, namespace=namespace) as there:
            try:
                async with there.lock("beat", wait=0):
                    with pytest.raises(LockNotAcquired), bus.lock("beat", wait=0):
                        pass
                    return True
            except LockNotAcquired:
                return False

    with ThreadPoolExecutor(1) as pool:
        with bus.lock("beat"):
            assert pool.submit(anyio.run, attempt).result(10) is False
        assert pool.submit(anyio.run, attempt).result(10) is True


def test_an_agent_is_present_once_beats_and_is_told_of_a_takeover(
    bus: Bus, redis_server: Any, namespace: str
) -> None:
    with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0) as other:
        with pytest.raises(PresenceLost), bus.join("scout") as scout:
            index = bus.over.keys.presence_index
            until = float(call(bus, "ZSCORE", index, "scout"))
            eventually(lambda: float(call(bus, "ZSCORE", index, "scout")) > until + 1500)
            with pytest.raises(AgentAlreadyPresent), other.join("scout"):
                pytest.fail("twice")
            scout.check()
            with other.join("scout", takeover=True):
                assert list(scout.inbox()) == []  # its end
                with pytest.raises(PresenceLost):
                    scout.check()


def test_an_error_in_the_block_leaves_everything(bus: Bus) -> None:
    for error in (KeyError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            with bus.join("scout"), bus.lock("beat"):
                raise error
        assert bus.registry.snapshot().agents == {}
        with bus.lock("beat", wait=0):
            pass


def test_closing_leaves_what_other_threads_hold(redis_server: Any, namespace: str) -> None:
    bus = Bus.connect(redis_server.url, namespace=namespace)
    held, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with bus.join("scout"), bus.lock("beat"), bus.queue("jobs", int).consume("a") as deliveries:
            held.set()
            assert list(deliveries) == []
            ended.set()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    bus.close()
    bus.close()
    assert ended.wait(5)
    thread.join(5)
    with pytest.raises(BusUnavailable, match="closed"):
        bus.queue("jobs", int).put(1)
    with pytest.raises(BusUnavailable, match="closed"), bus.lock("beat"):
        pass
    with Bus.connect(redis_server.url, namespace=namespace) as later:
        assert later.registry.snapshot().agents == {}
        with later.lock("beat", wait=0):
            pass


def test_what_cannot_be_is_refused(redis_server: Any, namespace: str) -> None:
    before = threading.active_count()
    with pytest.raises(BusUnavailable):
        Bus.connect("redis://127.0.0.1:1", patience=0.1)
    with pytest.raises(InvalidName):
        Bus.connect(redis_server.url, namespace="{}")
    assert threading.active_count() == before
    with Bus.connect(redis_server.url, namespace=namespace) as bus:
        for make in (lambda: bus.lock("{}"), lambda: bus.topic("{}", str), lambda: bus.log("{}")):
            with pytest.raises(InvalidName):
                make()
        with pytest.raises(InvalidName), bus.join("{}"):
            pass


def test_a_bus_that_nobody_has_warns_and_is_closed(redis_server: Any, namespace: str) -> None:
    def portals() -> int:
        return [thread.name for thread in threading.enumerate()].count("argentbus")

    held = []

    def collect() -> None:
        held.clear()
        gc.collect()

    before = portals()
    held.append(Bus.connect(redis_server.url, namespace=namespace))
    assert portals() == before + 1
    with pytest.warns(ResourceWarning, match="unclosed blocking"):
        collect()
    eventually(lambda: portals() == before)


DYING = """
import sys, time
from bus.blocking import Bus

with Bus.connect(sys.argv[1], namespace=sys.argv[2]) as bus:
    with bus.join("holder", ttl=1.0), bus.lock("beat", ttl=60):
        print("holds", flush=True)
        time.sleep(60)
"""


def test_a_thread_that_only_waits_finds_out_that_the_holder_died(
    redis_server: Any, namespace: str
) -> None:
    argv = [sys.executable, "-c", DYING, redis_server.url, namespace]
    with (
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process,
        Bus.connect(redis_server.url, namespace=namespace, ttl=60) as alone,
        ThreadPoolExecutor() as pool,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "holds\n"

            def wait() -> float:
                with alone.lock("beat", wait=30):
                    return time.monotonic()

            got = pool.submit(wait)
            waiters = alone.over.keys.lock("beat") + ":waiters"
            eventually(lambda: call(alone, "ZCARD", waiters))
            process.kill()
            killed = time.monotonic()
            assert got.result(20) - killed < 2.0
        finally:
            process.kill()
