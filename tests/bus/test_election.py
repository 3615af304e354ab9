"""Elections: one leader, and word of every change."""

from itertools import pairwise
from typing import Any

import anyio
import pytest

from bus import Bus, Election, Leader, LockLost, LockNotAcquired
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_the_leader_is_known_to_all_and_followed_by_the_next(
    bus: Bus, redis_server: Any, namespace: str
) -> None:
    async with (
        Bus.connect(redis_server.url, namespace=namespace) as elsewhere,
        bus.election("planner", candidate="scout") as one,
        elsewhere.election("planner", candidate="writer") as two,
        elsewhere.election("planner") as watcher,
    ):
        changes = watcher.changes()
        assert watcher.leader is None
        done = anyio.Event()

        async def lead(election: Election) -> None:
            async with election.lead() as lease:
                await eventually(lambda: election.leading)
                assert election.leader is not None
                assert election.leader.fence == lease.fence
                await done.wait()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lead, one)
            await eventually(lambda: watcher.leader is not None)
            assert watcher.leader is not None
            assert (watcher.leader.candidate, watcher.leader.instance) == ("scout", bus.instance)
            assert not two.leading
            with pytest.raises(LockNotAcquired, match="election planner"):
                async with two.lead(wait=0):
                    pytest.fail("two leaders")
            tasks.start_soon(lead, two)
            key = bus.keys.election("planner")

            async def stands() -> bool:
                return int(await bus.link.call("ZCARD", f"{key}:waiters")) == 1

            await eventually(stands)
            done.set()
        await eventually(lambda: watcher.leader is None, timeout=3)  # told, not looked
        seen = []
        with anyio.fail_after(5):
            async for change in changes:
                seen.append(change)
                if change.leader is None and change.previous.candidate == "writer":
                    break
        leaders = [c.leader.candidate for c in seen if c.leader]
        assert leaders == ["scout", "writer"]
        assert seen[0].previous is None
        assert all(a.leader == b.previous for a, b in pairwise(seen))
        fences = [c.leader.fence for c in seen if c.leader]
        assert fences == sorted(fences)


async def test_who_comes_later_knows_the_leader(bus: Bus) -> None:
    async with bus.election("planner", candidate="scout") as one, one.lead() as lease:
        async with bus.election("planner") as later:
            assert later.leader == Leader("scout", bus.instance, lease.fence)


async def test_a_leader_that_died_is_no_leader_after_its_ttl(
    bus: Bus, redis_server: Any, namespace: str
) -> None:
    async with bus.election("planner") as election:
        changes = election.changes()
        async with Bus.connect(redis_server.url, namespace=namespace) as other:
            async with other.election("planner", candidate="dead", ttl=60) as dying:
                async with dying.lead():
                    with anyio.fail_after(2):
                        assert (await anext(changes)).leader is not None
                    # As if it had been killed: no renewal, and no word.
                    key = bus.keys.election("planner")
                    token = await bus.link.call("GET", key)
                    await bus.link.call("SET", key, token, "PX", 300)
                    election.gap()
                    with anyio.fail_after(2):
                        change = await anext(changes)
                    assert change.leader is None
                    assert change.previous is not None
                    assert change.previous.candidate == "dead"
                    await bus.link.call("SET", key, token, "PX", 60_000)


async def test_losing_the_office_cancels_the_block(bus: Bus) -> None:
    async with bus.election("planner", ttl=0.3) as election:
        with anyio.fail_after(5), pytest.raises(LockLost, match="election planner"):
            async with election.lead():
                await bus.link.call("DEL", bus.keys.election("planner"))
                await anyio.sleep_forever()
        await eventually(lambda: election.leader is None)


async def test_a_garbled_note_is_no_leader(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    key = bus.keys.election("planner")
    await bus.link.call("SET", key, "x", "PX", 60_000)
    for note in (b"\xff", b"1 {}", b"x {", b'1 {"candidate":1}', b"1 []"):
        await bus.link.call("SET", f"{key}:note", note)
        async with bus.election("planner") as election:
            assert election.leader is None
    assert "garbled" in caplog.text


async def test_elections_are_followed_over_an_outage(own_redis: Any, namespace: str) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace) as bus,
        bus.election("planner", candidate="scout", ttl=10) as election,
    ):
        changes = election.changes()
        async with election.lead():
            assert (await anext(changes)).leader is not None
            own_redis.kill()
            own_redis.start()
        with anyio.fail_after(10):
            assert (await anext(changes)).leader is None
