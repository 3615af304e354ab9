"""Traceparents in envelopes: what is not sampled, what is signed, and what is none at all."""

from typing import Any

import anyio
import msgspec
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from bus import Bus, Signing
from bus.logs.log import message_of
from bus.messages.envelope import wrap
from tests.bus.watched import Job, Watched, handle, parent_of

pytestmark = pytest.mark.anyio


async def test_who_is_not_sampled_is_not_sampled_anywhere(
    redis_server: Any, namespace: str, watched: Watched
) -> None:
    silent = Watched(sampler=ParentBased(ALWAYS_OFF))
    async with silent.connect(redis_server, namespace) as here:
        await here.queue("jobs", Job).put(Job(1))
    traces: list[str | None] = []

    async def note(delivery: Any) -> None:
        traces.append(delivery.trace)

    async with watched.connect(redis_server, namespace) as there:
        await handle(there, "jobs", note)
    assert traces[0] is not None
    assert int(traces[0][-2:], 16) & 1 == 0
    assert (silent.spans(), watched.spans()) == ([], [])
    assert silent.counted("messaging.client.sent.messages") == {(): 1}
    silent.close()


HOSTILE = [
    "",
    "garbage",
    "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
    "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
    "ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
    "00-" + "1" * 32 + "-" + "1" * 16 + "-01-and more",
    "00-" + "A" * 32 + "-" + "1" * 16 + "-01",
    "00-" + "\u0661" * 32 + "-" + "1" * 16 + "-01",
    "00-" + "1" * 32 + "-" + "1" * 16 + "-01\n",
    "\x00" * 55,
    "x" * 1_000_000,
    "99-" + "1" * 32 + "-" + "1" * 16 + "-01-" + "x" * 1_000_000,
]


async def test_a_hostile_traceparent_stops_nobody(two: list[Bus], watched: Watched) -> None:
    here, there = two
    queue, topic = here.queue("jobs", Job), here.topic("news", Job)
    for n, text in enumerate(HOSTILE):
        await queue.put_message(wrap(Job(n), sender="mallory", trace=text)[1])
    async with there.topic("news", Job).subscribe() as feed:
        for n, text in enumerate(HOSTILE):
            _, message = wrap(Job(n), sender="mallory", trace=text)
            await here.publish(topic._channel, message)
        with anyio.fail_after(10):
            assert [(await anext(feed)).body.n for _ in HOSTILE] == list(range(len(HOSTILE)))
    handled = []
    async with there.queue("jobs", Job).consume("workers") as deliveries:
        with anyio.fail_after(10):
            while len(handled) < len(HOSTILE):
                async with await anext(deliveries) as delivery:
                    handled.append(delivery.body.n)
    assert handled == list(range(len(HOSTILE)))
    spans = watched.spans("process jobs") + watched.spans("receive news")
    assert len(spans) == 2 * len(HOSTILE)
    assert {parent_of(span) for span in spans} == {None}
    assert {len(span.links) for span in spans} == {0}
    assert (await queue.statistics()).dead == 0


async def test_what_is_not_even_text_is_buried_and_stops_nobody(
    two: list[Bus], watched: Watched
) -> None:
    here, there = two
    queue = here.queue("jobs", Job)
    fields = msgspec.msgpack.decode(wrap(Job(1), sender="mallory")[1])
    fields[7] = {"not": ["text"]}
    await queue.put_message(msgspec.msgpack.encode(fields))
    await queue.put(Job(2))

    async def check(delivery: Any) -> None:
        assert delivery.body.n == 2

    await handle(there, "jobs", check)
    (dead,) = await queue.dead_letters()
    assert "trace" in dead.reason or "envelope" in dead.reason


async def test_a_changed_traceparent_breaks_the_signature(
    redis_server: Any, namespace: str, watched: Watched
) -> None:
    signing = Signing({"scout": b"s" * 32}, required=True)
    async with watched.connect(redis_server, namespace, signing=signing) as bus:
        queue = bus.queue("jobs", Job, sender="scout")
        await queue.put(Job(1))
        (entry,) = await bus.link.call("XRANGE", queue.base, "-", "+")
        fields = msgspec.msgpack.decode(message_of(entry[1]) or b"")
        assert fields[7] is not None
        fields[7] = "00-" + "1" * 32 + "-" + "1" * 16 + "-01"
        await queue.put_message(msgspec.msgpack.encode(fields))
        await queue.put(Job(2))
        handled = []
        async with queue.consume("workers") as deliveries:
            for _ in range(2):
                with anyio.fail_after(10):
                    async with await anext(deliveries) as delivery:
                        handled.append(delivery.body.n)
        assert handled == [1, 2]
        (dead,) = await queue.dead_letters()
        assert "signature" in dead.reason
