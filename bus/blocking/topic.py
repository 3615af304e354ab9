"""Topics, for code that is not async."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from bus.telemetry import Destination
from bus.topics.feed import BUFFER, Event, Gap, WhenFull
from bus.topics.feed import Feed as AsyncFeed

from .portal import Hold
from .pull import Pull

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
Item = TypeVar("Item")


class _Subscribable(Generic[T]):
    """What one can listen to."""

    _bus: "Bus"
    _over: Any

    @overload
    def subscribe(
        self,
        *,
        buffer: int = BUFFER,
        when_full: WhenFull = "drop_oldest",
        gaps: Literal[False] = False,
    ) -> "Subscription[Event[T]]": ...

    @overload
    def subscribe(
        self, *, buffer: int = BUFFER, when_full: WhenFull = "drop_oldest", gaps: Literal[True]
    ) -> "Subscription[Event[T] | Gap]": ...

    def subscribe(
        self, *, buffer: int = BUFFER, when_full: WhenFull = "drop_oldest", gaps: bool = False
    ) -> "Subscription[Any]":
        """Subscribe, as a context manager. See the async `Topic.subscribe`."""
        return Subscription(
            self._bus,
            lambda: self._over.subscribe(buffer=buffer, when_full=when_full, gaps=gaps),
        )


class Topic(_Subscribable[T]):
    """A named broadcast of messages of one type. Made by `Bus.topic`."""

    def __init__(self, bus: "Bus", name: str, body_type: type[T], sender: str) -> None:
        self._over = bus.over.topic(name, body_type, sender=sender)
        self.name = name
        self._bus = bus
        self._sender = sender
        self._channel = bus.over.keys.topic(name)

    def publish(self, body: T) -> int:
        """Publish `body`; return how many subscribers received it. It is not sent twice.

        Raises:
            BusUnavailable: Redis could not be reached, or broke off before it confirmed.
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        over = self._bus.over
        with over.telemetry.sending(Destination(self.name), "publish") as publishing:
            message_id, message = over.wrap(self._channel, body, sender=self._sender)
            publishing.message(message_id)
            return self._bus.publish(self._channel, message)


class Topics(_Subscribable[T]):
    """All topics whose names fit a pattern, to be listened to. Made by `Bus.topics`."""

    def __init__(self, bus: "Bus", pattern: str, body_type: type[T]) -> None:
        self._over = bus.over.topics(pattern, body_type)
        self.name = pattern
        self._bus = bus


class Feed(Generic[Item]):
    """What one subscription receives: iterate over it. See the async `Feed`."""

    def __init__(self, bus: "Bus", over: AsyncFeed[Item]) -> None:
        self._over = over
        self._pull: Pull[Item] = Pull(bus.portal, over.__anext__)

    @property
    def dropped(self) -> int:
        """Events discarded because the reader was too slow."""
        return self._over.dropped

    @property
    def refused(self) -> int:
        """Messages that were not of the topic's type."""
        return self._over.refused

    @property
    def gaps(self) -> int:
        """How often the connection broke, so that events may have been missed."""
        return self._over.gaps

    def receive(self, timeout: float | None = None) -> Item:
        """The next item. Raises `TimeoutError` where there is none in `timeout` seconds,
        `BusError` where the block has ended.
        """
        return self._pull.receive(timeout)

    def stop(self) -> None:
        """End the iteration in every thread."""
        self._pull.stop()

    def __iter__(self) -> "Feed[Item]":
        return self

    def __next__(self) -> Item:
        return next(self._pull)


class Subscription(Generic[Item]):
    """A subscription while its block lasts, which gives its `Feed`."""

    def __init__(self, bus: "Bus", make: Any) -> None:
        self._bus = bus
        self._feed: Feed[Item] | None = None
        self._hold: Hold[AsyncFeed[Item]] = Hold(bus.portal, make, self._stopped)

    def __enter__(self) -> Feed[Item]:
        self._feed = Feed(self._bus, self._hold.enter())
        return self._feed

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._hold.leave(error)

    def _stopped(self) -> None:
        if self._feed is not None:
            self._feed.stop()
