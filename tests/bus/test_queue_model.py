"""A stateful model of a queue: holders are real processes, and some are killed with -9.

What has to hold: nothing is lost, nothing is delivered to a group again after its ack (or its
burial) was confirmed, nothing is in two hands at a time, attempts and deaths are counted right,
and messages with a key come one at a time and in order. `ARGENTBUS_TEST_EXAMPLES` runs more.
"""

import contextlib
import itertools
import os
import time
from collections.abc import Iterator
from typing import Any

import anyio.from_thread
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from bus import Bus, Consumer, Queue
from bus.messages.envelope import unwrap
from tests.bus.holder import Holder

EXAMPLES = int(os.environ.get("ARGENTBUS_TEST_EXAMPLES", "5"))
TTL = 0.6
RULES: Any = {"max_deliveries": 3, "max_kills": 2, "ordered": True}

#: One of those there are, whoever they are: what hypothesis draws must not depend on who was quick.
WHICH = st.integers(0, 11)

_numbers = itertools.count()


class Copy(msgspec.Struct):
    """What one group has of one message.

    Attributes:
        order: Place in its key's line.
        attempt: Of the next delivery (or the one in hand): least and most.
        kills: So far: least and most.
    """

    n: int
    key: str | None
    order: int
    attempt: tuple[int, int] = (1, 1)
    kills: tuple[int, int] = (0, 0)
    status: str = "waiting"
    holder: "Member | None" = None
    entry: str = ""


class Member:
    """A holder that is in a group."""

    def __init__(self, holder: Holder, group: str) -> None:
        self.holder = holder
        self.group = group


class Pool:
    """Holder processes, a few of them started ahead."""

    def __init__(self) -> None:
        self.spare = [Holder() for _ in range(3)]

    def take(self) -> Holder:
        self.spare.append(Holder())
        return self.spare.pop(0)

    def close(self) -> None:
        for holder in self.spare:
            holder.kill()


class QueueModel(RuleBasedStateMachine):
    def __init__(self, url: str, backend: str, pool: Pool) -> None:
        super().__init__()
        self.url = url
        self.pool = pool
        self.namespace = f"model-{os.getpid()}-{next(_numbers)}"
        self.members: list[Member] = []
        self.copies: dict[str, dict[int, Copy]] = {}
        self.order = itertools.count()
        self.messages = itertools.count()
        self.stack = contextlib.ExitStack()
        self.portal = self.stack.enter_context(anyio.from_thread.start_blocking_portal(backend))
        self.bus: Bus = self.stack.enter_context(
            self.portal.wrap_async_context_manager(
                Bus.connect(url, namespace=self.namespace, ttl=TTL)
            )
        )
        self.queue: Queue[int] = self.bus.queue("jobs", int, **RULES)

    def call(self, function: Any, *args: Any, **options: Any) -> Any:
        async def call() -> Any:
            return await function(*args, **options)

        return self.portal.call(call)

    # what happens

    @initialize()
    def first_group(self) -> None:
        self.make_group("red")

    def make_group(self, group: str) -> None:
        self.copies[group] = {}

        async def make() -> None:
            async with self.queue.consume(group):
                pass

        self.call(make)

    @rule(key=st.sampled_from([None, "a", "b"]), delayed=st.booleans())
    def put(self, key: str | None, delayed: bool) -> None:
        n = next(self.messages)
        # Where a delayed one stands in line depends on the clock.
        if delayed and key is None:
            self.call(self.queue.put, n, delay=0.05)
        else:
            self.call(self.queue.put, n, key=key)
        order = next(self.order)
        for copies in self.copies.values():
            copies[n] = Copy(n, key, order)

    @rule()
    def second_group(self) -> None:
        if "blue" in self.copies:
            return
        self.make_group("blue")
        red = self.copies["red"]
        for n in sorted(self.in_queue("blue"), key=lambda n: red[n].order):
            self.copies["blue"][n] = Copy(n, red[n].key, red[n].order)

    def in_queue(self, group: str) -> set[int]:
        """Messages that a new group is going to get."""
        base = self.bus.keys.queue("jobs")
        call = self.bus.link.call
        found = set()

        def add(message: bytes) -> None:
            found.add(msgspec.msgpack.decode(unwrap(message).body))

        for _, fields in self.call(call, "XRANGE", base, "-", "+"):
            pairs = dict(zip(fields[::2], fields[1::2], strict=True))
            if pairs.get(b"g", group.encode()) == group.encode():
                add(pairs[b"e"])
        for key in "ab":
            for waiting in self.call(call, "LRANGE", f"{base}:lane:{key}", 0, -1):
                whose, _, message = waiting.partition(b"\n")
                if whose in (b"", group.encode()):
                    add(message)
        for waiting in self.call(call, "ZRANGE", f"{base}:delayed", 0, -1):
            add(waiting.partition(b"\n")[2])
        return found

    @rule(group=st.sampled_from(["red", "blue"]), prefetch=st.sampled_from([1, 5]))
    def join(self, group: str, prefetch: int) -> None:
        if len(self.members) == 4 or group not in self.copies:
            return
        member = Member(self.pool.take(), group)
        where = {"url": self.url, "namespace": self.namespace, "ttl": TTL, "rules": RULES}
        member.holder.ask("hold", group=group, prefetch=prefetch, **where)
        self.members.append(member)

    @rule(which=WHICH, most=st.integers(1, 3))
    def take(self, which: int, most: int) -> None:
        if not self.members:
            return
        member = self.members[which % len(self.members)]
        for entry, n, attempt, kills in member.holder.ask("take", most=most, wait=0.15):
            self.delivered(member.group, n, attempt, kills)
            copy = self.copies[member.group][n]
            copy.status, copy.holder, copy.entry = "held", member, entry

    def delivered(self, group: str, n: int, attempt: int, kills: int) -> None:
        """Check that a message may be delivered to a group now, for the so-manieth time."""
        copy = self.copies[group][n]
        assert copy.status == "waiting", (group, copy)
        assert copy.attempt[0] <= attempt <= copy.attempt[1], (group, copy, attempt)
        assert copy.kills[0] <= kills <= copy.kills[1], (group, copy, kills)
        assert kills < RULES["max_kills"]
        for other in self.copies[group].values():
            if copy.key is not None and other.key == copy.key and other.order < copy.order:
                assert other.status in ("acked", "dead", "dying"), (group, copy, other)
        copy.attempt, copy.kills = (attempt, attempt), (kills, kills)

    def held(self) -> list[Copy]:
        return [c for copies in self.copies.values() for c in copies.values() if c.holder]

    @rule(which=WHICH, do=st.sampled_from(["ack", "ack", "nack", "nack", "reject"]))
    def settle(self, which: int, do: str) -> None:
        held = self.held()
        if not held:
            return
        copy = held[which % len(held)]
        assert copy.holder is not None
        assert copy.holder.holder.ask(do, entry=copy.entry) == "done"
        copy.holder = None
        attempt, kills = copy.attempt[0], copy.kills[0]
        if do == "ack":
            copy.status = "acked"
        elif do == "reject" or attempt - kills >= RULES["max_deliveries"]:
            copy.status = "dead"
        else:
            copy.status, copy.attempt = "waiting", (attempt + 1, attempt + 1)

    @rule(which=WHICH)
    def crash(self, which: int) -> None:
        if not self.members:
            return
        member = self.members.pop(which % len(self.members))
        member.holder.kill()
        for copy in self.copies[member.group].values():
            if copy.holder is member:
                copy.holder = None
                kills, attempt = copy.kills[0] + 1, copy.attempt[0] + 1
                copy.kills, copy.attempt = (kills, kills), (attempt, attempt)
                copy.status = "dying" if kills >= RULES["max_kills"] else "waiting"
            elif copy.status == "waiting" and copy.kills[1] == 0:
                # It may have been read ahead; the first time that cannot be told.
                copy.kills, copy.attempt = (0, 1), (copy.attempt[0], copy.attempt[1] + 1)

    @rule(which=WHICH)
    def close(self, which: int) -> None:
        if not self.members:
            return
        member = self.members.pop(which % len(self.members))
        assert member.holder.ask("close") == "closed"
        member.holder.close()
        for copy in self.copies[member.group].values():
            if copy.holder is member:
                copy.status, copy.holder = "waiting", None

    def dead(self) -> list[tuple[str, Copy]]:
        return [(g, c) for g, cs in self.copies.items() for c in cs.values() if c.status == "dead"]

    @rule(which=WHICH, purge=st.booleans())
    def replay_or_purge(self, which: int, purge: bool) -> None:
        dead = self.dead()
        if not dead:
            return
        group, copy = dead[which % len(dead)]
        letters = self.call(self.queue.dead_letters, limit=1000)
        [letter] = [one for one in letters if one.group == group and one.body(int) == copy.n]
        assert letter.key == copy.key
        if purge:
            assert self.call(self.queue.purge, letter.id) == 1
            copy.status = "acked"  # for good
            return
        assert self.call(self.queue.replay, letter.id) == 1
        copy.status, copy.attempt, copy.kills = "waiting", (1, 1), (0, 0)
        copy.order = next(self.order)

    # what is left

    def teardown(self) -> None:
        try:
            for member in self.members:
                member.holder.kill()
                for copy in self.copies[member.group].values():
                    if copy.status in ("waiting", "held"):
                        self.doubt(copy, member)
            for group in self.copies:
                self.call(self.finish, group)
            self.check_empty()
        finally:
            self.stack.close()

    def doubt(self, copy: Copy, member: Member) -> None:
        """The member was killed: what it held was killed with it, and perhaps what it read."""
        mine = copy.holder is member
        if copy.holder is not None and not mine:
            return
        if mine or copy.kills[1] == 0:
            least = 1 if mine else 0
            copy.kills = (copy.kills[0] + least, copy.kills[1] + 1)
            copy.attempt = (copy.attempt[0] + least, copy.attempt[1] + 1)
        copy.holder = None
        copy.status = "dying" if copy.kills[0] >= RULES["max_kills"] else "waiting"

    async def finish(self, group: str) -> None:
        """Take and acknowledge all that waits; it has to come."""
        copies = self.copies[group].values()
        deadline = time.monotonic() + 20
        async with self.queue.consume(group) as deliveries:
            while any(copy.status in ("waiting", "dying") for copy in copies):
                assert time.monotonic() < deadline, [c for c in copies if c.status != "acked"]
                await self.acknowledge_one(group, deliveries, 0.3)
                if any(copy.status == "dying" for copy in copies):
                    await self.see_who_died(group)
                if "blue" in self.copies:
                    await self.pass_on(group)

    async def see_who_died(self, group: str) -> None:
        for letter in await self.queue.dead_letters(limit=1000):
            copy = self.copies[letter.group][letter.body(int)]
            if letter.group == group and copy.status == "dying":
                assert len(letter.kills) >= RULES["max_kills"]
                copy.status = "dead"

    async def pass_on(self, group: str) -> None:
        """Where a key waits for the other group, that one has to go on."""
        other = "blue" if group == "red" else "red"
        async with self.queue.consume(other) as deliveries:
            while await self.acknowledge_one(other, deliveries, 0.1):
                pass

    async def acknowledge_one(self, group: str, deliveries: Consumer[int], wait: float) -> bool:
        delivery = None
        with anyio.move_on_after(wait):
            delivery = await anext(deliveries)
        if delivery is None:
            return False
        self.delivered(group, delivery.body, delivery.attempt, len(delivery.kills))
        await delivery.ack()
        self.copies[group][delivery.body].status = "acked"
        return True

    def check_empty(self) -> None:
        statistics = self.call(self.queue.statistics)
        assert (statistics.delayed, statistics.parked, statistics.refused) == (0, 0, 0)
        assert {group.pending for group in statistics.groups} == {0}
        assert statistics.length == 0, statistics
        assert statistics.dead == len(self.dead())


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_queue_behaves_as_its_model(redis_server: Any, pool: Pool, backend: str) -> None:
    run_state_machine_as_test(
        lambda: QueueModel(redis_server.url, backend, pool),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            # Each example starts processes: there is no time to make a failing one smaller.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
