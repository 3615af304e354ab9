"""Topics: live, in order, bounded."""

import anyio
import msgspec
import pytest

from bus import Bus, Event, Feed, Gap, InvalidName, MessageTooLarge, SlowSubscriber
from bus.messages.envelope import wrap
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


async def test_a_gap_stands_in_the_feed_where_it_was_asked_for(bus: Bus) -> None:
    topic = bus.topic("mood", Mood)
    async with topic.subscribe(gaps=True) as told, topic.subscribe() as untold:
        await topic.publish(Mood("before"))
        await eventually(lambda: len(told._items) == 1)
        for times in (1, 2):
            await bus.link.call("CLIENT", "KILL", "TYPE", "PUBSUB")
            await eventually(lambda times=times: told.gaps == times)  # type: ignore[misc]
        await topic.publish(Mood("after"))
        with anyio.fail_after(5):
            items = [await anext(told) for _ in range(3)]
            assert [(await anext(untold)).body.word for _ in range(2)] == ["before", "after"]
        assert [isinstance(item, Gap) for item in items] == [False, True, False]
        assert untold.gaps == 2


async def test_the_newest_is_dropped_where_that_was_asked_for(bus: Bus) -> None:
    topic = bus.topic("mood", Mood)
    async with topic.subscribe(buffer=2, when_full="drop_newest") as feed:
        for number in range(5):
            await topic.publish(Mood(str(number)))
        await eventually(lambda: feed.dropped == 3)
        await topic.publish(Mood("x"))
        await eventually(lambda: feed.dropped == 4)
        assert [(await anext(feed)).body.word for _ in range(2)] == ["0", "1"]


async def test_a_feed_that_is_to_be_closed_when_full_says_so_behind_what_it_has(bus: Bus) -> None:
    topic = bus.topic("mood", Mood)
    async with topic.subscribe(buffer=2, when_full="close") as feed:
        for number in range(5):
            await topic.publish(Mood(str(number)))
        await eventually(lambda: feed.dropped == 3)
        assert [(await anext(feed)).body.word for _ in range(2)] == ["0", "1"]
        for _ in range(2):
            with pytest.raises(SlowSubscriber, match="more than 2 events"):
                await anext(feed)


async def test_gaps_are_bounded_and_outlive_the_events_that_are_dropped() -> None:
    feed: Feed[object] = Feed(Mood, "mood", prefix="", buffer=2, show_gaps=True)
    for number in range(10):
        feed.gap()
        feed.gap()
        feed.deliver(wrap(Mood(str(number)), sender="scout")[1])
    assert (feed.dropped, feed.gaps, len(feed._items)) == (8, 20, 4)
    kinds = [type(await anext(feed)) for _ in range(4)]
    assert kinds == [Gap, Event, Gap, Event]
    feed.gap()
    for number in range(4):
        feed.deliver(wrap(Mood(str(number)), sender="scout")[1])
    kinds = [type(await anext(feed)) for _ in range(3)]
    assert kinds == [Gap, Event, Event]


async def test_wrong_options_of_a_feed_are_named(bus: Bus) -> None:
    for options in ({"buffer": 0}, {"when_full": "panic"}):
        with pytest.raises(ValueError, match=r"must be from 1|must be 'drop_oldest'"):
            async with bus.topic("mood", Mood).subscribe(**options):
                pytest.fail("subscribed")


async def test_a_pattern_hears_the_topics_that_fit_it_and_no_others(bus: Bus) -> None:
    async with (
        bus.topics("mood.*", Mood).subscribe() as moods,
        bus.topics("mood.?", Mood).subscribe() as short,
        bus.topic("mood.a", Mood).subscribe() as one,
    ):
        for name in ("mood.a", "mood.long", "moodxa", "other", "mood.b"):
            await bus.topic(name, Mood).publish(Mood(name))
        with anyio.fail_after(5):
            events = [await anext(moods) for _ in range(3)]
            assert [(e.topic, e.body.word) for e in events] == [
                (name, name) for name in ("mood.a", "mood.long", "mood.b")
            ]
            assert [(await anext(short)).topic for _ in range(2)] == ["mood.a", "mood.b"]
            assert (await anext(one)).topic == "mood.a"
        await bus.link.call("CLIENT", "KILL", "TYPE", "PUBSUB")
        await eventually(lambda: moods.gaps == short.gaps == one.gaps == 1)
        await bus.topic("mood.c", Mood).publish(Mood("again"))
        with anyio.fail_after(5):
            assert (await anext(moods)).topic == (await anext(short)).topic == "mood.c"
        assert not one._items


@pytest.mark.parametrize("pattern", ["", "mood.[ab]", "a\\*", "{x}*", "a b*", "x" * 200])
async def test_what_is_not_a_pattern_is_refused(bus: Bus, pattern: str) -> None:
    with pytest.raises(InvalidName, match="any characters"):
        bus.topics(pattern, Mood)
