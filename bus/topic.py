"""Topics: live broadcast over pub/sub. At most once: who is not listening misses it."""

import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import msgspec

from .codec import decode_body
from .envelope import unwrap, wrap
from .errors import UndecodableMessage
from .keys import check_name

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
log = logging.getLogger("argentbus.topic")


class Event(msgspec.Struct, Generic[T], frozen=True):
    """One message of a topic.

    Attributes:
        body: What was published.
        sender: Id of the agent (or bus instance) that published it.
        sent_at: By the sender's clock, in seconds since the epoch.
        id: UUIDv7 of the message.
    """

    body: T
    sender: str
    sent_at: float
    id: str


class Feed(Generic[T]):
    """The events of one subscription, in the order of their arrival: iterate over it.

    Attributes:
        dropped: Events discarded, the oldest first, because the reader was too slow.
        refused: Messages that were not of the topic's type.
        gaps: How often the connection broke, so that events may have been missed.
    """

    def __init__(self, body_type: type[T], name: str, buffer: int) -> None:
        self._type = body_type
        self._name = name
        self._events: deque[Event[T]] = deque(maxlen=buffer)
        self._arrived = anyio.Event()
        self.dropped = 0
        self.refused = 0
        self.gaps = 0

    def deliver(self, payload: bytes) -> None:
        """Take a message from the connection."""
        try:
            envelope = unwrap(payload)
            body = decode_body(envelope, self._type)
        except UndecodableMessage as error:
            self.refused += 1
            # Doubling: a channel full of garbage must not fill the log as well.
            if self.refused.bit_count() == 1:
                log.warning(
                    "refused %d so far on topic %s, the last: %s", self.refused, self._name, error
                )
            return
        if len(self._events) == self._events.maxlen:
            self.dropped += 1
        self._events.append(Event(body, envelope.sender, envelope.sent_at, envelope.id))
        self._arrived.set()

    def gap(self) -> None:
        """Note that events may have been missed."""
        self.gaps += 1

    def __aiter__(self) -> "Feed[T]":
        return self

    async def __anext__(self) -> Event[T]:
        while not self._events:
            if self._arrived.is_set():
                self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._events.popleft()


class Topic(Generic[T]):
    """A named broadcast of messages of one type. Made by `Bus.topic`."""

    def __init__(self, bus: "Bus", name: str, body_type: type[T], sender: str) -> None:
        self.name = check_name("topic", name)
        self._bus = bus
        self._type = body_type
        self._sender = sender
        self._channel = bus.keys.topic(name)

    async def publish(self, body: T) -> int:
        """Publish `body`; return how many subscribers received it.

        A connection that broke is waited for before the message is sent, never after: a message is
        not sent twice.

        Raises:
            BusUnavailable: Redis could not be reached, or broke off before it confirmed.
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        _, message = wrap(body, sender=self._sender)
        return await self._bus.publish(self._channel, message)

    @asynccontextmanager
    async def subscribe(self, *, buffer: int = 1000) -> AsyncGenerator[Feed[T]]:
        """Subscribe until the context ends. Whatever is published after its start is received.

        Args:
            buffer: Events kept for a slow reader; when full, the oldest is dropped and counted.

        Raises:
            BusUnavailable: the subscription was not confirmed within the bus's patience.
        """
        feed: Feed[T] = Feed(self._type, self.name, buffer)
        await self._bus.subscriber.add(self._channel, feed)
        try:
            yield feed
        finally:
            self._bus.subscriber.remove(self._channel, feed)
