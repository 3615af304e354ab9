"""Maps written by several processes at random, while connections are cut and Redis is killed.

Each key has to be a linearizable register: there is one order of all its writes, the one that the
watch tells, in which every operation takes its place between its beginning and its end.

`ARGENTBUS_LONG=1` runs it for minutes instead of seconds.
"""

import os
import random
from collections import Counter
from typing import Any, NamedTuple

import anyio
import pytest

from bus import Bus, MapChange, MapSnapshot, Watch
from tests.bus.cutter import cutting
from tests.bus.fleet import Member
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

LONG = bool(os.environ.get("ARGENTBUS_LONG"))
WRITERS, KEYS, COUNT = 4, 3, 6000 if LONG else 300


class State(NamedTuple):
    """What stood under a key from one change on."""

    version: int
    value: str | None
    by: str
    kind: str


async def follow(watch: Watch[str], seen: list[MapChange[str]]) -> None:
    async for item in watch:
        assert isinstance(item, MapChange), f"a gap after {len(seen)} changes: {item}"
        seen.append(item)


def histories(changes: list[MapChange[str]]) -> dict[str, list[State]]:
    """The states of each key, in order, as a watch told them."""
    states: dict[str, list[State]] = {}
    for change in changes:
        value = change.entry.value if change.entry else None
        state = State(change.version, value, change.by, change.kind)
        states.setdefault(change.key, [State(0, None, "", "")]).append(state)
    return states


def check_key(states: list[State], operations: list[dict[str, Any]]) -> None:
    """Every operation saw or made a state of the key, at a time that fits all others."""
    place_of_version = {s.version: n for n, s in enumerate(states)}
    place_of_value = {s.value: n for n, s in enumerate(states) if s.value is not None}
    assert len(place_of_value) == sum(s.kind == "put" for s in states), "a write done twice"
    places: list[tuple[float, float, int, int]] = []
    for op in operations:
        version = op.get("version")
        lowest = highest = None
        if "stale" in op:
            assert op["stale"] != version
            assert op.get("mine") not in place_of_value, "refused, and done all the same"
        if "expected" in op and "version" not in op:  # deleted
            before = place_of_version[op["expected"]]
            gone = states[before + 1]
            assert (gone.kind, gone.by) == ("deleted", op["by"]), "deleted what it had not seen"
            lowest = highest = before + 1
        elif version:
            place = place_of_version[version]
            assert states[place].value == op["value"]
            if "expected" in op:
                stood = states[place - 1]
                assert op["expected"] == (stood.version if stood.kind == "put" else 0)
            lowest = highest = place
        else:  # saw nothing: at one of the times when nothing stood there
            lowest, highest = 0, len(states) - 1
        places.append((op["began"], op["ended"], lowest, highest))
    check_times(places, [n for n, s in enumerate(states) if s.value is None])


def check_times(places: list[tuple[float, float, int, int]], empty: list[int]) -> None:
    """What ended before another began saw no later state than that one."""
    places.sort(key=lambda place: place[0])
    ended = sorted(places, key=lambda place: place[1])
    at, floor = 0, 0
    for began, _, lowest, highest in places:
        while at < len(ended) and ended[at][1] < began:
            _, _, low, high = ended[at]
            if low == high:
                floor = max(floor, low)
            at += 1
        if lowest == highest:
            assert lowest >= floor, "a read went back"
        else:
            assert any(floor <= n <= highest for n in empty), "saw nothing where something stood"


async def test_every_key_is_a_linearizable_register(own_redis: Any, namespace: str) -> None:
    seen: list[MapChange[str]] = []
    async with (
        cutting(own_redis.port, seed=random.randrange(1 << 30) if LONG else 7) as cutter,
        Bus.connect(own_redis.url, namespace=namespace, patience=60) as bus,
        Bus.connect(cutter.url, namespace=namespace, patience=60) as cut_off,
        bus.map("shared", str).watch() as watch,
        cut_off.map("shared", str).watch() as cut_watch,
        anyio.create_task_group() as tasks,
    ):
        for one in (watch, cut_watch):
            assert isinstance(await anext(one), MapSnapshot)
        seen_through_cuts: list[MapChange[str]] = []
        tasks.start_soon(follow, watch, seen)
        tasks.start_soon(follow, cut_watch, seen_through_cuts)
        members = [
            Member(
                "map_writer",
                "trio" if n % 2 else "asyncio",
                cutter.url,
                namespace,
                f"w{n}",
                str(KEYS),
                str(COUNT),
                str(random.randrange(1 << 30) if LONG else n),
            )
            for n in range(WRITERS)
        ]
        try:
            # A bus that cannot connect at first says so, and does not go on trying.
            await eventually(lambda: all(m.events for m in members), timeout=30)
            cutter.chance = 0.02
            for _ in range(10 if LONG else 1):
                before = len(seen)
                await eventually(lambda before=before: len(seen) > before + 100, timeout=60)  # type: ignore[misc]
                own_redis.kill()
                own_redis.start()
            await eventually(
                lambda: all(m.last == "finished" for m in members), timeout=600 if LONG else 50
            )
            cutter.chance = 0.0
            last = await bus.map("shared", str).put("last", "last")
            for list_ in (seen, seen_through_cuts):
                await eventually(
                    lambda list_=list_: bool(list_) and list_[-1].version == last.version,  # type: ignore[misc]
                    timeout=30,
                )
        finally:
            for member in members:
                member.end()
        tasks.cancel_scope.cancel()
    assert cutter.cuts > 10
    operations = [e for m in members for e in m.events if e["event"] == "did"]
    assert len(operations) == WRITERS * (COUNT // 3) * 3
    outcomes = Counter(op["what"] + (" stale" if "stale" in op else "") for op in operations)
    assert min(outcomes[what] for what in ("get", "put", "swap", "delete", "swap stale")) > 10
    assert seen_through_cuts == seen
    versions = [change.version for change in seen]
    assert versions == sorted(set(versions))
    states = histories(seen)
    for key in (f"k{n}" for n in range(KEYS)):
        check_key(states[key], [op for op in operations if op["key"] == key])
    # What was done is told, and nothing else.
    done = Counter(
        op["key"]
        for op in operations
        if "stale" not in op
        and (op["what"] in {"put", "swap"} or (op["what"] == "delete" and "version" not in op))
    )
    assert {key: len(states[key]) - 1 for key in done} == dict(done)
