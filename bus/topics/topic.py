"""Topics: live broadcast over pub/sub. At most once: who is not listening misses it."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, overload

from bus.keys import check_name, check_pattern
from bus.telemetry import Destination

from .feed import BUFFER, Event, Feed, Gap, WhenFull

if TYPE_CHECKING:
    from bus.bus import Bus

T = TypeVar("T")


class _Subscribable(Generic[T]):
    """What one can listen to."""

    name: str
    _bus: "Bus"
    _type: Any
    _pattern = False

    @overload
    def subscribe(
        self,
        *,
        buffer: int = BUFFER,
        when_full: WhenFull = "drop_oldest",
        gaps: Literal[False] = False,
    ) -> AbstractAsyncContextManager[Feed[Event[T]]]: ...

    @overload
    def subscribe(
        self, *, buffer: int = BUFFER, when_full: WhenFull = "drop_oldest", gaps: Literal[True]
    ) -> AbstractAsyncContextManager[Feed[Event[T] | Gap]]: ...

    def subscribe(
        self, *, buffer: int = BUFFER, when_full: WhenFull = "drop_oldest", gaps: bool = False
    ) -> AbstractAsyncContextManager[Feed[Any]]:
        """Subscribe until the context ends. Whatever is published after its start is received.

        Args:
            buffer: Events kept for a slow reader.
            when_full: What happens to an event that finds the buffer full. `drop_oldest`: the
                oldest one goes. `drop_newest`: this one does. `close`: the reader gets
                `SlowSubscriber` behind what it has not read yet. Each is counted as dropped.
            gaps: Whether the feed has a `Gap` among its events wherever the connection was broken.
                `Feed.gaps` counts them in any case.

        Raises:
            BusUnavailable: the subscription was not confirmed within the bus's patience.
            ServerRefused: the user of this bus may not read the channel.
        """
        return self._subscribed(buffer, when_full, show_gaps=gaps)

    @asynccontextmanager
    async def _subscribed(
        self, buffer: int, when_full: WhenFull, *, show_gaps: bool
    ) -> AsyncGenerator[Feed[Any]]:
        feed: Feed[Any] = Feed(
            self._type,
            self.name,
            prefix=self._bus.keys.topic(""),
            buffer=buffer,
            when_full=when_full,
            show_gaps=show_gaps,
            read=partial(self._bus.unwrap, live=True),
            telemetry=self._bus.telemetry,
        )
        channel = self._bus.keys.topic(self.name)
        await self._bus.subscriber.add(channel, feed, pattern=self._pattern)
        try:
            yield feed
        finally:
            self._bus.subscriber.remove(channel, feed, pattern=self._pattern)


class Topic(_Subscribable[T]):
    """A named broadcast of messages of one type. Made by `Bus.topic`.

    At most once: whoever listens gets it, in order; what is published while a listener's connection
    is broken, or its buffer full, is lost to it. What must be handled belongs into a `Queue`.

    Attributes:
        name: Of the topic.
        destination: What telemetry calls it.

    Example:
        mood: Topic[Mood] = agent.topic("mood.scout", Mood)
        async with mood.subscribe() as feed:
            await mood.publish(Mood("calm"))
            event: Event[Mood] = await anext(feed)
            print(event.sender, event.body.word)  #> scout calm
    """

    def __init__(self, bus: "Bus", name: str, body_type: type[T], sender: str) -> None:
        self.name = check_name("topic", name)
        self._bus = bus
        self._type = body_type
        self._sender = sender
        self._channel = bus.keys.topic(name)
        self.destination: Final = Destination(name)

    async def publish(self, body: T) -> int:
        """Publish `body`; return how many subscribers received it.

        A connection that broke is waited for before the message is sent, never after: a message is
        not sent twice.

        Raises:
            BusUnavailable: Redis could not be reached, or broke off before it confirmed.
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        with self._bus.telemetry.sending(self.destination, "publish") as publishing:
            message_id, message = self._bus.wrap(self._channel, body, sender=self._sender)
            publishing.message(message_id)
            return await self._bus.publish(self._channel, message)


class Topics(_Subscribable[T]):
    """All topics whose names fit a pattern, to be listened to. Made by `Bus.topics`.

    `Event.topic` says which one an event is of. On a Cluster (Redis 7) a subscription takes a
    second more, and while it lasts, events of what fits cost a broadcast to all nodes; those of one
    publisher come in their order, whatever their topics: see `topics.patterns`.

    Attributes:
        name: The pattern.

    Example:
        moods: Topics[Mood] = bus.topics("mood.*", Mood)
        async with moods.subscribe() as feed:
            await agent.topic("mood.scout", Mood).publish(Mood("calm"))
            print((await anext(feed)).topic)  #> mood.scout
    """

    _pattern = True

    def __init__(self, bus: "Bus", pattern: str, body_type: type[T]) -> None:
        self.name = check_pattern("topic", pattern)
        self._bus = bus
        self._type = body_type
