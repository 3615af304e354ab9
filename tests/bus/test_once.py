"""Jobs that a fleet runs once a period."""

import contextlib
from collections import Counter
from typing import Any

import anyio
import pytest

from bus import Bus, LockLost, OncePer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def server_ms(bus: Bus) -> int:
    seconds, us = await bus.link.call("TIME")
    return int(seconds) * 1000 + int(us) // 1000


async def test_a_fleet_runs_each_period_once(redis_server: Any, namespace: str) -> None:
    runs: Counter[int] = Counter()
    fences: list[int] = []
    runners: set[int] = set()

    async def runner(n: int) -> None:
        async with Bus.connect(redis_server.url, namespace=namespace) as bus:
            async for run in bus.once_per("beat", 0.3):
                async with run as lease:
                    runs[run.slot] += 1
                    fences.append(lease.fence)
                    runners.add(n)
                    late = await server_ms(bus) / 1000 - run.due
                    assert -0.001 <= late < 0.3 + 1e-6  # as exact as a float of the epoch

    async with anyio.create_task_group() as tasks:
        for n in range(8):
            tasks.start_soon(runner, n)
        await eventually(lambda: len(runs) >= 6)
        tasks.cancel_scope.cancel()
    slots = sorted(runs)
    assert slots == list(range(slots[0], slots[-1] + 1)), "a period without a run"
    assert set(runs.values()) == {1}
    assert fences == sorted(set(fences))


async def test_one_look_does_not_wait(bus: Bus) -> None:
    once = bus.once_per("beat", 3600)
    run = await once.claim()
    assert run is not None
    async with run:
        assert await once.claim() is None
    assert await bus.once_per("beat", 3600).claim() is None
    for period in (0, -1, 1e9):
        with pytest.raises(ValueError, match="must be"):
            bus.once_per("beat", period)
    with pytest.raises(ValueError, match="attempts is 0: it must be from 1"):
        bus.once_per("beat", 1, attempts=0)


async def test_a_failed_run_is_not_tried_again_unless_that_is_asked_for(bus: Bus) -> None:
    once = bus.once_per("beat", 3600)
    run = await once.claim()
    assert run is not None
    with pytest.raises(KeyError, match="mine"):
        async with run:
            raise KeyError("mine")
    assert await once.claim() is None

    twice = bus.once_per("other", 3600, attempts=2)
    attempts: list[int] = []
    began = anyio.current_time()
    with anyio.fail_after(10):
        while len(attempts) < 2:
            run = await anext(twice)
            with pytest.raises(KeyError):
                async with run:
                    attempts.append(run.attempt)
                    raise KeyError("mine")
    assert attempts == [1, 2]
    assert anyio.current_time() - began > 0.9  # after a pause
    assert await twice.claim() is None


async def test_a_dead_runner_is_followed_only_where_that_is_asked_for(
    bus: Bus, redis_server: Any, namespace: str
) -> None:
    """A runner is as good as dead that has claimed and does not renew."""
    for attempts, follower in ((1, None), (2, 2)):
        once = bus.once_per(f"beat{attempts}", 3600, attempts=attempts, ttl=0.3)
        dead = await once.claim()
        assert dead is not None
        assert await once.claim() is None
        found: list[int] = []
        with anyio.move_on_after(1.5):
            async for run in once:
                async with run:
                    found.append(run.attempt)
        assert found == ([follower] if follower else [])
        with pytest.raises(LockLost):
            async with dead:
                await anyio.sleep_forever()
        # The one that came back from the dead does not undo what the other did.
        assert await once.claim() is None


async def test_a_run_that_takes_longer_than_its_period_is_not_joined_by_another(bus: Bus) -> None:
    inside, most = 0, 0
    slots: list[int] = []

    async def runner() -> None:
        nonlocal inside, most
        async for run in bus.once_per("beat", 0.2):
            async with run:
                slots.append(run.slot)
                inside += 1
                most = max(most, inside)
                await anyio.sleep(0.5)
                inside -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(runner)
        await eventually(lambda: len(slots) >= 4)
        tasks.cancel_scope.cancel()
    assert most == 1
    assert slots == sorted(set(slots))


async def test_a_claim_whose_reply_nobody_awaits_any_more_is_given_back(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bus.link.run_once

    async def slow(script: Any, *args: Any) -> Any:
        reply = await before(script, *args)
        if script.name == "locks/once_claim":
            tasks.cancel_scope.cancel()
            await anyio.sleep_forever()
        return reply

    once: OncePer = bus.once_per("beat", 3600)
    async with anyio.create_task_group() as tasks:
        monkeypatch.setattr(bus.link, "run_once", slow)
        await once.claim()
    monkeypatch.undo()
    assert await once.claim() is not None


async def test_the_clock_set_back_a_little_does_not_run_a_period_again(bus: Bus) -> None:
    once = bus.once_per("beat", 60)
    now = await server_ms(bus)
    key = bus.keys.once("beat")
    slot = now // 60_000
    await bus.link.call("HSET", key, "slot", slot + 2, "state", "done", "attempt", 1)
    assert await once.claim() is None
    # By a year: the clock was wrong then, and the job is not left undone until it is right.
    await bus.link.call("HSET", key, "slot", slot + 525_600)
    assert await once.claim() is not None
    await bus.link.call("HSET", key, "slot", "x", "state", "x", "until", "x", "attempt", "x")
    assert await once.claim() is not None


async def test_a_claim_that_came_late_is_as_good_as_new(own_redis: Any, namespace: str) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        once = bus.once_per("beat", 3600, ttl=0.4)
        own_redis.kill()
        async with anyio.create_task_group() as tasks:

            async def claim() -> None:
                run = await once.claim()
                assert run is not None
                assert run.lease.remaining > 0.1
                async with run:
                    pass
                async with bus.lock("beat", ttl=0.4) as lease:
                    assert lease.remaining > 0.1

            tasks.start_soon(claim)
            await anyio.sleep(0.6)  # the thing under test: longer than the TTL
            own_redis.start()


async def test_it_goes_on_after_redis_was_away(own_redis: Any, namespace: str) -> None:
    slots: list[int] = []
    async with Bus.connect(own_redis.url, namespace=namespace, patience=0.2) as bus:

        async def runner() -> None:
            async for run in bus.once_per("beat", 0.2):
                slots.append(run.slot)
                with contextlib.suppress(LockLost):
                    async with run:
                        pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner)
            await eventually(lambda: len(slots) >= 2)
            own_redis.kill()
            await anyio.sleep(0.5)  # the thing under test: longer than the bus is patient
            own_redis.start()
            before = len(slots)
            await eventually(lambda: len(slots) >= before + 2)
            tasks.cancel_scope.cancel()
    assert slots == sorted(set(slots))
