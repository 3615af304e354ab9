"""Semaphores: so many at a time, in order, and the permits of the dead come back."""

import anyio
import pytest

from bus import Bus, LockLost, LockNotAcquired
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_never_more_than_the_permits_and_in_order_of_arrival(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.locks.lock.WAITER_TTL", 60.0)  # who is not woken looks every 20 s
    order: list[int] = []
    fences: set[int] = set()
    inside, most = 0, 0

    async def use(n: int) -> None:
        nonlocal inside, most
        async with bus.semaphore("gpu", permits=3) as lease:
            inside += 1
            most = max(most, inside)
            order.append(n)
            fences.add(lease.fence)
            await eventually(lambda: most == 3)  # and let more in, if more there can be
            await anyio.sleep(0.01)
            inside -= 1

    async def in_line(n: int) -> bool:
        return int(await bus.link.call("ZCARD", bus.keys.semaphore("gpu") + ":waiters")) == n

    async with anyio.create_task_group() as tasks:
        async with (
            bus.semaphore("gpu", permits=3),
            bus.semaphore("gpu", permits=3),
            bus.semaphore("gpu", permits=3, wait=0),
        ):
            with pytest.raises(LockNotAcquired, match="semaphore gpu"):
                async with bus.semaphore("gpu", permits=3, wait=0):
                    pytest.fail("a fourth")
            for n in range(12):
                tasks.start_soon(use, n)
                await eventually(lambda n=n: in_line(n + 1))  # type: ignore[misc]
        began = anyio.current_time()
    assert anyio.current_time() - began < 10
    assert most == 3
    # Up to three enter side by side, so each comes within two places of its own.
    assert all(abs(place - n) <= 2 for place, n in enumerate(order))
    assert len(fences) == 12


async def test_the_permit_of_a_dead_holder_comes_back(bus: Bus) -> None:
    key = bus.keys.semaphore("gpu")
    seconds, us = await bus.link.call("TIME")
    until = int(seconds) * 1000 + int(us) // 1000 + 400
    await bus.link.call("ZADD", f"{key}:sharers", until, "dead:1:s", until + 60_000, "living:1:s")
    with anyio.fail_after(3):
        async with bus.semaphore("gpu", permits=2):
            assert await bus.link.call("ZSCORE", f"{key}:sharers", "dead:1:s") is None
    with pytest.raises(ValueError, match="permits is 0: it must be from 1"):
        bus.semaphore("gpu", permits=0)


async def test_a_permit_is_renewed_and_its_loss_cancels_the_block(bus: Bus) -> None:
    with anyio.fail_after(5), pytest.raises(LockLost, match="semaphore gpu .* no longer held"):
        async with bus.semaphore("gpu", permits=1, ttl=0.3) as lease:
            await anyio.sleep(0.8)  # the thing under test: longer than the TTL
            lease.check()
            with pytest.raises(LockNotAcquired):
                async with bus.semaphore("gpu", permits=1, wait=0):
                    pytest.fail("a second")
            await bus.link.call("DEL", bus.keys.semaphore("gpu") + ":sharers")
            await anyio.sleep_forever()
