"""Progress and stalls; states with typed fields, changed in part."""

from typing import Any

import anyio
import msgspec
import pytest

from bus import AgentState, Bus, PresenceLost, UndecodableMessage
from bus.agents.state import state_from_hash
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class ScoutState(msgspec.Struct):
    page: str = "none"
    files: int = 0
    ratio: float | None = None
    seen: list[str] = []
    done: bool = False


async def hash_of(bus: Bus, agent: str) -> dict[bytes, bytes]:
    pairs = await bus.link.call("HGETALL", bus.keys.state(agent))
    return dict(pairs) if isinstance(pairs, dict) else dict(zip(pairs[::2], pairs[1::2]))  # noqa: B905


async def test_who_makes_no_progress_is_stalled_and_who_does_again_is_not(bus: Bus) -> None:
    async with bus.join("scout", stall_after=0.4) as scout, bus.join("writer"):

        async def state() -> AgentState:
            return (await bus.registry.states(["scout"]))["scout"]

        for _ in range(12):
            await anyio.sleep(0.05)  # the thing under test: longer than stall_after, with progress
            await scout.progress()
        assert not (await state()).stalled

        async def stalled() -> bool:
            return (await state()).stalled

        await eventually(stalled, timeout=3)
        # Its own copy follows with the reply.
        await eventually(lambda: scout.state.stalled_since is not None)
        assert (await bus.registry.snapshot()).states["writer"].stalled_since is None
        await scout.progress("page 3")
        found = await state()
        assert (found.stalled, found.progress) == (False, "page 3")
        assert found.last_activity == scout.presence.since
    async with bus.join("scout", stall_after=60) as again:
        assert not (await bus.registry.states(["scout"]))["scout"].stalled
        assert again.state.progress is None


async def test_progress_is_cheap_and_the_last_note_is_told_in_the_end(bus: Bus) -> None:
    async with bus.join("scout") as scout:
        after = (await bus.registry.snapshot()).after
        for number in range(10_000):
            await scout.progress(f"item {number}")

        async def told() -> bool:
            return (await bus.registry.states(["scout"]))["scout"].progress == "item 9999"

        await eventually(told, timeout=5)
        events = await bus.link.call("XRANGE", bus.keys.presence_events, f"({after}", "+")
        assert len(events) < 20


async def test_the_fields_of_a_state_are_typed_and_readable(bus: Bus) -> None:
    async with bus.join("scout", state=ScoutState(page="first")) as scout:
        await scout.set_state(files=3, ratio=0.5, seen=["a", "b"], done=True, activity="reading")
        assert scout.state.fields_as(ScoutState) == ScoutState("first", 3, 0.5, ["a", "b"], True)
        fields = await hash_of(bus, "scout")
        assert fields[b"+page"] == b"first"
        assert fields[b"+files"] == b"3"
        assert fields[b"+seen"] == b'["a","b"]'
        assert fields[b"activity"] == b"reading"
        other = (await bus.registry.states(["scout"]))["scout"]
        assert other.fields_as(ScoutState) == scout.state.fields_as(ScoutState)
        await scout.set_state(ratio=None)
        assert b"+ratio" not in await hash_of(bus, "scout")
        for wrong in ({"files": "many"}, {"nonsense": 1}, {"seen": 5}):
            with pytest.raises(ValueError, match="ScoutState"):
                await scout.set_state(**wrong)
        assert scout.state.fields["files"] == "3"
    async with bus.join("scout", state=ScoutState) as again:
        assert again.state.fields_as(ScoutState) == ScoutState()


async def test_fields_of_another_type_are_an_error(bus: Bus) -> None:
    async with bus.join("scout", state=ScoutState):
        await bus.link.call("HSET", bus.keys.state("scout"), "+files", "many")
        state = (await bus.registry.states(["scout"]))["scout"]
        with pytest.raises(UndecodableMessage, match="not a ScoutState"):
            state.fields_as(ScoutState)


async def test_only_what_changes_is_written(bus: Bus) -> None:
    async with bus.join("scout") as scout:
        await scout.set_state(activity="one", files=1)
        # What another program adds stays.
        await bus.link.call("HSET", bus.keys.state("scout"), "theirs", "x", "+files", "9")
        await scout.set_state(activity="two")
        fields = await hash_of(bus, "scout")
        assert (fields[b"theirs"], fields[b"+files"], fields[b"activity"]) == (b"x", b"9", b"two")
        await bus.link.call("DEL", bus.keys.state("scout"))
        await scout.set_state(activity="three")
        assert state_from_hash(await hash_of(bus, "scout")) == scout.state


async def test_who_was_taken_over_cannot_write_over_its_successors_state(bus: Bus) -> None:
    async with bus.join("scout", ttl=60) as old:
        bus.roll.exit(old.instance)
        async with bus.join("scout", ttl=60, takeover=True) as new:
            await new.set_state(activity="mine")
            with pytest.raises(PresenceLost, match="taken over"):
                await old.set_state(activity="still here")
            assert (await bus.registry.states(["scout"]))["scout"].activity == "mine"


@pytest.mark.parametrize("wrong", [{"stall_after": 0}, {"stall_after": -1}, {"ttl": 0.01}])
async def test_times_that_cannot_be_are_refused(bus: Bus, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be from"):
        async with bus.join("scout", **wrong):
            pytest.fail("joined")


async def test_a_state_is_not_lost_where_its_write_was(own_redis: Any, namespace: str) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace, patience=0.2) as bus,
        bus.join("scout", ttl=60) as scout,
    ):
        own_redis.kill()
        with pytest.raises(Exception, match="cannot reach"):
            await scout.set_state(activity="lost")
        own_redis.start()
        await scout.set_state(mood="calm")
        state = (await bus.registry.states(["scout"]))["scout"]
        assert (state.activity, state.mood) == (None, "calm")
        assert state == scout.state
