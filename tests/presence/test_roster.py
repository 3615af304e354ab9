"""The roster on a real Redis: nobody comes or goes unseen."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import anyio
import msgspec
import pytest

from bus import Bus, Presence
from bus.servers.link import TRANSIENT
from presence import Change, Changes, Roster
from tests.waiting import eventually

from .conftest import AgentProcess

pytestmark = pytest.mark.anyio


async def until(changes: Changes, kind: str, agent: str, *, timeout: float = 10.0) -> Change:
    with anyio.fail_after(timeout):
        async for change in changes:
            if (change.kind, change.agent) == (kind, agent):
                return change
    raise AssertionError(f"no {kind} of {agent}")


async def test_who_is_there_already_and_who_comes_and_goes(bus: Bus) -> None:
    async with bus.join("scout", role="researcher") as scout, Roster.watch(bus) as roster:
        assert roster.agents["scout"].presence == scout.presence
        changes = roster.changes()
        async with bus.join("writer") as writer:
            await until(changes, "joined", "writer")
            await writer.set_state(status="processing", activity="writing", mood="calm")
            changed = await until(changes, "changed", "writer")
            while changed.view is not None and changed.view.state.status != "processing":
                changed = await until(changes, "changed", "writer")
            assert roster.agents["writer"].state.mood == "calm"
        left = await until(changes, "left", "writer")
        assert left.view is not None
        assert left.view.presence == writer.presence
        assert set(roster.agents) == {"scout"}


async def test_every_reader_gets_every_change(bus: Bus) -> None:
    async with Roster.watch(bus) as roster:
        readers = [roster.changes() for _ in range(3)]
        async with bus.join("scout"):
            for reader in readers:
                await until(reader, "joined", "scout")
        for reader in readers:
            await until(reader, "left", "scout")


async def test_readers_end_with_the_roster(bus: Bus) -> None:
    async with Roster.watch(bus) as roster:
        changes = roster.changes()
    with anyio.fail_after(5):
        assert [change async for change in changes] == []


async def test_an_error_of_the_body_comes_out_as_itself(bus: Bus) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Roster.watch(bus):
            raise KeyError("mine")


async def test_a_killed_process_is_seen_within_its_ttl_and_a_second(
    bus: Bus, agent_process: Callable[..., AgentProcess]
) -> None:
    async with Roster.watch(bus) as roster:
        changes = roster.changes()
        process = agent_process("victim", ttl=1.0)
        joined = await until(changes, "joined", "victim")
        assert joined.view is not None
        assert joined.view.presence.pid == process.pid
        await until(changes, "changed", "victim")
        process.kill()
        killed = time.monotonic()
        expired = await until(changes, "expired", "victim")
        assert time.monotonic() - killed < 2.0
        assert expired.view is not None
        assert "victim" not in roster.agents


async def test_a_death_whose_event_was_trimmed_is_still_seen(bus: Bus) -> None:
    async with Roster.watch(bus) as roster:
        changes = roster.changes()
        async with bus.join("scout", ttl=1.0), bus.join("victim", ttl=1.0) as victim:
            await until(changes, "joined", "victim")
            # Dead without a trace: key, index entry and record are gone, and no event says so.
            bus.roll.exit(victim.instance)
            keys = bus.keys
            await bus.link.call("DEL", keys.presence("victim"), keys.presence_events)
            await bus.link.call("ZREM", keys.presence_index, "victim")
            await bus.link.call("HDEL", f"{keys.presence_index}:records", "victim")
            roster.check()
            expired = await until(changes, "expired", "victim")
            assert expired.cause is not None
            assert set(roster.agents) == {"scout"}


#: At once: one agent dies, another comes, and the events of both are lost.
UNSEEN = """
local key, index, records, events = unpack(KEYS)
local record = ARGV[1]
redis.call('SET', key, record, 'EX', 60)
redis.call('ZADD', index, 9e12, 'newcomer')
redis.call('HSET', records, 'newcomer', record)
redis.call('DEL', ARGV[2])
redis.call('ZREM', index, 'victim')
redis.call('HDEL', records, 'victim')
redis.call('XTRIM', events, 'MAXLEN', 0)
"""


async def test_what_happened_while_events_were_lost_is_found_out(
    own_redis: Any, namespace: str
) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace) as bus,
        bus.join("scout", ttl=1.0),
        bus.join("victim", ttl=1.0) as victim,
        Roster.watch(bus) as roster,
    ):
        changes = roster.changes()
        bus.roll.exit(victim.instance)
        keys, index = bus.keys, bus.keys.presence_index
        newcomer = msgspec.json.encode(Presence(instance="7", agent="newcomer"))
        places = [keys.presence("newcomer"), index, f"{index}:records", keys.presence_events]
        arguments = [newcomer, keys.presence("victim")]
        await bus.link.call("EVAL", UNSEEN, len(places), *places, *arguments)
        with contextlib.suppress(*TRANSIENT):
            await bus.link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
        await until(changes, "joined", "newcomer")
        await until(changes, "expired", "victim")
        assert set(roster.agents) == {"scout", "newcomer"}


async def test_a_redis_that_lost_its_data_is_not_taken_for_the_death_of_all(bus: Bus) -> None:
    async with Roster.watch(bus) as roster:
        changes = roster.changes()
        async with bus.join("scout", ttl=1.0):
            await until(changes, "joined", "scout")
            keys = [bus.keys.presence("scout"), bus.keys.presence_index, bus.keys.presence_events]
            await bus.link.call("DEL", *keys, f"{bus.keys.presence_index}:records")
            roster.check()
            await eventually(lambda: bus.link.call("EXISTS", bus.keys.presence("scout")))
            assert set(roster.agents) == {"scout"}
        # Had it been reported as dead in between, this would not be the next thing to be told.
        with anyio.fail_after(5):
            async for change in changes:
                if change.kind != "changed":
                    assert change.kind == "left"
                    break


async def test_it_goes_on_after_redis_was_killed(own_redis: Any, namespace: str) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace, ttl=2.0) as bus,
        Roster.watch(bus) as roster,
        bus.join("scout", ttl=2.0),
    ):
        changes = roster.changes()
        await eventually(lambda: "scout" in roster.agents)
        await anyio.to_thread.run_sync(own_redis.kill)
        await anyio.to_thread.run_sync(own_redis.start)
        async with bus.join("writer", ttl=2.0):
            await until(changes, "joined", "writer", timeout=20)
            await eventually(lambda: set(roster.agents) == {"scout", "writer"}, timeout=20)
        await until(changes, "left", "writer", timeout=20)


async def test_garbled_entries_do_not_stop_it(bus: Bus) -> None:
    keys = bus.keys
    async with Roster.watch(bus) as roster:
        changes = roster.changes()
        events, junk = keys.presence_events, b"\xff\x00\xfe<script>"
        await bus.link.call("XADD", events, "*", junk, junk)
        await bus.link.call("XADD", events, "*", "kind", "joined", "agent", junk, "presence", junk)
        await bus.link.call("XADD", events, "*", "kind", "changed", "agent", "x", "state", junk)
        await bus.link.call("XADD", events, "*", "kind", "expired", "agent", "nobody")
        await bus.link.call("HSET", f"{keys.presence_index}:records", "broken", junk)
        await bus.link.call("SET", keys.presence("broken"), junk)
        await bus.link.call("HSET", keys.state("scout"), junk, junk)
        async with bus.join("scout"):
            await until(changes, "joined", "scout")
            roster.check()
            await until(changes, "changed", "scout")
            assert set(roster.agents) == {"scout"}


async def test_who_is_stalled_is_told_and_told_again_when_it_gets_on(bus: Bus) -> None:
    async with Roster.watch(bus) as roster, bus.join("scout", stall_after=0.4) as scout:
        changes = roster.changes()
        stalled = await until(changes, "stalled", "scout")
        assert stalled.view is not None
        assert stalled.view.stalled
        assert [view.presence.agent for view in roster.find(stalled=True)] == ["scout"]
        async with Roster.watch(bus) as late:
            assert late.agents["scout"].stalled
        await scout.progress("page 3")
        resumed = await until(changes, "resumed", "scout")
        assert resumed.view is not None
        assert resumed.view.state.progress == "page 3"
        assert roster.find(stalled=True) == []


async def test_instances_come_and_go_by_themselves_and_are_found(bus: Bus) -> None:
    async with Roster.watch(bus) as roster:
        changes = roster.changes()
        async with bus.join("scout", shared=True, role="reviewer", capabilities=["sql"]) as one:
            async with bus.join("scout", shared=True, role="reviewer") as two:
                names = [f"scout#{agent.instance}" for agent in (one, two)]
                for name in names:
                    await until(changes, "joined", name)
                assert set(roster.agents) == set(names)
                await two.set_state(activity="two")
                await until(changes, "changed", names[1])
                assert len(roster.find("scout")) == len(roster.find(role="reviewer")) == 2
                assert roster.find(capabilities=["sql"]) == [roster.agents[names[0]]]
                assert roster.find("scout", role="writer") == []
            await until(changes, "left", names[1])
            assert set(roster.agents) == {names[0]}


async def test_an_expiry_says_why_and_what_became_of_what_was_held(
    bus: Bus, agent_process: Callable[..., AgentProcess]
) -> None:
    async with Roster.watch(bus) as roster:
        changes = roster.changes()
        agent_process("victim", ttl=0.7).kill()
        expired = await until(changes, "expired", "victim")
        assert expired.cause == "no heartbeat for 0.7 s: what it held is given up"
