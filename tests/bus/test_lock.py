"""Locks: one holder at a time, in order, with a growing fence, that notices its loss."""

import time
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import bus.locks.lease as bus_lease
from bus import Bus, LockLost, LockNotAcquired, ServerRefused
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


async def test_a_waiter_is_woken_and_does_not_poll(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.locks.lock.WAITER_TTL", 60.0)  # who is not woken looks every 20 s
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
        assert anyio.current_time() - released_at < 0.5


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


async def test_a_fence_is_above_what_the_holder_has_seen(bus: Bus) -> None:
    async with bus.lock("job", ttl=5) as lease:
        seen = lease.fence + 10**12
    async with bus.lock("job", ttl=5, above=seen) as lease:
        assert lease.fence == seen + 1
    async with bus.lock("job", ttl=5) as lease:
        assert lease.fence == seen + 2
    # From there on the fences could not grow, for anybody.
    for too_high in (2**53 - 1, 2**53 - 2, 2**52 + 1):
        with pytest.raises(ValueError, match=f"above is {too_high}: it must be from 0 to {2**52}"):
            bus.lock("job", above=too_high)
    async with bus.lock("high", above=2**52) as lease:
        assert lease.fence == 2**52 + 1
    async with bus.lock("high") as lease:
        assert lease.fence == 2**52 + 2


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


async def test_a_lock_that_a_foreign_hand_wrote_is_not_held_for_ever(bus: Bus) -> None:
    key = bus.keys.lock("beat")
    await bus.link.call("SET", key, "for ever")
    with pytest.raises(LockNotAcquired):
        async with bus.lock("beat", wait=0):
            pytest.fail("two holders")
    assert 0 < await bus.link.call("PTTL", key) <= 30_000


async def test_what_a_foreign_hand_wrote_beside_a_lock_does_not_stop_it(bus: Bus) -> None:
    key = bus.keys.lock("beat")
    await bus.link.call("SET", f"{key}:fence", "not a number")
    await bus.link.call("ZADD", f"{key}:waiters", 1, "nobody", 2, "", 3, ":x", 4, ":s")
    await bus.link.call("ZADD", f"{key}:sharers", 1, "gone:1:s")
    with anyio.fail_after(2):
        async with bus.lock("beat") as lease:
            assert lease.fence > 1_000_000
    await bus.link.call("SET", f"{key}:fence", "1e300")
    with pytest.raises(ServerRefused, match="foreign hand and cannot grow: delete it"):
        async with bus.lock("beat", wait=0):
            pytest.fail("a fence that does not grow")


async def test_a_waiter_without_a_sign_of_life_does_not_block_the_line(bus: Bus) -> None:
    key = bus.keys.lock("jammed")
    await bus.link.call("ZADD", f"{key}:waiters", 1, "nobody")
    await bus.link.call("SET", f"{key}:fence", "garbage")
    async with bus.lock("jammed", wait=2) as lease:
        assert lease.fence > 0


async def test_a_lock_can_be_used_again_but_not_twice_at_a_time(bus: Bus) -> None:
    lock = bus.lock("beat", ttl=5)
    async with lock as first:
        with pytest.raises(RuntimeError, match="in use"):
            async with lock:
                pytest.fail("reentered")
    async with lock as second:
        assert second.fence > first.fence


# leases


async def test_extending_makes_a_lease_last_through_a_busy_loop(bus: Bus) -> None:
    async with bus.lock("beat", ttl=0.3) as lease:
        await lease.extend(ttl=5)
        assert 4.5 < lease.remaining <= 5
        time.sleep(0.8)  # noqa: ASYNC251 (the thing under test: the event loop is blocked)
        lease.check()
        await lease.extend(ttl=0.3)
        await anyio.sleep(1)  # and is renewed at the new pace
        lease.check()
        assert lease.remaining <= 0.3
    with pytest.raises(LockLost, match="no longer held"):
        async with bus.lock("beat", ttl=5) as lease:
            await bus.link.call("DEL", bus.keys.lock("beat"))
            await lease.extend()


async def test_a_lease_whose_block_has_ended_says_so(bus: Bus) -> None:
    async with bus.lock("beat", ttl=60) as lease:
        lease.check()
        assert lease.remaining > 50
    assert lease.remaining == 0
    given_up = "lock beat .fence .* was given up: its block has ended"
    with pytest.raises(LockLost, match=given_up):
        lease.check()
    async with bus.lock("beat", ttl=60) as next_one:
        with pytest.raises(LockLost, match=given_up):
            await lease.extend()
        next_one.check()
    with pytest.raises(KeyError):
        async with bus.semaphore("gpu", permits=2) as permit:
            raise KeyError
    with pytest.raises(LockLost, match="given up"):
        permit.check()
    run = await bus.once_per("job", 3600).claim()
    assert run is not None
    run.lease.check()  # claimed, and to be entered
    async with run as lease:
        lease.check()
    with pytest.raises(LockLost, match="given up"):
        lease.check()
    with pytest.raises(LockLost, match="could not be renewed"):
        async with bus.lock("beat", ttl=0.2) as lost:
            time.sleep(0.3)  # noqa: ASYNC251 (the event loop is blocked)
    with pytest.raises(LockLost, match="could not be renewed"):
        lost.check()  # that is what became of it


async def test_who_blocks_the_loop_past_the_ttl_is_told(bus: Bus) -> None:
    passed = 0
    with pytest.raises(LockLost, match="could not be renewed"):
        async with bus.lock("beat", ttl=0.2) as lease:
            time.sleep(0.3)  # noqa: ASYNC251 (the thing under test: the event loop is blocked)
            with pytest.raises(LockLost, match="could not be renewed"):
                lease.check()
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
                passed += 1
    # Asyncio runs what is ready before it looks at the clock.
    assert passed <= 1
    with pytest.raises(LockLost):  # also who never awaits
        async with bus.lock("beat", ttl=0.2):
            time.sleep(0.3)  # noqa: ASYNC251 (the thing under test: the event loop is blocked)


async def test_a_reply_that_comes_after_the_lease_ran_out_does_not_revive_it(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bus.lock("warm", ttl=5):
        pass
    before = bus.link.run_once

    async def late(*args: Any) -> Any:
        reply = await before(*args)
        time.sleep(0.5)  # noqa: ASYNC251 (suspended between the server's reply and reading it)
        return reply

    with anyio.fail_after(5), pytest.raises(LockLost, match="could not be renewed"):
        async with bus.lock("beat", ttl=0.3):
            monkeypatch.setattr(bus.link, "run_once", late)
            began = anyio.current_time()
            try:
                await anyio.sleep_forever()
            finally:
                assert anyio.current_time() - began < 0.7
                monkeypatch.undo()


async def test_a_machine_that_slept_past_the_ttl_is_noticed(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    with anyio.fail_after(10), pytest.raises(LockLost, match="could not be renewed"):
        async with bus.lock("beat", ttl=30) as lease:
            await anyio.wait_all_tasks_blocked()  # its keeper sleeps until the next renewal
            # The event loop's timers stand still while the machine sleeps; this clock does not.
            before = bus_lease.lease_clock
            monkeypatch.setattr(bus_lease, "lease_clock", lambda: before() + 3600)
            with pytest.raises(LockLost):
                lease.check()
            began = anyio.current_time()
            try:
                await anyio.sleep_forever()
            finally:
                assert anyio.current_time() - began < 1.5


async def test_a_lock_that_was_lost_unnoticed_is_said_at_the_end(bus: Bus) -> None:
    with pytest.raises(LockLost, match="no longer held when it was released"):
        async with bus.lock("beat", ttl=30):
            await bus.link.call("DEL", bus.keys.lock("beat"))


async def test_a_release_that_has_to_be_repeated_is_not_a_loss(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bus.link.run_once
    cut = 0

    async def breaks(script: Any, *args: Any) -> Any:
        nonlocal cut
        reply = await before(script, *args)
        if script.name == "locks/release" and not cut:
            cut += 1
            raise ConnectionResetError("the reply is lost")
        return reply

    async with bus.lock("beat", ttl=30):
        monkeypatch.setattr(bus.link, "run_once", breaks)
    assert cut == 1
    async with bus.lock("beat", wait=0):
        pass


# shared and exclusive


async def test_readers_share_and_writers_do_not(bus: Bus) -> None:
    async with bus.lock("doc", shared=True) as one, bus.lock("doc", shared=True, wait=0) as two:
        assert two.fence > one.fence
        with pytest.raises(LockNotAcquired):
            async with bus.lock("doc", wait=0):
                pytest.fail("a writer beside readers")
    async with bus.lock("doc", wait=0) as three:
        assert three.fence > two.fence
        with pytest.raises(LockNotAcquired):
            async with bus.lock("doc", shared=True, wait=0):
                pytest.fail("a reader beside a writer")


async def test_readers_and_writers_are_served_in_turn(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.locks.lock.WAITER_TTL", 60.0)  # who is not woken looks every 20 s
    order: list[str] = []
    inside: set[str] = set()

    async def use(who: str) -> None:
        async with bus.lock("doc", shared=who[0] == "r"):
            inside.add(who)
            order.append(who)
            assert len(inside) == 1 or all(other[0] == "r" for other in inside)
            await anyio.sleep(0.02)
            inside.remove(who)

    line = ["w1", "r1", "r2", "r3", "w2", "r4", "r5", "w3"]
    async with anyio.create_task_group() as tasks:
        async with bus.lock("doc", shared=True):
            for n, who in enumerate(line):
                tasks.start_soon(use, who)

                async def in_line(n: int = n) -> bool:
                    return await waiting(bus, "doc") == n + 1

                await eventually(in_line)
            with pytest.raises(LockNotAcquired):  # not past the writers who wait
                async with bus.lock("doc", shared=True, wait=0):
                    pytest.fail("a reader that starves writers")
        began = anyio.current_time()
    assert anyio.current_time() - began < 10
    turns = [sorted(order[a:b]) for a, b in [(0, 1), (1, 4), (4, 5), (5, 7), (7, 8)]]
    assert turns == [["w1"], ["r1", "r2", "r3"], ["w2"], ["r4", "r5"], ["w3"]]


async def test_a_reader_that_died_does_not_keep_writers_out(bus: Bus) -> None:
    key = bus.keys.lock("doc")
    seconds, us = await bus.link.call("TIME")
    until = int(seconds) * 1000 + int(us) // 1000 + 400
    await bus.link.call("ZADD", f"{key}:sharers", until, "dead:1:s")
    with anyio.fail_after(3):
        async with bus.lock("doc"):
            seconds, us = await bus.link.call("TIME")
            assert int(seconds) * 1000 + int(us) // 1000 >= until


async def test_a_reader_whose_lease_was_lost_is_told(bus: Bus) -> None:
    with anyio.fail_after(5), pytest.raises(LockLost, match="no longer held"):
        async with bus.lock("doc", shared=True, ttl=0.3):
            await bus.link.call("DEL", bus.keys.lock("doc") + ":sharers")
            await anyio.sleep_forever()


async def test_three_hundred_readers_are_let_in_together(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.locks.lock.WAITER_TTL", 60.0)  # who is not woken looks every 20 s
    inside = 0

    async def read() -> None:
        nonlocal inside
        async with bus.lock("doc", shared=True):
            inside += 1
            await eventually(lambda: inside == 300)

    async def in_line() -> bool:
        return await waiting(bus, "doc") == 300

    async with anyio.create_task_group() as tasks:
        async with bus.lock("doc"):
            for _ in range(300):
                tasks.start_soon(read)
            await eventually(in_line)
            await anyio.sleep(0.5)  # each has looked once more, now that it can be woken


# several at once


async def test_several_locks_are_held_together_each_with_a_fence(bus: Bus) -> None:
    async with bus.locks("b", "a", "b") as leases:
        assert list(leases) == ["a", "b"]
        for name in "ab":
            with pytest.raises(LockNotAcquired):
                async with bus.lock(name, wait=0):
                    pytest.fail("two holders")
    async with bus.locks("a", "b", wait=0) as again:
        assert all(again[name].fence > leases[name].fence for name in "ab")
    with pytest.raises(ValueError, match="no locks"):
        async with bus.locks():
            pytest.fail("nothing held")


async def test_all_or_none(bus: Bus) -> None:
    async with bus.lock("c"):
        with pytest.raises(LockNotAcquired, match="lock c"):
            async with bus.locks("a", "b", "c", "d", wait=0.2):
                pytest.fail("two holders")
        async with bus.locks("a", "b", "d", wait=0):
            pass


async def test_who_takes_several_in_any_order_does_not_deadlock(bus: Bus) -> None:
    inside: set[str] = set()

    async def use(names: list[str]) -> None:
        for _ in range(10):
            async with bus.locks(*names):
                assert inside.isdisjoint(names)
                inside.update(names)
                await anyio.lowlevel.checkpoint()
                inside.difference_update(names)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for names in (["a", "b"], ["b", "a"], ["b", "c"], ["c", "a"], ["c", "b", "a"]):
                tasks.start_soon(use, names)


async def test_losing_one_of_several_cancels_the_block(bus: Bus) -> None:
    with anyio.fail_after(5), pytest.raises(LockLost, match="lock b .* no longer held"):
        async with bus.locks("a", "b", "c", ttl=0.3):
            await bus.link.call("DEL", bus.keys.lock("b"))
            await anyio.sleep_forever()
    async with bus.locks("a", "b", "c", wait=0):
        pass
