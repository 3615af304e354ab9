"""Shared maps: versions, refused stale writes, TTLs, and a watch without a gap."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec
import pytest

from bus import (
    ABSENT,
    Bus,
    BusUnavailable,
    InvalidName,
    Map,
    MapChange,
    MapSnapshot,
    MessageTooLarge,
    StaleVersion,
    UndecodableMessage,
    Watch,
)
from bus.locks.lease import lease_clock
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class Step(msgspec.Struct):
    what: str
    done: bool = False


@pytest.fixture
def plan(bus: Bus) -> Map[Step]:
    return bus.map("plan", Step, sender="scout")


async def raw(bus: Bus, command: str, suffix: str = "", *args: Any) -> Any:
    return await bus.link.call(command, bus.keys.map("plan") + suffix, *args)


async def upcoming(watch: Watch[Any], count: int) -> list[Any]:
    with anyio.fail_after(10):
        return [await anext(watch) for _ in range(count)]


async def test_what_was_put_is_there_with_its_version_and_author(bus: Bus, plan: Map[Step]) -> None:
    assert await plan.get("one") is None
    put = await plan.put("one", Step("dig"))
    entry = await plan.get("one")
    assert entry == put
    assert (put.key, put.value, put.by, put.expires_at) == ("one", Step("dig"), "scout", None)
    seconds, _ = await bus.link.call("TIME")
    assert abs(put.updated_at - int(seconds)) < 5
    shown = json.loads(await raw(bus, "HGET", "", "one"))
    assert shown["value"] == {"what": "dig", "done": False}
    assert (shown["version"], shown["by"]) == (put.version, "scout")


async def test_a_stale_write_is_refused_with_both_versions_and_what_stands(
    plan: Map[Step],
) -> None:
    first = await plan.put("one", Step("dig"), if_version=ABSENT)
    second = await plan.put("one", Step("dig", done=True), if_version=first.version)
    assert second.version > first.version
    with pytest.raises(StaleVersion, match="one of map plan") as caught:
        await plan.put("one", Step("sow"), if_version=first.version)
    assert (caught.value.expected, caught.value.actual) == (first.version, second.version)
    assert caught.value.current == second
    with pytest.raises(StaleVersion) as caught:
        await plan.delete("one", if_version=first.version)
    with pytest.raises(StaleVersion) as caught:
        await plan.put("one", Step("sow"), if_version=ABSENT)
    with pytest.raises(StaleVersion, match="it is gone now") as caught:
        await plan.put("two", Step("sow"), if_version=first.version)
    assert (caught.value.actual, caught.value.current) == (0, None)
    assert await plan.get("one") == second


async def test_versions_grow_over_deletion_and_lost_data(bus: Bus, plan: Map[Step]) -> None:
    first = await plan.put("one", Step("dig"))
    assert await plan.delete("one", if_version=first.version)
    assert not await plan.delete("one")
    second = await plan.put("one", Step("dig"), if_version=ABSENT)
    assert second.version > first.version
    for suffix in ("", ":version", ":changes", ":expiry"):
        await raw(bus, "DEL", suffix)
    third = await plan.put("one", Step("dig"), if_version=ABSENT)
    assert third.version > second.version
    await raw(bus, "SET", ":version", 4_000_000_000_000_000)  # the clock was ahead, and set back
    assert (await plan.put("one", Step("dig"))).version == 4_000_000_000_000_001


async def test_two_who_count_up_by_compare_and_set_lose_nothing(bus: Bus) -> None:
    counter = bus.map("counter", int)

    async def count() -> None:
        for _ in range(20):
            while True:
                entry = await counter.get("n")
                try:
                    await counter.put(
                        "n",
                        entry.value + 1 if entry else 1,
                        if_version=entry.version if entry else ABSENT,
                    )
                    break
                except StaleVersion as stale:
                    assert stale.actual > stale.expected

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(count)
    entry = await counter.get("n")
    assert entry is not None
    assert entry.value == 80


async def test_the_list_is_read_in_pages(bus: Bus) -> None:
    numbers = bus.map("numbers", int)
    async with anyio.create_task_group() as tasks:
        for n in range(1200):
            tasks.start_soon(numbers.put, f"n{n}", n)
    assert [e async for e in bus.map("nothing", int).entries()] == []
    read = [entry async for entry in numbers.entries(page=100)]
    assert sorted(entry.value for entry in read) == list(range(1200))
    assert {k: e.value for k, e in (await numbers.list()).items()} == {
        f"n{n}": n for n in range(1200)
    }


async def test_what_is_garbled_is_said_and_the_others_go_on(
    bus: Bus, plan: Map[Step], caplog: pytest.LogCaptureFixture
) -> None:
    await plan.put("good", Step("dig"))
    await bus.map("plan", dict).put("other", {"what": 7})
    garbage = [b"", b"\xff\xfe", b"{", b'{"version":1}', b"[" * 5000, b'{"version":1e99,"value":1}']
    for n, record in enumerate(garbage):
        await raw(bus, "HSET", "", f"bad{n}", record)
    for key in ["other", *(f"bad{n}" for n in range(len(garbage)))]:
        with pytest.raises(UndecodableMessage, match=f"under '{key}' of map plan"):
            await plan.get(key)
    assert list(await plan.list()) == ["good"]
    assert "bad1" in caplog.text
    async with plan.watch() as watch:
        [snapshot] = await upcoming(watch, 1)
        assert set(snapshot.entries) == {"good"}
        assert len(snapshot.garbled) == len(garbage) + 1
        await bus.map("plan", dict).put("other", {"what": 8})
        await raw(bus, "XADD", ":changes", "*", b"\xff", b"\xfe")
        await raw(bus, "XADD", ":changes", "*", "kind", "put", "key", "one")
        await plan.put("bad1", Step("mended"))
        other, mended = await upcoming(watch, 2)
    assert (other.key, other.entry) == ("other", None)
    assert "Expected `str`" in other.error
    assert mended.entry.value == Step("mended")
    with pytest.raises(UndecodableMessage, match="no version to compare"):
        await plan.put("bad2", Step("dig"), if_version=1)
    assert await plan.delete("bad2")
    assert await plan.get("bad2") is None


async def test_what_is_refused_before_it_is_sent(plan: Map[Any], bus: Bus) -> None:
    with pytest.raises(UndecodableMessage, match="not of its type.*nothing was put"):
        await plan.put("one", {"what": 3})
    with pytest.raises(InvalidName):
        await plan.put("{x}", Step("dig"))
    with pytest.raises(ValueError, match="ttl is 0"):
        await plan.put("one", Step("dig"), ttl=0)
    with pytest.raises(ValueError, match="if_version is -1: it must be"):
        await plan.put("one", Step("dig"), if_version=-1)
    with pytest.raises(MessageTooLarge):
        await plan.put("one", Step("x" * (9 << 20)))
    for position in ("", "1-1", "x/1", "1-x/1", "-1-1/1"):
        with pytest.raises(ValueError, match="not a position"):
            async with plan.watch(after=position):
                pytest.fail("watched")
    assert await plan.list() == {}


# repeated writes


class Flaky:
    """A link whose next write is sent but loses its reply, or is not sent before it is repeated."""

    def __init__(self, bus: Bus, monkeypatch: pytest.MonkeyPatch, *, sent: bool) -> None:
        self.run_once = bus.link.run_once
        self.sent = sent
        self.first: tuple[Any, ...] = ()
        monkeypatch.setattr(bus.link, "run_once", self)

    async def __call__(self, *request: Any) -> Any:
        if not self.first:
            self.first = request
            if self.sent:
                await self.run_once(*request)
                await self.meanwhile()
            raise ConnectionResetError("the reply is lost")
        return await self.run_once(*request)

    async def meanwhile(self) -> None:
        """What others do before the write is repeated."""


async def test_an_own_write_that_is_repeated_is_a_success_and_is_not_done_twice(
    bus: Bus, redis_server: Any, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Bus.connect(redis_server.url, namespace=namespace) as elsewhere:
        other = elsewhere.map("plan", Step, sender="writer")
        first = await other.put("one", Step("dig"))
        flaky = Flaky(bus, monkeypatch, sent=True)
        theirs: list[Any] = []

        async def overwrite() -> None:
            entry = await other.get("one")
            assert entry is not None
            theirs.append(await other.put("one", Step("theirs"), if_version=entry.version))

        monkeypatch.setattr(flaky, "meanwhile", overwrite)
        mine = bus.map("plan", Step, sender="scout")
        put = await mine.put("one", Step("mine"), if_version=first.version)
        assert first.version < put.version < theirs[0].version
        assert put.value == Step("mine")
        assert await mine.get("one") == theirs[0]
        monkeypatch.setattr(flaky, "meanwhile", anyio.lowlevel.checkpoint)
        flaky.first = ()
        with pytest.raises(StaleVersion):  # what was refused is not a success when repeated
            await mine.put("one", Step("mine"), if_version=first.version)
        flaky.first = ()
        assert await mine.delete("one")
    kinds = [dict(zip(f[::2], f[1::2], strict=True))[b"kind"] for _, f in await changes_of(bus)]
    assert kinds == [b"put", b"put", b"put", b"deleted"]


async def test_a_write_that_arrives_after_it_was_repeated_does_nothing(
    bus: Bus, plan: Map[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    flaky = Flaky(bus, monkeypatch, sent=False)
    await plan.put("one", Step("mine"))
    theirs = await plan.put("one", Step("theirs"))
    await flaky.run_once(*flaky.first)
    assert await plan.get("one") == theirs
    late = Flaky(bus, monkeypatch, sent=False)
    with pytest.raises(StaleVersion):
        await plan.put("one", Step("mine"), if_version=ABSENT)
    await plan.delete("one")
    await late.run_once(*late.first)  # it could succeed now, but was refused
    assert await plan.get("one") is None


async def test_where_nobody_knows_whether_a_write_was_done_that_is_said(
    bus: Bus, plan: Map[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    await plan.put("one", Step("dig"))
    flaky = Flaky(bus, monkeypatch, sent=True)

    async def trim() -> None:
        await plan.put("two", Step("dig"))
        await raw(bus, "XTRIM", ":changes", "MAXLEN", 1)

    monkeypatch.setattr(flaky, "meanwhile", trim)
    with pytest.raises(BusUnavailable, match="may or may not have been; read it"):
        await plan.put("one", Step("mine"))


# TTLs


async def test_a_key_with_a_ttl_goes_with_one_change(bus: Bus, plan: Map[Step]) -> None:
    async with plan.watch() as one, plan.watch() as two:
        for watch in (one, two):
            await upcoming(watch, 1)
        put = await plan.put("one", Step("dig"), ttl=0.3)
        began = lease_clock()
        assert put.expires_at is not None
        await plan.put("two", Step("dig"), ttl=60)
        seen: list[list[Any]] = []

        async def follow(watch: Watch[Step]) -> None:
            seen.append(await upcoming(watch, 3))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, one)
            tasks.start_soon(follow, two)
        assert 0.25 < lease_clock() - began < 1.3
        for changes in seen:
            assert [(c.kind, c.key) for c in changes] == [
                ("put", "one"),
                ("put", "two"),
                ("expired", "one"),
            ]
            assert changes[2].version > changes[1].version
        assert await plan.get("one") is None
        with anyio.move_on_after(0.3):
            pytest.fail(f"expired twice: {await anext(one)}")


async def test_an_expired_key_is_gone_before_anybody_reaps_it(bus: Bus, plan: Map[Step]) -> None:
    put = await plan.put("one", Step("dig"), ttl=0.05)
    await plan.put("two", Step("dig"), ttl=0.05)
    await plan.put("kept", Step("dig"), ttl=0.05)
    await plan.put("kept", Step("dig"))  # stays: the later put has no TTL
    await anyio.sleep(0.1)  # the thing under test: longer than the TTL
    assert await plan.get("one") is None
    assert set(await plan.list()) == {"kept"}
    with pytest.raises(StaleVersion) as caught:
        await plan.put("two", Step("dig"), if_version=put.version)
    assert caught.value.actual == 0
    assert (await plan.put("one", Step("sow"), if_version=ABSENT)).version > put.version
    kinds = [dict(zip(f[::2], f[1::2], strict=True))[b"kind"] for _, f in await changes_of(bus)]
    assert kinds.count(b"expired") == 2


async def changes_of(bus: Bus) -> list[tuple[bytes, Any]]:
    rows = await raw(bus, "XRANGE", ":changes", "-", "+")
    return [
        (
            row[0],
            [x for pair in row[1].items() for x in pair] if isinstance(row[1], dict) else row[1],
        )
        for row in rows
    ]


async def test_an_empty_map_leaves_nothing_for_ever(bus: Bus, plan: Map[Step]) -> None:
    await plan.put("one", Step("dig"))
    assert await raw(bus, "TTL", ":version") == -1
    await plan.delete("one")
    for suffix in (":version", ":changes"):
        assert 604_000 < await raw(bus, "TTL", suffix) < 605_000
    await plan.put("one", Step("dig"))
    for suffix in (":version", ":changes"):
        assert await raw(bus, "TTL", suffix) == -1


# watching


@pytest.fixture
async def watched(plan: Map[Step]) -> AsyncIterator[Watch[Step]]:
    await plan.put("one", Step("dig"))
    async with plan.watch() as watch:
        yield watch


async def test_a_watch_is_a_snapshot_and_then_every_change(
    plan: Map[Step], watched: Watch[Step]
) -> None:
    written = [await plan.put("one", Step(f"{n}")) for n in range(3)]
    await plan.delete("one")
    [snapshot, *changes] = await upcoming(watched, 5)
    assert isinstance(snapshot, MapSnapshot)
    assert not snapshot.again
    assert {k: e.value.what for k, e in snapshot.entries.items()} == {"one": "dig"}
    assert [c.entry for c in changes[:3]] == written
    assert all(isinstance(c, MapChange) for c in changes)
    assert (changes[3].kind, changes[3].by, changes[3].entry) == ("deleted", "scout", None)
    assert [c.version for c in changes] == sorted({c.version for c in changes})


async def test_a_watch_waits_without_asking_again(
    bus: Bus, plan: Map[Step], watched: Watch[Step]
) -> None:
    await upcoming(watched, 1)

    async def calls() -> int:
        stats = await bus.link.call("INFO", "commandstats")
        counts = [
            line.split(b"calls=")[1].split(b",")[0]
            for line in stats.split(b"\r\n")
            if line.startswith((b"cmdstat_xread:", b"cmdstat_evalsha:"))
        ]
        return sum(int(count) for count in counts)

    with anyio.move_on_after(0.2):
        await anext(watched)
    before = await calls()
    with anyio.move_on_after(1.5):
        await anext(watched)
    assert await calls() - before <= 3  # the read, and what a neighbour does
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(upcoming, watched, 1)
        await plan.put("one", Step("sow"))
    assert anyio.current_time() - began < 0.5


async def test_a_watch_goes_on_from_a_position(plan: Map[Step], watched: Watch[Step]) -> None:
    await upcoming(watched, 1)
    await plan.put("one", Step("1"))
    await plan.put("one", Step("2"))
    [first] = await upcoming(watched, 1)
    assert watched.position == first.position
    async with plan.watch(after=watched.position) as later:
        [second] = await upcoming(later, 1)
        assert second.entry.value.what == "2"
        await plan.put("one", Step("3"))
        assert (await upcoming(later, 1))[0].entry.value.what == "3"


async def test_what_was_trimmed_comes_as_another_snapshot(
    bus: Bus, plan: Map[Step], watched: Watch[Step]
) -> None:
    await upcoming(watched, 1)
    position = watched.position
    for n in range(5):
        await plan.put("one", Step(f"{n}"))
    await raw(bus, "XTRIM", ":changes", "MAXLEN", 2)
    [snapshot] = await upcoming(watched, 1)
    assert isinstance(snapshot, MapSnapshot)
    assert snapshot.again
    assert snapshot.entries["one"].value.what == "4"
    await plan.put("one", Step("5"))
    assert (await upcoming(watched, 1))[0].entry.value.what == "5"
    await raw(bus, "XTRIM", ":changes", "MAXLEN", 0)
    async with plan.watch(after=position) as later:
        assert (await upcoming(later, 1))[0].entries["one"].value.what == "5"


async def test_lost_data_comes_as_another_snapshot(own_redis: Any, namespace: str) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        plan = bus.map("plan", Step)
        await plan.put("one", Step("dig"))
        await plan.put("two", Step("sow"))
        async with plan.watch() as watch:
            await upcoming(watch, 1)
            await bus.link.call("FLUSHALL")
            [snapshot] = await upcoming(watch, 1)  # although nobody writes
            assert snapshot.again
            assert dict(snapshot.entries) == {}
            await bus.link.call("FLUSHALL")
            await plan.put("two", Step("reap"))
            while not isinstance(item := (await upcoming(watch, 1))[0], MapChange):
                pass
            assert item.entry is not None
            assert item.entry.value.what == "reap"


async def test_a_watch_survives_broken_connections_and_a_killed_redis(
    own_redis: Any, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        numbers = bus.map("numbers", int)
        seen: list[int] = []
        async with numbers.watch() as watch, anyio.create_task_group() as tasks:
            await upcoming(watch, 1)

            async def follow() -> None:
                async for item in watch:
                    assert isinstance(item, MapChange)
                    assert item.entry is not None
                    seen.append(item.entry.value)

            tasks.start_soon(follow)
            for n in range(60):
                await numbers.put(f"k{n % 7}", n)
                if n % 10 == 5:
                    await bus.link.retrying(
                        lambda: bus.link.call("CLIENT", "KILL", "TYPE", "normal")
                    )
                if n == 30:
                    own_redis.kill()
                    own_redis.start()
            await eventually(lambda: len(seen) >= 60)
            tasks.cancel_scope.cancel()
    assert seen == list(range(60))


async def test_what_json_cannot_carry_is_refused_and_not_changed(bus: Bus) -> None:
    anything, numbers = bus.map("any", Any), bus.map("numbers", dict[str, float])
    nan, inf = float("nan"), float("inf")
    for value in (nan, -inf, {"a": [1, nan]}, [{"b": inf}], {"a": None, "b": nan}):
        with pytest.raises(UndecodableMessage, match="JSON has no .*nothing was put"):
            await anything.put("a", value)
    with pytest.raises(UndecodableMessage, match="JSON has no nan: use None, or text"):
        await numbers.put("a", {"x": nan})
    for value in ({1: 2}, [{"a": {1.5: 1}}]):
        with pytest.raises(UndecodableMessage, match="would be read as the text"):
            await anything.put("a", value)
    assert await anything.get("a") is None
    await anything.put("a", {"a": [None, 1.5, {"b": "null"}]})
    assert (entry := await anything.get("a"))
    assert entry.value == {"a": [None, 1.5, {"b": "null"}]}
    by_number = bus.map("by-number", dict[int, float | None])
    await by_number.put("a", {1: None, 2: 2.5})
    assert (read := await by_number.get("a"))
    assert read.value == {1: None, 2: 2.5}
