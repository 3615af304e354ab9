"""Feeds: the events of one subscription, in a buffer of a stated size and policy."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, Literal, TypeVar, get_args

import anyio
import msgspec

from bus.arguments import one_of, whole
from bus.errors import SlowSubscriber, UndecodableMessage
from bus.messages.codec import decode_body
from bus.messages.envelope import Envelope, unwrap
from bus.telemetry import SILENT, Destination, Telemetry
from bus.telemetry.journal import Journal

T = TypeVar("T")
Item = TypeVar("Item")
log = Journal("argentbus.topic")

#: What becomes of an event that finds the buffer full.
WhenFull = Literal["drop_oldest", "drop_newest", "close"]
POLICIES: Final = get_args(WhenFull)

#: Events kept for a slow reader, unless `subscribe` is told otherwise.
BUFFER: Final = 1000


class Event(msgspec.Struct, Generic[T], frozen=True):
    """One message of a topic.

    Attributes:
        body: What was published.
        sender: Id of the agent (or bus instance) that published it.
        sent_at: By the sender's clock, in seconds since the epoch.
        id: UUIDv7 of the message.
        topic: Name of the topic.
        trace: W3C traceparent of the span that it was published in, as the sender wrote it.

    Example: See `Topic`.
    """

    body: T
    sender: str
    sent_at: float
    id: str
    topic: str = ""
    trace: str | None = None


class Gap(msgspec.Struct, frozen=True):
    """The connection was broken at this place of the feed: events may have been missed.

    Attributes:
        at: When the subscription stood again, by this process's clock, in seconds since the epoch.

    Example: See `Feed`.
    """

    at: float


class Feed(Generic[Item]):
    """What one subscription receives, in the order of arrival: iterate over it.

    The items are `Event`s, and with `gaps=True` also a `Gap` wherever events may have been missed;
    gaps that follow each other are one, and none is ever dropped.

    Attributes:
        dropped: Events discarded because the reader was too slow.
        refused: Messages that were not of the topic's type.
        gaps: How often the connection broke, so that events may have been missed.

    Raises:
        SlowSubscriber: with `when_full="close"`, once what was in the buffer has been read.

    Example:
        mood = bus.topic("mood.scout", Mood)
        feed: Feed[Event[Mood] | Gap]
        async with mood.subscribe(buffer=100, when_full="drop_oldest", gaps=True) as feed:
            await bus.link.call("CLIENT", "KILL", "TYPE", "pubsub")  # a connection that breaks
            item = await anext(feed)
            if isinstance(item, Gap):  # look at what is true now
                print(feed.gaps, feed.dropped)  #> 1 0
    """

    def __init__(
        self,
        body_type: Any,
        name: str,
        *,
        prefix: str,
        buffer: int = BUFFER,
        when_full: WhenFull = "drop_oldest",
        show_gaps: bool = False,
        read: Callable[[str, bytes], Envelope] | None = None,
        telemetry: Telemetry = SILENT,
    ) -> None:
        whole("buffer", buffer, least=1)
        one_of("when_full", when_full, POLICIES)
        self._type = body_type
        self._name = name
        self._prefix = prefix
        self._buffer = buffer
        self._when_full = when_full
        self._show_gaps = show_gaps
        self._read = read
        self._telemetry = telemetry
        self._items: deque[Event[Any] | Gap] = deque()
        self._events = 0
        self._closed = False
        self._arrived = anyio.Event()
        self.dropped = 0
        self.refused = 0
        self.gaps = 0

    # the connection's side

    def deliver(self, payload: bytes) -> None:
        """Take a message of the one topic that this feed is of."""
        self._take(payload, self._name)

    def deliver_from(self, channel: bytes, payload: bytes) -> None:
        """Take a message that came on `channel`, by a pattern."""
        self._take(payload, channel.decode(errors="replace").removeprefix(self._prefix))

    def gap(self) -> None:
        """Note that events may have been missed."""
        self.gaps += 1
        if self._show_gaps and not (self._items and isinstance(self._items[-1], Gap)):
            self._items.append(Gap(time.time()))
            self._arrived.set()

    def _take(self, payload: bytes, topic: str) -> None:
        if self._closed:
            self._drop()
            return
        try:
            envelope = self._read(self._prefix + topic, payload) if self._read else unwrap(payload)
            body = decode_body(envelope, self._type)
        except UndecodableMessage as error:
            self.refused += 1
            # Doubling: a channel full of garbage must not fill the log as well.
            if self.refused.bit_count() == 1:
                log.warning(
                    "messages of a topic were refused", topic=topic, count=self.refused, error=error
                )
            return
        if self._events >= self._buffer and not self._make_room():
            return
        sent = (envelope.sender, envelope.sent_at, envelope.id)
        self._items.append(Event(body, *sent, topic, envelope.trace))
        self._events += 1
        self._arrived.set()

    def _drop(self) -> None:
        self.dropped += 1
        self._telemetry.dropped(Destination(self._name))

    def _make_room(self) -> bool:
        self._drop()
        if self._when_full == "drop_newest":
            return False
        if self._when_full == "close":
            self._closed = True
            return False
        gap = self._items.popleft() if isinstance(self._items[0], Gap) else None
        self._items.popleft()
        self._events -= 1
        if gap is not None and not (self._items and isinstance(self._items[0], Gap)):
            self._items.appendleft(gap)
        return True

    # the reader's side

    def __aiter__(self) -> "Feed[Item]":
        return self

    async def __anext__(self) -> Item:
        while not self._items:
            if self._closed:
                raise SlowSubscriber(
                    f"the feed of {self._name} was closed: more than {self._buffer} events waited "
                    "for this reader; subscribe anew, read faster, or with a larger buffer"
                )
            if self._arrived.is_set():
                self._arrived = anyio.Event()
            await self._arrived.wait()
        item = self._items.popleft()
        if isinstance(item, Event):
            self._events -= 1
            self._telemetry.received(Destination(item.topic), item.id, item.trace)
        return item  # type: ignore[return-value]
