"""Locks: one holder at a time, in order, with a growing fence, that notices its loss."""

import anyio
import pytest

from bus import Bus, LockLost, LockNotAcquired
from bus.lock import WAITER_TTL
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def waiting(bus: Bus, name: str) -> int:
    return int(await bus.link.call("ZCARD", bus.keys.lock(name) + ":waiters"))


async def test_one_holder_at_a_time_in_the_order_of_arrival(bus: Bus) -> None:
    order: list[int] = []
    fences: list[int] = []
    inside = 0

    async def hold(n: int) -> None:
        nonlocal inside
        async with bus.lock("beat", ttl=5) as lease:
            inside += 1
            assert inside == 1
            order.append(n)
            fences.append(lease.fence)
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as tasks:
        async with bus.lock("beat", ttl=5):
            for n in range(8):
                tasks.start_soon(hold, n)

                async def in_line(n: int = n) -> bool:
                    return await waiting(bus, "beat") == n + 1

                await eventually(in_line)
    assert order == list(range(8))
    assert fences == sorted(set(fences))


async def test_a_waiter_is_woken_and_does_not_poll(bus: Bus) -> None:
    got_it = anyio.Event()

    async def wait() -> None:
        async with bus.lock("beat", ttl=30):
            got_it.set()

    async with anyio.create_task_group() as tasks:
        async with bus.lock("beat", ttl=30):
            tasks.start_soon(wait)

            async def in_line() -> bool:
                return await waiting(bus, "beat") == 1

            await eventually(in_line)
            # Let the wait begin in earnest, past its first look.
            await anyio.sleep(0.05)
        released_at = anyio.current_time()
        await got_it.wait()
        assert anyio.current_time() - released_at < WAITER_TTL / 6


async def test_without_patience_it_is_refused_at_once(bus: Bus) -> None:
    async with bus.lock("beat", ttl=5):
        with pytest.raises(LockNotAcquired, match="held by somebody else"):
            async with bus.lock("beat", ttl=5, wait=0):
                pytest.fail("two holders")
        with anyio.fail_after(3), pytest.raises(LockNotAcquired):
            async with bus.lock("beat", ttl=5, wait=0.1):
                pytest.fail("two holders")
    assert await waiting(bus, "beat") == 0


async def test_a_lease_is_renewed_for_as_long_as_it_is_held(bus: Bus) -> None:
    async with bus.lock("beat", ttl=0.3) as lease:
        await anyio.sleep(1.2)  # the thing under test: four TTLs
        assert lease.remaining > 0
        with pytest.raises(LockNotAcquired):
            async with bus.lock("beat", ttl=1, wait=0):
                pytest.fail("two holders")


async def test_a_lease_that_is_anothers_cancels_the_body(bus: Bus) -> None:
    reached_the_end = False
    with anyio.fail_after(5), pytest.raises(LockLost, match="no longer held"):
        async with bus.lock("beat", ttl=0.3):
            await bus.link.call("SET", bus.keys.lock("beat"), "a stranger")
            await anyio.sleep_forever()
            reached_the_end = True
    assert not reached_the_end
    assert await bus.link.call("GET", bus.keys.lock("beat")) == b"a stranger"


async def test_a_lease_that_cannot_be_renewed_is_lost_before_it_has_run_out(
    own_redis: "object", namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:  # type: ignore[attr-defined]
        with anyio.fail_after(20), pytest.raises(LockLost, match="could not be renewed"):
            async with bus.lock("beat", ttl=1.0) as lease:
                own_redis.freeze()  # type: ignore[attr-defined]
                try:
                    await anyio.sleep_forever()
                finally:
                    left = lease.remaining
                    own_redis.thaw()  # type: ignore[attr-defined]
        assert left > 0


async def test_the_bodys_own_error_comes_out_as_it_is(bus: Bus) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with bus.lock("beat", ttl=5):
            raise KeyError("mine")
    async with bus.lock("beat", ttl=5, wait=0):
        pass


async def test_a_crashed_waiter_is_passed_over(bus: Bus) -> None:
    key = bus.keys.lock("beat")
    async with bus.lock("beat", ttl=5):
        await bus.link.call("ZADD", f"{key}:waiters", 1, "dead:waiter")
        await bus.link.call("ZADD", f"{key}:alive", 1, "dead:waiter")
    with anyio.fail_after(2):
        async with bus.lock("beat", ttl=5):
            pass


async def test_the_fence_grows_although_the_counter_was_lost(bus: Bus) -> None:
    async with bus.lock("beat", ttl=5) as lease:
        before = lease.fence
    await bus.link.call("DEL", bus.keys.lock("beat") + ":fence")
    async with bus.lock("beat", ttl=5) as lease:
        assert lease.fence > before


async def test_a_fence_ahead_of_the_clock_still_grows(bus: Bus) -> None:
    ahead = 4_000_000_000_000_000
    await bus.link.call("SET", bus.keys.lock("beat") + ":fence", ahead)
    async with bus.lock("beat", ttl=5) as lease:
        assert lease.fence == ahead + 1


async def test_a_cancelled_waiter_leaves_the_line(bus: Bus) -> None:
    async with bus.lock("beat", ttl=5):
        with anyio.move_on_after(0.2):
            async with bus.lock("beat", ttl=5):
                pytest.fail("two holders")
        assert await waiting(bus, "beat") == 0


async def test_a_lock_survives_broken_connections(bus: Bus) -> None:
    async with bus.lock("beat", ttl=1.0) as lease:
        for _ in range(20):
            await bus.link.retrying(lambda: bus.link.call("CLIENT", "KILL", "TYPE", "NORMAL"))
            before = lease.remaining
            await eventually(lambda before=before: lease.remaining != before)  # type: ignore[misc]
    assert lease.remaining > 0


async def test_a_fence_is_above_what_the_holder_has_seen(bus: Bus) -> None:
    async with bus.lock("job", ttl=5) as lease:
        seen = lease.fence + 10**12
    async with bus.lock("job", ttl=5, above=seen) as lease:
        assert lease.fence == seen + 1
    async with bus.lock("job", ttl=5) as lease:
        assert lease.fence == seen + 2


async def test_a_waiter_without_a_sign_of_life_does_not_block_the_line(bus: Bus) -> None:
    key = bus.keys.lock("jammed")
    await bus.link.call("ZADD", f"{key}:waiters", 1, "nobody")
    await bus.link.call("SET", f"{key}:fence", "garbage")
    async with bus.lock("jammed", wait=2) as lease:
        assert lease.fence > 0
