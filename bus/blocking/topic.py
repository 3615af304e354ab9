"""Topics, for code that is not async."""

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from bus.topics.feed import BUFFER, Event, Gap, WhenFull
from bus.topics.feed import Feed as AsyncFeed
from bus.topics.topic import Topic as AsyncTopic
from bus.topics.topic import Topics as AsyncTopics

from .hold import Block, Hold
from .pull import Pull
from .through import Noun

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
Item = TypeVar("Item")


class Feed(Pull[Item]):
    """What one subscription receives, until its block ends: iterate over it.

    Attributes:
        dropped: Events discarded because the reader was too slow.
        refused: Messages that were not of the topic's type.
        gaps: How often the connection broke, so that events may have been missed.

    Raises:
        SlowSubscriber: with `when_full="close"`, once what was in the buffer has been read.

    Example: See `Topic`.
    """

    def __init__(self, bus: "Bus", hold: Hold[Any], over: AsyncFeed[Item]) -> None:
        super().__init__(bus.portal, over.__anext__, hold)
        self._over = over

    @property
    def dropped(self) -> int:
        return self._over.dropped

    @property
    def refused(self) -> int:
        return self._over.refused

    @property
    def gaps(self) -> int:
        return self._over.gaps


class _Subscribable(Generic[T]):
    """What one can listen to."""

    _bus: "Bus"
    over: Any

    @property
    def name(self) -> str:
        name: str = self.over.name
        return name

    @overload
    def subscribe(
        self,
        *,
        buffer: int = BUFFER,
        when_full: WhenFull = "drop_oldest",
        gaps: Literal[False] = False,
    ) -> Block[AsyncFeed[Event[T]], Feed[Event[T]]]: ...

    @overload
    def subscribe(
        self, *, buffer: int = BUFFER, when_full: WhenFull = "drop_oldest", gaps: Literal[True]
    ) -> Block[AsyncFeed[Event[T] | Gap], Feed[Event[T] | Gap]]: ...

    def subscribe(
        self, *, buffer: int = BUFFER, when_full: WhenFull = "drop_oldest", gaps: bool = False
    ) -> Block[Any, Any]:
        """Subscribe: `with topic.subscribe() as feed: ...`, until the block ends.

        Args:
            buffer: Events kept for a slow reader.
            when_full: What happens to an event that finds the buffer full. `drop_oldest`: the
                oldest one goes. `drop_newest`: this one does. `close`: the reader gets
                `SlowSubscriber` behind what it has not read yet. Each is counted as dropped.
            gaps: Whether the feed has a `Gap` among its events wherever the connection was broken.

        Raises, on entering: what the async `Topic.subscribe` does.
        """
        over = self.over.subscribe(buffer=buffer, when_full=when_full, gaps=gaps)
        return Block(self._bus, over, Feed)


class Topic(_Subscribable[T], Noun[AsyncTopic[T]]):
    """A named broadcast of messages of one type. Made by `Bus.topic`.

        with bus.topic("mood", str).subscribe() as feed:
            bus.topic("mood", str).publish("calm")
            print(feed.receive(timeout=5).body)

    What is published while nobody listens is heard by nobody.

    Example:
        mood: Topic[Mood] = agent.topic("mood.scout", Mood)
        feed: Feed[Event[Mood]]
        with mood.subscribe() as feed:
            mood.publish(Mood("calm"))
            event = feed.receive(timeout=5)
            print(event.sender, event.body.word)  #> scout calm
    """

    def publish(self, body: T) -> int:
        """Publish `body`; return how many subscribers received it. It is not sent twice.

        Raises:
            BusUnavailable: Redis could not be reached, or broke off before it confirmed.
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        over, bus = self.over, self._bus.over
        with bus.telemetry.sending(over.destination, "publish") as publishing:
            message_id, message = bus.wrap(over._channel, body, sender=over._sender)
            publishing.message(message_id)
            return self._bus.publish(over._channel, message)


class Topics(_Subscribable[T], Noun[AsyncTopics[T]]):
    """All topics whose names fit a pattern, to be listened to. Made by `Bus.topics`.

    `Event.topic` says which one an event is of.

    Example:
        moods: Topics[Mood] = bus.topics("mood.*", Mood)
        with moods.subscribe() as feed:
            agent.topic("mood.scout", Mood).publish(Mood("calm"))
            print(next(feed).topic)  #> mood.scout
    """
