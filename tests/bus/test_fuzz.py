"""10,000 messages that nobody can have meant, on every inlet: nobody stops, and all is counted."""

import math
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import msgspec
import pytest

from bus import Agent, Bus
from bus.messages.envelope import Envelope, new_id, wrap
from bus.requests.handling import CANCEL
from presence import Roster
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

#: On each inlet; there are nine.
COUNT = 1120


class Mood(msgspec.Struct):
    word: str


def number(chance: random.Random) -> float:
    return chance.choice([math.nan, math.inf, -math.inf, 1e300, -1.0, 0.0, chance.random() * 4e9])


def messages(seed: int, bus: Bus) -> Iterator[bytes]:
    """Noise, and messages that are almost, or in a way, well formed."""
    chance = random.Random(seed)
    encode = msgspec.msgpack.encode
    deep: Any = 0
    for _ in range(600):
        deep = [deep]
    _, good = wrap(Mood("calm"), sender="nobody")
    while True:
        flipped = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            flipped[chance.randrange(len(flipped))] = chance.randrange(256)
        envelope = Envelope(
            chance.choice([new_id(), "", "\x00\u202e", "x" * 3000]),
            chance.choice(["Mood", CANCEL, "!error", "", "{}*[", "\ud7ff"]),
            chance.choice(["scout", "", "a#b", "\x1b[31m"]),
            number(chance),
            msgspec.Raw(chance.choice([encode(None), encode(deep), encode({"word": 1}), b"\xc1"])),
            chance.choice([None, bus.mailbox.channel, bus.keys.topic("mood"), "x" * 500, "*"]),
            chance.choice([None, number(chance)]),
            chance.choice([None, "00-zz"]),
            chance.choice([1, 1, 1, 0, 2, -5]),
            chance.choice([None, b"\xff"]),
        )
        yield chance.choice(
            [
                b"",
                chance.randbytes(chance.randrange(1, 300)),
                good[: chance.randrange(len(good))],
                bytes(flipped),
                encode(deep),
                b"\x91" * 3000 + b"\xc0",
                b"wake:" + chance.randbytes(5),
                b"[" * 3000,
                b'{"instance":"x","agent":' + chance.randbytes(4) + b"}",
                msgspec.json.encode({"instance": "i", "agent": "ghost", "ttl": "soon"}),
                encode(envelope),
                encode(envelope),
                encode(envelope),
            ]
        )


class Vandal:
    """Writes into everything there is."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._limiter = anyio.CapacityLimiter(50)
        self.struck = 0

    async def strike(self) -> None:
        keys, mailbox = self._bus.keys, self._bus.mailbox.channel
        records = f"{keys.presence_index}:records"
        inlets: list[tuple[Any, ...]] = [
            ("XADD", keys.inbox("scout"), "*", "e"),
            ("PUBLISH", keys.topic("mood")),
            ("PUBLISH", keys.topic("mood.more")),
            ("PUBLISH", mailbox),
            ("PUBLISH", keys.cancelling(keys.inbox("scout"))),
            ("XADD", keys.presence_events, "*", "kind", None, "agent", None, "presence"),
            ("XADD", keys.presence_events, "*", "kind", "changed", "agent", None, "state"),
            ("HSET", records, None),
            ("HSET", keys.state("scout"), None),
        ]
        async with anyio.create_task_group() as tasks:
            for seed, inlet in enumerate(inlets):
                tasks.start_soon(self._strike, seed, inlet)

    async def _strike(self, seed: int, inlet: tuple[Any, ...]) -> None:
        garbage = messages(seed, self._bus)
        chance = random.Random(seed)
        kinds = [b"joined", b"left", b"expired", b"changed", b"stalled"]
        for _ in range(COUNT):
            args = [
                (chance.choice(kinds) if place == 3 else next(garbage)[:40]) if arg is None else arg
                for place, arg in enumerate(inlet[1:], start=0)
            ]
            if inlet[-1] is None and args[-1] == b"instance":
                continue
            async with self._limiter:
                await self._bus.link.call(inlet[0], *args, next(garbage))
            self.struck += 1


async def test_nobody_stops(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "argentbus")

    async def serve(agent: Agent) -> None:
        async for delivery in agent.inbox(Mood):
            async with delivery:
                if delivery.is_request:
                    await delivery.reply(delivery.body)

    async with AsyncExitStack() as stack:
        asker = await stack.enter_async_context(bus.join("asker"))
        scout = await stack.enter_async_context(bus.join("scout", stall_after=60))
        roster = await stack.enter_async_context(Roster.watch(bus))
        moods = await stack.enter_async_context(bus.topic("mood", Mood).subscribe())
        more = await stack.enter_async_context(bus.topics("mood.*", Mood).subscribe(buffer=5000))
        events = bus.registry.events(after=(await bus.registry.snapshot()).after)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, scout)
            assert await asker.request("scout", Mood("before"), Mood, timeout=20) == Mood("before")
            vandal = Vandal(bus)
            await vandal.strike()
            assert vandal.struck >= 10_000

            # Everybody goes on.
            assert await asker.request("scout", Mood("after"), Mood, timeout=30) == Mood("after")
            await bus.topic("mood", Mood).publish(Mood("after"))
            await bus.topic("mood.more", Mood).publish(Mood("after"))
            for feed in (moods, more):
                with anyio.fail_after(10):
                    async for event in feed:
                        if event.body.word == "after":
                            break
            await scout.set_state(activity="after", mood="calm")
            await scout.progress("after")
            with anyio.fail_after(20):
                async for told in events:
                    if told.agent == "scout" and told.state and told.state.activity == "after":
                        break
            await eventually(lambda: roster.agents["scout"].state.activity == "after", timeout=20)
            snapshot = await bus.registry.snapshot()
            assert {"asker", "scout"} <= set(snapshot.agents)
            assert snapshot.states["scout"].mood == "calm"
            assert {found.agent for found in await bus.registry.find()} >= {"asker", "scout"}

            # What was refused is counted, or set aside with the reason.
            refused = {
                "topic": moods.refused,
                "pattern": more.refused,
                "mailbox": bus.mailbox.refused,
                "records": bus.registry.refused,
                "events": events.refused,
                "cancellations": scout._inbox._consumer.cancellations.refused,  # type: ignore[union-attr]
            }
            # Records are overwritten by each other, and reaped meanwhile.
            assert all(count > 20 for count in refused.values()), refused
            assert min(refused["topic"], refused["pattern"], refused["mailbox"]) > COUNT / 4
            dead = await bus.link.call("XLEN", f"{bus.keys.inbox('scout')}:dead")
            assert dead > COUNT / 4
            tasks.cancel_scope.cancel()
