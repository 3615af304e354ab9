"""Maps, shared and several locks, semaphores, elections and jobs once a period, from threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from bus import (
    ABSENT,
    BusError,
    InvalidName,
    LockLost,
    LockNotAcquired,
    MapSnapshot,
    NotReplicated,
    StaleVersion,
)
from bus.blocking import Bus
from tests.bus.blocking.waiting import eventually


class Step(msgspec.Struct):
    what: str
    done: bool = False


# maps


def test_a_map_is_read_written_and_compared(bus: Bus, other: Bus) -> None:
    plan, theirs = bus.map("plan", Step), other.map("plan", Step, sender="writer")
    assert plan.get("one") is None
    entry = plan.put("one", Step("dig"), if_version=ABSENT)
    assert theirs.get("one") == entry
    changed = theirs.put("one", Step("dig", done=True), if_version=entry.version)
    assert changed.by == "writer"
    with pytest.raises(StaleVersion) as caught:
        plan.put("one", Step("rest"), if_version=entry.version)
    assert (caught.value.actual, caught.value.current) == (changed.version, changed)
    plan.put("two", Step("fill"))
    assert {entry.key: entry.value.what for entry in plan.entries()} == {
        "one": "dig",
        "two": "fill",
    }
    assert plan.list().keys() == {"one", "two"}
    with pytest.raises(StaleVersion):
        plan.delete("one", if_version=entry.version)
    assert plan.delete("one")
    assert not plan.delete("one")
    with pytest.raises(InvalidName):
        bus.map("{}", Step)


def test_a_map_is_compared_and_set_by_many_threads(bus: Bus) -> None:
    counts = bus.map("counts", int)

    def count(_: int) -> None:
        for _ in range(10):
            while True:
                entry = counts.get("it")
                try:
                    version = entry.version if entry else ABSENT
                    counts.put("it", (entry.value if entry else 0) + 1, if_version=version)
                    break
                except StaleVersion:
                    continue

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(count, range(6)))
    entry = counts.get("it")
    assert entry is not None
    assert entry.value == 60


def test_a_map_is_watched_and_its_keys_expire(bus: Bus, other: Bus) -> None:
    plan = bus.map("plan", Step)
    plan.put("one", Step("dig"))
    with plan.watch() as watch:
        snapshot = watch.receive(timeout=5)
        assert isinstance(snapshot, MapSnapshot)
        assert snapshot.entries.keys() == {"one"}
        assert watch.position == snapshot.position
        other.map("plan", Step).put("two", Step("fill"), ttl=0.2)
        kinds = []
        for change in watch:
            assert not isinstance(change, MapSnapshot)
            kinds.append((change.key, change.kind))
            if change.kind == "expired":
                break
        assert kinds == [("two", "put"), ("two", "expired")]
        with pytest.raises(TimeoutError):
            watch.receive(timeout=0.05)
    assert list(watch) == []
    with plan.watch(after=snapshot.position) as again:
        assert [again.receive(timeout=5).key for _ in range(2)] == ["two", "two"]  # type: ignore[union-attr]


def test_a_watch_ends_in_its_thread_when_the_block_does(bus: Bus) -> None:
    with ThreadPoolExecutor(1) as pool:
        with bus.map("plan", Step).watch() as watch:
            items = pool.submit(list, watch)
            bus.map("plan", Step).put("one", Step("dig"))
            eventually(lambda: watch.position is not None and not watch.position.startswith("0-0"))
        assert len(items.result(5)) == 2


# locks


def test_a_lock_is_used_again_and_not_twice_at_once(bus: Bus) -> None:
    lock = bus.lock("doc", ttl=5, wait=5)
    with lock as first:
        with pytest.raises(RuntimeError, match="in use"), lock:
            pytest.fail("reentered")
        first.check()
    with lock as second:
        assert second.fence > first.fence
    assert first.remaining == 0
    with pytest.raises(LockLost, match="given up"):
        first.check()
    with bus.join("scout"):
        block = bus.join("scout")
        with pytest.raises(BusError), block:
            pass
        with pytest.raises(RuntimeError, match="entered before"), block:
            pass


def test_a_lease_is_extended(bus: Bus, other: Bus) -> None:
    with bus.lock("doc", ttl=1) as lease:
        lease.extend(ttl=60)
        assert lease.ttl == 60
        assert 50 < lease.remaining <= 60
        with pytest.raises(ValueError, match="ttl is 0.0 s: it must be from"):
            lease.extend(ttl=0)


def test_a_lock_is_shared(bus: Bus, other: Bus) -> None:
    with bus.lock("doc", shared=True), other.lock("doc", shared=True, wait=0):
        with pytest.raises(LockNotAcquired), bus.lock("doc", wait=0):
            pytest.fail("a writer among readers")
    with pytest.raises(NotReplicated) as caught, bus.lock("doc", replicated=1, ttl=0.6):
        pytest.fail("no replica has it")
    assert (caught.value.wanted, caught.value.had) == (1, 0)


def test_several_locks_are_all_held_or_none(bus: Bus, other: Bus) -> None:
    with bus.locks("red", "blue", ttl=5) as leases:
        assert sorted(leases) == ["blue", "red"]
        for lease in leases.values():
            lease.check()
        with pytest.raises(LockNotAcquired), other.locks("green", "red", wait=0):
            pytest.fail("held by another")
        with other.lock("green", wait=0):  # none was kept
            pass
    with other.locks("red", "blue", wait=0):
        pass
    with pytest.raises(LockLost), bus.locks("red", "blue", ttl=0.6) as leases:
        call(bus, "SET", bus.over.keys.lock("red"), "a stranger")
        eventually(lambda: all(lease.remaining == 0 for lease in leases.values()))


def call(bus: Bus, *command: Any) -> Any:
    return bus.portal.call(bus.over.link.call, *command)


def test_several_locks_from_many_threads_never_block_each_other(bus: Bus) -> None:
    names = ["a", "b", "c"]

    def take(n: int) -> None:
        order = names[n % 3 :] + names[: n % 3]
        with bus.locks(*order, ttl=5, wait=20):
            pass

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(take, range(18)))


def test_a_semaphore_admits_so_many(bus: Bus, other: Bus) -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def work(n: int) -> None:
        nonlocal inside, most
        with (bus if n % 2 else other).semaphore("gpu", permits=2, ttl=5):
            with guard:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.01)
            with guard:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    assert most == 2
    with bus.semaphore("gpu", permits=1), pytest.raises(LockNotAcquired):
        with other.semaphore("gpu", permits=1, wait=0):
            pytest.fail("two permits of one")
    with pytest.raises(ValueError, match="permits is 0: it must be from"):
        bus.semaphore("gpu", permits=0)


# elections


def test_a_leader_is_elected_and_its_changes_are_told(bus: Bus, other: Bus) -> None:
    with (
        bus.election("planner", candidate="scout") as one,
        other.election("planner", candidate="writer") as two,
    ):
        changes = two.changes()
        assert two.leader is None
        with one.lead() as lease:
            change = changes.receive(timeout=5)
            assert change.leader is not None
            assert (change.leader.candidate, change.leader.fence) == ("scout", lease.fence)
            eventually(lambda: one.leading)
            assert not two.leading
            with pytest.raises(LockNotAcquired), two.lead(wait=0):
                pytest.fail("two leaders")
        assert changes.receive(timeout=5).leader is None
        with two.lead(wait=5):
            change = next(changes)
            assert change.leader is not None
            assert change.leader.candidate == "writer"
        eventually(lambda: one.leader is None)
        with pytest.raises(TimeoutError):
            one.changes().receive(timeout=0.05)
    assert list(one.changes()) == []


# once a period


def test_each_period_has_one_run_among_all_runners(bus: Bus, other: Bus) -> None:
    slots: list[int] = []
    guard = threading.Lock()

    def runs(bus: Bus) -> None:
        for run in bus.once_per("beat", 0.2):
            with run as lease:
                lease.check()
                assert lease is run.lease
                with guard:
                    slots.append(run.slot)
                    if len(slots) >= 5:
                        return
            with guard:
                if len(slots) >= 5:
                    return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(runs, [bus, other, bus, other]))
    assert len(slots) == len(set(slots)) >= 5
    assert max(slots) - min(slots) < 5 + 8


def test_a_run_that_ctrl_c_ended_may_be_tried_at_once(bus: Bus, other: Bus) -> None:
    with pytest.raises(KeyboardInterrupt):
        for run in bus.once_per("job", 3600, attempts=2):
            with run:
                raise KeyboardInterrupt
    again = other.once_per("job", 3600, attempts=2).claim()
    assert again is not None
    with again:
        assert again.attempt == 2


def test_a_run_that_fails_is_tried_again_where_that_is_asked_for(bus: Bus, other: Bus) -> None:
    once = bus.once_per("job", 3600, attempts=2)
    assert (once.name, once.period) == ("job", 3600)
    run = once.claim()
    assert run is not None
    assert (run.attempt, run.due) == (1, run.slot * 3600)
    assert other.once_per("job", 3600, attempts=2).claim() is None
    with pytest.raises(KeyError), run:
        raise KeyError("no")
    began = time.monotonic()
    again = next(once)
    assert time.monotonic() - began < 3
    assert (again.slot, again.attempt) == (run.slot, 2)
    with again:
        pass
    assert once.claim() is None
    with pytest.raises(LockLost):
        run.lease.check()
