"""Changes without a server: buffers, comparison of snapshots, doubts."""

import anyio
import pytest

from bus import AgentState, Presence, PresenceEvent
from presence import AgentView, Change, ChangesMissed
from presence.changes import Changes
from presence.doubts import Doubts
from presence.roster import changes_of, differences
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


def view(agent: str, instance: str = "1", status: str = "idle", ttl: float = 1.0) -> AgentView:
    presence = Presence(instance=instance, agent=agent, ttl=ttl)
    return AgentView(presence, AgentState(instance=instance, status=status))


def event(kind: str, agent: str, instance: str, status: str | None = None) -> PresenceEvent:
    known = kind != "changed"
    return PresenceEvent(
        kind=kind,  # type: ignore[arg-type]
        agent=agent,
        instance=instance,
        presence=Presence(instance=instance, agent=agent) if known else None,
        state=AgentState(instance=instance, status=status) if status else None,
        at=1.0,
        id="1-0",
        cause=None,
    )


async def test_a_reader_gets_the_latest_of_many_states_and_every_death() -> None:
    changes = Changes(buffer=3)
    for status in ("idle", "processing", "contemplating"):
        assert changes.deliver(Change("changed", "scout", view("scout", status=status), 1.0))
    assert changes.deliver(Change("expired", "scout", view("scout"), 2.0))
    changes.close()
    seen = [change async for change in changes]
    assert [change.kind for change in seen] == ["changed", "expired"]
    assert seen[0].view is not None
    assert seen[0].view.state.status == "contemplating"


async def test_a_reader_that_is_too_slow_is_told_so_and_its_buffer_is_freed() -> None:
    changes = Changes(buffer=2)
    told = [changes.deliver(Change("joined", f"a{n}", view(f"a{n}"), 1.0)) for n in range(3)]
    assert told == [True, True, False]
    with pytest.raises(ChangesMissed, match=r"more than 2 changes.*roster\.agents"):
        await anext(changes)


async def test_a_reader_that_waits_is_woken_and_ends_with_the_roster() -> None:
    changes = Changes()
    seen: list[str] = []

    async def read() -> None:
        seen.extend([change.agent async for change in changes])

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            changes.deliver(Change("joined", "scout", view("scout"), 1.0))
            await anyio.wait_all_tasks_blocked()
            changes.close()
    assert seen == ["scout"]


@pytest.mark.parametrize("buffer", [0, -1])
async def test_a_buffer_holds_something(buffer: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Changes(buffer)


async def test_differences_of_two_snapshots() -> None:
    old = {"a": view("a"), "b": view("b"), "c": view("c"), "d": view("d")}
    new = {"b": view("b"), "c": view("c", "2"), "d": view("d", status="processing"), "e": view("e")}
    found = [(change.kind, change.agent) for change in differences(old, new, now=5.0)]
    assert found == [
        ("expired", "a"),
        ("expired", "c"),
        ("joined", "c"),
        ("changed", "d"),
        ("joined", "e"),
    ]


async def test_an_old_instance_cannot_end_its_successor() -> None:
    known = view("scout", "2")
    assert list(changes_of(known, event("expired", "scout", "1"))) == []
    assert [c.kind for c in changes_of(known, event("left", "scout", "2"))] == ["left"]


async def test_a_successor_ends_the_one_before_it() -> None:
    kinds = [c.kind for c in changes_of(view("scout", "1"), event("joined", "scout", "2"))]
    assert kinds == ["left", "joined"]


async def test_joining_again_is_a_change_and_keeps_the_state() -> None:
    known = view("scout", status="processing")
    (change,) = changes_of(known, event("joined", "scout", "1"))
    assert change.kind == "changed"
    assert change.view is not None
    assert change.view.state.status == "processing"


async def test_a_state_of_nobody_is_passed_over() -> None:
    assert list(changes_of(None, event("changed", "ghost", "1", "idle"))) == []


async def test_a_doubt_is_settled_after_the_ttl() -> None:
    doubts = Doubts()
    presence = view("scout", ttl=0.05).presence
    assert not doubts.confirmed(presence)
    doubts.keep(["1"])
    assert 0 < doubts.due_in() <= 0.05
    await eventually(lambda: doubts.confirmed(presence))
    doubts.keep(["1"])
    assert doubts.due_in() == float("inf")


async def test_who_comes_back_is_not_doubted_any_more() -> None:
    doubts = Doubts()
    doubts.confirmed(view("scout", ttl=60).presence)
    doubts.keep([])
    assert doubts.due_in() == float("inf")
