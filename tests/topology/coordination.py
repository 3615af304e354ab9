"""What the bus promises of locks, jobs, elections and shared maps: a part of `acceptance`."""

from typing import Any

import anyio

from bus import ABSENT, Bus, MapChange, MapSnapshot, StaleVersion
from tests.waiting import eventually


async def locks(one: Bus, other: Bus) -> None:
    """Readers share, several are held together, permits are counted, waiters are woken."""
    async with one.lock("doc", shared=True), other.lock("doc", shared=True, wait=0):
        pass
    async with one.locks("red", "green", "blue") as leases:
        assert list(leases) == ["blue", "green", "red"]
    entered = anyio.Event()

    async def enter() -> None:
        async with other.semaphore("gpu", permits=1):
            entered.set()

    async with anyio.create_task_group() as tasks:
        async with one.semaphore("gpu", permits=1):
            tasks.start_soon(enter)
            waiters = f"{one.keys.semaphore('gpu')}:waiters"

            async def in_line() -> bool:
                return bool(await one.link.call("ZCARD", waiters))

            await eventually(in_line)
        with anyio.fail_after(0.8):  # by itself it would look again after a second
            await entered.wait()


async def jobs(one: Bus, other: Bus) -> None:
    """A period has one run, and an election one leader, of whom all hear."""
    runs = [await bus.once_per("beat", 3600).claim() for bus in (one, other)]
    assert sum(run is not None for run in runs) == 1
    async with one.election("planner", candidate="scout") as mine:
        async with other.election("planner") as watching:
            changes = watching.changes()
            async with mine.lead() as lease:
                with anyio.fail_after(5):
                    leader = (await anext(changes)).leader
                assert leader is not None
                assert (leader.candidate, leader.fence) == ("scout", lease.fence)
            with anyio.fail_after(5):
                assert (await anext(changes)).leader is None


async def maps(one: Bus, other: Bus) -> None:
    """A stale write is refused, a key expires once, and a watch tells it all in order."""
    plan, theirs = one.map("plan", str), other.map("plan", str)
    async with theirs.watch() as watch:
        first = await plan.put("step", "dig", if_version=ABSENT)
        second = await theirs.put("step", "sow", if_version=first.version)
        try:
            await plan.put("step", "reap", if_version=first.version)
        except StaleVersion as stale:
            assert stale.current == second
        else:
            raise AssertionError("overwritten")
        await plan.put("draft", "x", ttl=0.3)
        assert {entry.key async for entry in theirs.entries()} == {"step", "draft"}
        items: list[Any] = []
        with anyio.fail_after(10):
            while len(items) < 5:
                items.append(await anext(watch))
        assert isinstance(items[0], MapSnapshot)
        changes = [(c.kind, c.key) for c in items[1:] if isinstance(c, MapChange)]
        assert changes == [("put", "step")] * 2 + [("put", "draft"), ("expired", "draft")]
        assert await plan.delete("step", if_version=second.version)
