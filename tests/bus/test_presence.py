"""Presence: who is here, who left, who is gone; each told once."""

import logging
import time
from typing import Any

import anyio
import msgspec
import pytest

from bus import (
    AgentAlreadyPresent,
    Bus,
    EventsMissed,
    InvalidName,
    Presence,
    PresenceEvent,
    PresenceLost,
)
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def events_so_far(bus: Bus, *, after: str = "0-0", until: str) -> list[PresenceEvent]:
    seen = []
    with anyio.fail_after(10):
        async for event in bus.registry.events(after=after):
            seen.append(event)
            if event.kind == until:
                return seen
    raise AssertionError


async def test_an_agent_is_present_while_it_is_joined(bus: Bus) -> None:
    async with bus.join("scout", role="researcher") as agent:
        snapshot = await bus.registry.snapshot()
        assert snapshot.agents == {"scout": agent.presence}
        assert snapshot.agents["scout"].role == "researcher"
        assert snapshot.states["scout"].status == "idle"
    snapshot = await bus.registry.snapshot()
    assert snapshot.agents == {}
    kinds = [event.kind for event in await events_so_far(bus, until="left")]
    assert kinds == ["joined", "changed", "left"]


async def test_state_is_changed_in_part_and_watched(bus: Bus) -> None:
    async with bus.join("scout") as agent:
        await agent.set_state(status="processing", activity="indexing", mood="calm", files=3)
        await agent.set_state(mood=None, files=None, arousal=0.5)
        state = (await bus.registry.states(["scout"]))["scout"]
        assert (state.status, state.activity, state.mood) == ("processing", "indexing", None)
        assert (state.arousal, state.fields) == (0.5, {})
        assert state == agent.state
        for wrong in ({"status": "asleep"}, {"valence": 3}, {"arousal": -0.1}):
            with pytest.raises(ValueError, match=r"use one of|goes from"):
                await agent.set_state(**wrong)
    assert (await bus.registry.states(["scout"]))["scout"].status == "offline"


async def test_a_second_join_is_refused_and_says_where_the_first_is(bus: Bus) -> None:
    async with bus.join("scout"):
        with pytest.raises(AgentAlreadyPresent, match=r"process \d+.*takeover=True"):
            async with bus.join("scout"):
                pytest.fail("joined twice")


async def test_who_is_taken_over_is_told_and_stops(bus: Bus) -> None:
    first_joined = anyio.Event()
    told = anyio.Event()

    async def first() -> None:
        with pytest.raises(PresenceLost, match="taken over"):
            async with bus.join("scout", ttl=0.5):
                first_joined.set()
                await anyio.sleep_forever()
        told.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await first_joined.wait()
        async with bus.join("scout", takeover=True) as second:
            with anyio.fail_after(5):
                await told.wait()
            snapshot = await bus.registry.snapshot()
            assert snapshot.agents["scout"].instance == second.instance
            assert snapshot.states["scout"].status == "idle"
    causes = [event.cause for event in await events_so_far(bus, until="left")]
    assert "taken over" in causes


async def test_a_silent_agent_expires_within_its_ttl_and_a_second_once(
    bus: Bus, redis_server: Any, namespace: str
) -> None:
    async with Bus.connect(redis_server.url, namespace=namespace) as watcher:
        await watcher.registry.snapshot()  # from here on both processes reap
        async with bus.join("scout", ttl=1.0) as agent:
            bus.roll.exit(agent.instance)
            silent_since = anyio.current_time()

            async def gone() -> bool:
                return not (await watcher.registry.snapshot()).agents

            await eventually(gone)
            assert anyio.current_time() - silent_since < 2.0
            await eventually(lambda: _offline(watcher))
    seen = await events_so_far(bus, until="expired")
    assert [event.kind for event in seen].count("expired") == 1
    [expired] = [event for event in seen if event.kind == "expired"]
    assert expired.presence is not None
    assert expired.cause == "no heartbeat for 1 s: what it held is given up"


async def _offline(bus: Bus) -> bool:
    return (await bus.registry.states(["scout"]))["scout"].status == "offline"


async def test_an_agent_whose_key_was_lost_joins_again(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL, "argentbus"):
        async with bus.join("scout", ttl=0.6) as agent:
            for key in (bus.keys.presence("scout"), bus.keys.presence_index):
                await bus.link.call("DEL", key)

            async def back() -> bool:
                key = bus.keys.presence("scout")
                return bool(await bus.link.call("EXISTS", key))

            await eventually(back)
            snapshot = await bus.registry.snapshot()
            assert snapshot.agents["scout"].instance == agent.instance


async def test_trimmed_events_are_noticed(bus: Bus) -> None:
    async with bus.join("scout") as agent:
        after = (await bus.registry.snapshot()).after
        await agent.set_state(activity="one")
        await agent.set_state(activity="two")
        await bus.link.call("XTRIM", bus.keys.presence_events, "MAXLEN", 1)
        with pytest.raises(EventsMissed):
            async for _ in bus.registry.events(after=after):
                pytest.fail("an event behind a gap")


async def test_garbage_in_every_presence_key_is_passed_over(bus: Bus) -> None:
    async with bus.join("scout"):
        events = bus.keys.presence_events
        await bus.link.call("XADD", events, "*", "kind", "joined", "agent", b"\xff\xfe")
        await bus.link.call("XADD", events, "*", "kind", "nonsense", "agent", "x")
        await bus.link.call("XADD", events, "*", "kind", "changed", "agent", "x", "state", "{")
        await bus.link.call("HSET", f"{bus.keys.presence_index}:records", "evil", b"\xff{")
        await bus.link.call("HSET", bus.keys.state("scout"), "arousal", "very", b"\xff", b"\xff")
        snapshot = await bus.registry.snapshot()
        assert list(snapshot.agents) == ["scout"]
        assert snapshot.states["scout"].arousal is None
    seen = await events_so_far(bus, until="left")
    assert [event.kind for event in seen if event.agent == "scout"] == ["joined", "changed", "left"]


async def test_keys_of_another_type_spare_everybody_else(bus: Bus) -> None:
    call = bus.link.call
    await call("RPUSH", bus.keys.state("scout"), "not a hash")
    await call("RPUSH", bus.keys.presence("scout"), "not a string")
    async with bus.join("scout", ttl=0.6) as scout, bus.join("writer", ttl=0.6):
        for key in (bus.keys.state("scout"), bus.keys.presence("scout")):
            await call("DEL", key)
            await call("RPUSH", key, "again")
        snapshot = await bus.registry.snapshot()
        assert set(snapshot.agents) == {"scout", "writer"}
        assert set(snapshot.states) == {"writer"}

        async def mended() -> bool:
            return bool(await call("TYPE", bus.keys.presence("scout")) == b"string")

        await eventually(mended)
        await scout.set_state(activity="indexing")
        assert set((await bus.registry.snapshot()).states) == {"scout", "writer"}


async def test_a_record_that_nobody_keeps_alive_is_reaped(bus: Bus) -> None:
    async with bus.join("scout") as scout:
        ghost = msgspec.structs.replace(scout.presence, agent="ghost")
        record = msgspec.json.encode(ghost)
        await bus.link.call("HSET", f"{bus.keys.presence_index}:records", "ghost", record)
        assert "ghost" in (await bus.registry.snapshot()).agents
        [*_, expired] = await events_so_far(bus, until="expired")
        assert expired.agent == "ghost"
        assert set((await bus.registry.snapshot()).agents) == {"scout"}


async def test_the_dead_are_not_shown_where_nobody_reaped_them(bus: Bus) -> None:
    records = f"{bus.keys.presence_index}:records"
    ghost = Presence(instance="i", agent="ghost")
    await bus.link.call("HSET", records, "ghost", msgspec.json.encode(ghost))
    await bus.link.call("ZADD", bus.keys.presence_index, 1, "ghost")
    # Nobody may declare it dead for now: the last look was long ago.
    await bus.link.call("SET", f"{bus.keys.presence_index}:watch", "1 0")
    assert (await bus.registry.snapshot()).agents == {}


async def test_who_lives_through_an_outage_of_redis_is_not_declared_dead(
    own_redis: Any, namespace: str
) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace, ttl=1.0) as bus,
        Bus.connect(own_redis.url, namespace=namespace) as watcher,
        bus.join("scout") as scout,
    ):
        after = (await watcher.registry.snapshot()).after
        own_redis.kill()
        await anyio.sleep(2.5)  # the thing under test: longer than the TTL
        own_redis.start()

        async def spared_no_more() -> bool:
            watch = await watcher.link.call("GET", f"{bus.keys.presence_index}:watch")
            return 0 < int(watch.split()[1]) / 1000 < time.time() - 0.5

        await eventually(lambda: bus.link.retrying(spared_no_more))
        await scout.set_state(activity="alive")
        with anyio.fail_after(10):
            async for event in watcher.registry.events(after=after):
                assert event.kind != "expired"
                if event.state and event.state.activity == "alive":
                    break


async def test_a_name_that_is_not_one_cannot_join(bus: Bus) -> None:
    with pytest.raises(InvalidName):
        async with bus.join("{evil}"):
            pytest.fail("joined")


async def test_a_thousand_agents_share_one_heartbeat(bus: Bus) -> None:
    async with anyio.create_task_group() as tasks:
        joined = 0

        async def be(n: int) -> None:
            nonlocal joined
            async with bus.join(f"agent-{n}", ttl=2.5):
                joined += 1
                await anyio.sleep_forever()

        for n in range(1000):
            tasks.start_soon(be, n)
        await eventually(lambda: joined == 1000, timeout=20)
        await anyio.sleep(3.5)  # the thing under test: nobody expires over more than a TTL
        assert len((await bus.registry.snapshot()).agents) == 1000
        tasks.cancel_scope.cancel()


async def test_who_is_cancelled_from_outside_still_leaves_and_gives_everything_back(
    redis_server: Any, namespace: str, bus: Bus
) -> None:
    queue = bus.queue("jobs", str)
    await queue.put("dig")

    async def work() -> None:
        async with (
            Bus.connect(redis_server.url, namespace=namespace, ttl=60) as other,
            other.join("scout"),
            other.lock("beat", ttl=60),
            other.queue("jobs", str).consume("workers") as deliveries,
        ):
            async with await anext(deliveries):
                tasks.cancel_scope.cancel()
                await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
    with anyio.fail_after(5):  # far below the TTLs
        kinds = [event.kind for event in await events_so_far(bus, until="left")]
        async with bus.lock("beat"), queue.consume("workers") as deliveries:
            assert (await anext(deliveries)).attempt == 2
    assert kinds == ["joined", "changed", "left"]


async def test_a_garbled_name_among_the_records_does_not_end_the_bus(bus: Bus) -> None:
    record = b'{"instance":"x","agent":"x","ttl":1}'
    async with bus.join("scout"):
        await bus.link.call("HSET", f"{bus.keys.presence_index}:records", b"\xff", record)
        await bus.link.call("ZADD", bus.keys.presence_index, 1, b"\xff")

        async def reaped() -> bool:
            return await bus.link.call("ZSCORE", bus.keys.presence_index, b"\xff") is None

        await eventually(reaped)
        assert "scout" in (await bus.registry.snapshot()).agents


async def test_a_state_that_is_not_text_does_not_spoil_the_next(bus: Bus) -> None:
    async with bus.join("scout") as scout:
        await scout.set_state(activity="reads \udcff.md", **{"\udcfe": "\udcfd"})
        with pytest.raises(ValueError, match="number"):
            await scout.set_state(valence="high")
        await scout.set_state(status="idle")
        state = (await bus.registry.states(["scout"]))["scout"]
        assert state.activity == "reads \\udcff.md"
        assert state.fields == {"\\udcfe": "\\udcfd"}


async def test_events_that_a_server_lost_are_missed_and_not_waited_behind(
    own_redis: Any, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        async with bus.join("one"):
            kept = own_redis.written
            seconds, _ = await bus.link.call("TIME")
            future = f"{(int(seconds) + 3600) * 1000}-0"
            await bus.link.call("XSETID", bus.keys.presence_events, future)
            async with bus.join("two"):
                pass
            events = bus.registry.events(after="0-0")
            while (await anext(events)).kind != "left":
                pass
            await anyio.to_thread.run_sync(own_redis.lose_tail, kept)
            with anyio.fail_after(10), pytest.raises(EventsMissed):
                while True:
                    await anext(events)


async def test_an_agent_says_and_sends_nothing_after_its_block(bus: Bus) -> None:
    async with bus.join("writer"):
        async with bus.join("scout") as scout:
            await scout.set_state(activity="x")
        uses = [
            lambda: scout.set_state(status="processing"),
            lambda: scout.progress("on"),
            lambda: scout.send("writer", "x"),
            lambda: scout.send_any("x"),
            lambda: scout.send_all("x"),
            lambda: scout.request("writer", "x", str, timeout=1),
            lambda: scout.gather("x", str, timeout=1),
        ]
        for use in uses:
            with pytest.raises(PresenceLost, match="scout has left: its block .* has ended"):
                await use()
        with pytest.raises(PresenceLost, match="has left"):
            scout.inbox()
        assert (await bus.registry.states(["scout"]))["scout"].status == "offline"
        assert not await bus.link.call("EXISTS", bus.keys.inbox("writer"))


async def test_a_state_is_checked_before_any_of_it_is_written(bus: Bus) -> None:
    async with bus.join("scout") as scout:
        await scout.set_state(mood="calm", activity="reads", valence=1)
        before = (await bus.registry.states(["scout"]))["scout"]
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"mood": object()}, "mood is .*object.*: it is text"),
            ({"activity": 5}, "activity is 5 .int.: it is text"),
            ({"session_key": b"x"}, "session_key is .*: it is text"),
            ({"valence": "1"}, "valence is '1': it is a number from -2 to 2"),
            ({"status": 7}, "status is 7"),
            ({"pages": float("nan")}, "pages is nan"),
        ]
        for changes, why in wrong:
            with pytest.raises(ValueError, match=why):
                await scout.set_state(**{"activity": "writes", **changes})
        assert (await bus.registry.states(["scout"]))["scout"] == before
        await scout.set_state(mood=None, activity=None)
        assert scout.state.mood is None


async def test_a_cancelled_join_leaves_no_holdings_behind(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = bus.holdings.note_all

    async def cancelled() -> None:
        await noted()
        scope.cancel()
        await anyio.lowlevel.checkpoint()

    async with bus.lock("beat", ttl=60):
        with monkeypatch.context() as patch, anyio.CancelScope() as scope:
            patch.setattr(bus.holdings, "note_all", cancelled)
            async with bus.join("scout"):
                pytest.fail("joined")
        assert not await bus.link.call("EXISTS", bus.keys.holdings(bus.holdings.estate))
        async with bus.join("scout"):
            assert await bus.link.call("EXISTS", bus.keys.holdings(bus.holdings.estate))
