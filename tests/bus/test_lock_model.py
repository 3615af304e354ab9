"""Locks whose holders are other processes: suspended, killed, and with a Redis that is killed too.

`ARGENTBUS_LONG=1` runs the model for minutes instead of seconds.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from bus.locks.lock import WAITER_TTL
from tests.bus.fleet import Member

LONG = bool(os.environ.get("ARGENTBUS_LONG"))
TTL = 0.6
SIZE = 4


class Fleet:
    """Some holders, half of them on trio."""

    def __init__(self, server: Any, resource: Any, namespace: str, ttl: float = TTL) -> None:
        self.server = server
        self.resource = redis.Redis.from_url(resource.url)
        self._arguments = [server.url, resource.url, namespace]
        self._ttl = ttl
        self._count = 0
        self.members = [self.start(n) for n in range(SIZE)]
        for member in self.members:
            member.until_last("ready")

    def start(self, place: int) -> Member:
        self._count += 1
        backend = "trio" if place % 2 else "asyncio"
        return Member("lock_holder", backend, *self._arguments, str(self._count), str(self._ttl))

    def writes(self, lock: str) -> list[tuple[int, str]]:
        """The writes that the resource let pass: fence and writer."""
        rows: Any = self.resource.lrange(f"resource:{lock}:writes", 0, -1)
        return [(int(fence), who) for fence, who in (row.decode().split() for row in rows)]


@contextmanager
def fleet_of(server: Any, resource: Any, namespace: str) -> Iterator[Fleet]:
    fleet = Fleet(server, resource, namespace)
    try:
        yield fleet
    finally:
        for member in fleet.members:
            member.end()
        fleet.resource.close()


@pytest.fixture
def fleet(own_redis: Any, redis_server: Any, namespace: str) -> Iterator[Fleet]:
    with fleet_of(own_redis, redis_server, namespace) as fleet:
        yield fleet


def check_writes(writes: list[tuple[int, str]]) -> None:
    """No two holders passed the fence check: each one's writes stand together, under its fences."""
    fences = [fence for fence, _ in writes]
    assert fences == sorted(fences)
    writers = dict(writes)
    assert all(writers[fence] == who for fence, who in writes), "one fence, two holders"


@pytest.mark.parametrize("place", [0, 1], ids=["asyncio", "trio"])
def test_a_holder_suspended_past_its_ttl_is_cancelled_on_waking(fleet: Fleet, place: int) -> None:
    first, second = fleet.members[place], fleet.members[place + 2]
    first.tell("acquire doc exclusive")
    before = first.until_last("holding")
    first.until(lambda: bool(fleet.writes("doc")))
    second.tell("acquire doc exclusive")
    second.until_last("waiting")
    first.suspend()
    after = second.until_last("holding", timeout=TTL + 1)
    assert after["fence"] > before["fence"]
    second.until(lambda: fleet.writes("doc")[-1][0] == after["fence"])
    passed = len(fleet.writes("doc"))
    first.resume()
    lost = first.until_last("lost", timeout=5)
    assert lost["late"] <= 1, "the body went on after waking"
    second.tell("release")
    second.until_last("released")
    check_writes(fleet.writes("doc"))
    assert {fence for fence, _ in fleet.writes("doc")[passed:]} <= {after["fence"]}


def test_the_lock_of_a_killed_holder_goes_to_the_first_in_line_that_lives(fleet: Fleet) -> None:
    holder, dead, living, late = fleet.members
    holder.tell("acquire doc exclusive")
    holder.until_last("holding")
    for member in (dead, living):
        member.tell("acquire doc exclusive")
        member.until_last("waiting")
        time.sleep(0.1)  # the order of arrival is the thing under test
    dead.kill()
    holder.kill()
    late.tell("acquire doc exclusive")
    living.until_last("holding", timeout=WAITER_TTL + TTL + 1)
    assert late.last == "waiting"
    living.tell("release")
    late.until_last("holding", timeout=1)
    late.tell("release")
    late.until_last("released")
    check_writes(fleet.writes("doc"))


class LockModel(RuleBasedStateMachine):
    """Holders come, go, stop and die; Redis is killed, and loses its data."""

    fleet: Fleet
    count = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        self.lock = f"model{type(self).count}"

    def idle(self, member: Member) -> bool:
        return member.last in {"ready", "released", "lost", "failed"} and not member.suspended

    @rule(place=st.integers(0, SIZE - 1), shared=st.booleans())
    def acquire(self, place: int, shared: bool) -> None:
        member = self.fleet.members[place]
        if self.idle(member):
            member.tell(f"acquire {self.lock} {'shared' if shared and place == 3 else 'exclusive'}")
            member.until(lambda: not self.idle(member))

    @rule(place=st.integers(0, SIZE - 1))
    def release(self, place: int) -> None:
        member = self.fleet.members[place]
        if member.last in {"holding", "refused"} and not member.suspended:
            member.tell("release")
            member.until(lambda: self.idle(member))

    @rule(place=st.integers(0, SIZE - 1), past=st.booleans())
    def suspend(self, place: int, past: bool) -> None:
        self.fleet.members[place].suspend()
        if past:
            time.sleep(TTL * 1.2)  # the thing under test: past the TTL

    @rule()
    def resume(self) -> None:
        for member in self.fleet.members:
            member.resume()

    @rule(place=st.integers(0, SIZE - 1))
    def kill(self, place: int) -> None:
        self.fleet.members[place].kill()
        self.fleet.members[place] = self.fleet.start(place)
        self.fleet.members[place].until_last("ready")

    @precondition(lambda self: LONG)
    @rule()
    def wait(self) -> None:
        time.sleep(TTL / 2)

    @rule()
    def restart_redis(self) -> None:
        self.fleet.server.kill()
        self.fleet.server.start()

    @rule()
    def lose_data(self) -> None:
        with redis.Redis.from_url(self.fleet.server.url) as server:
            server.flushall()

    def teardown(self) -> None:
        self.resume()
        deadline = time.monotonic() + 30
        while not all(self.idle(member) for member in self.fleet.members):
            for member in self.fleet.members:
                if member.last in {"holding", "refused"}:
                    member.tell("release")
            assert time.monotonic() < deadline, [m.events[-3:] for m in self.fleet.members]
            time.sleep(0.02)
        assert not any(e["event"] == "failed" for m in self.fleet.members for e in m.events)
        late = [e["late"] for m in self.fleet.members for e in m.events if e["event"] == "lost"]
        assert max(late, default=0) <= 1
        check_writes(self.fleet.writes(self.lock))
        one = self.fleet.members[0]
        one.tell(f"acquire {self.lock} exclusive")
        one.until_last("holding", timeout=WAITER_TTL + TTL + 1)
        one.tell("release")
        one.until_last("released")


def test_model(own_redis: Any, redis_server: Any, namespace: str) -> None:
    with fleet_of(own_redis, redis_server, namespace) as fleet:

        class Model(LockModel):
            pass

        Model.fleet = fleet
        run_state_machine_as_test(
            Model,
            settings=settings(
                max_examples=60 if LONG else 3,
                stateful_step_count=40 if LONG else 12,
                deadline=None,
                database=None,
                derandomize=not LONG,
                suppress_health_check=list(HealthCheck),
            ),
        )
