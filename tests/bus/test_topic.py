"""Topics: live, in order, bounded."""

import anyio
import msgspec
import pytest

from bus import Bus, MessageTooLarge
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class Mood(msgspec.Struct):
    word: str


async def test_everybody_who_listens_receives_in_order(bus: Bus) -> None:
    topic = bus.topic("mood", Mood)
    async with topic.subscribe() as one, topic.subscribe() as two:
        for word in ("calm", "curious", "tired"):
            assert await topic.publish(Mood(word)) >= 1
        for feed in (one, two):
            with anyio.fail_after(5):
                events = [await anext(feed) for _ in range(3)]
            assert [event.body.word for event in events] == ["calm", "curious", "tired"]
            assert {event.sender for event in events} == {bus.instance}

    async def nobody_listens() -> bool:
        return await topic.publish(Mood("alone")) == 0

    await eventually(nobody_listens)


async def test_a_slow_reader_loses_the_oldest_and_the_count_is_kept(bus: Bus) -> None:
    topic = bus.topic("mood", Mood)
    async with topic.subscribe(buffer=10) as feed:
        for number in range(30):
            await topic.publish(Mood(str(number)))
        await eventually(lambda: feed.dropped == 20)
        with anyio.fail_after(5):
            assert (await anext(feed)).body.word == "20"


async def test_garbled_messages_are_counted_and_do_not_stop_the_feed(bus: Bus) -> None:
    topic = bus.topic("mood", Mood)
    async with topic.subscribe() as feed:
        for garbage in (b"", b"\xff\x00garbage", b"\x93\x01\x02\x03"):
            await bus.publish(bus.keys.topic("mood"), garbage)
        await bus.topic("mood", int).publish(7)
        await topic.publish(Mood("well"))
        with anyio.fail_after(5):
            assert (await anext(feed)).body == Mood("well")
        assert feed.refused == 4


async def test_a_message_beyond_the_limit_is_refused_before_it_is_sent(bus: Bus) -> None:
    with pytest.raises(MessageTooLarge, match="store the content elsewhere"):
        await bus.topic("mood", Mood).publish(Mood("x" * (9 << 20)))


async def test_a_subscription_goes_on_after_its_connection_broke(bus: Bus) -> None:
    topic = bus.topic("mood", Mood)
    async with topic.subscribe() as feed:
        await bus.link.call("CLIENT", "KILL", "TYPE", "PUBSUB")
        with anyio.fail_after(10):
            while feed.gaps == 0:
                await anyio.lowlevel.checkpoint()
        await topic.publish(Mood("again"))
        with anyio.fail_after(5):
            assert (await anext(feed)).body == Mood("again")
