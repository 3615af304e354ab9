"""What reaches one bus instance personally: replies to its requests, wake-ups of its waiters."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from bus.errors import SignatureRefused, UndecodableMessage
from bus.messages.envelope import Envelope
from bus.telemetry.journal import Journal

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.request")

_WAKE = b"wake:"


class Mailbox:
    """The sink of a bus instance's own channel.

    Attributes:
        refused: Messages that are none.
    """

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus
        self.channel = bus.keys.instance(bus.instance)
        self.refused = 0
        self._replies: dict[str, tuple[Callable[[Envelope], None], str | None]] = {}
        self._waiters: dict[str, anyio.Event] = {}
        self._open = False
        self._opening = anyio.Lock()

    async def open(self) -> bool:
        """Subscribe, the first time that something is to reach this instance.

        Returns:
            Whether that was now.
        """
        if self._open:
            return False
        async with self._opening:
            if not self._open:
                await self._bus.subscriber.add(self.channel, self)
                self._open = True
        return True

    @contextmanager
    def expecting(
        self, message_id: str, take: Callable[[Envelope], None], *, by: str | None = None
    ) -> Iterator[None]:
        """Call `take` with the replies to the message `message_id` while the context lasts.

        Args:
            by: Who was asked. Where this bus signs, another's reply is refused. None: anybody.
        """
        self._replies[message_id] = (take, by)
        try:
            yield
        finally:
            del self._replies[message_id]

    def waiter(self, token: str) -> anyio.Event:
        """An event that is set when the lock that `token` waits for is free."""
        event = self._waiters[token] = anyio.Event()
        return event

    def forget(self, token: str) -> None:
        """No longer wake `token`."""
        self._waiters.pop(token, None)

    def deliver(self, payload: bytes) -> None:
        """Take what arrived on the channel."""
        if payload.startswith(_WAKE):
            event = self._waiters.get(payload[len(_WAKE) :].decode(errors="replace"))
            if event is not None:
                event.set()
            return
        try:
            envelope = self._bus.unwrap(self.channel, payload, live=True)
            take, by = self._replies.get(envelope.id, (None, None))
            if by is not None and self._bus.signing is not None and envelope.sender != by:
                raise SignatureRefused(
                    f"{ascii(envelope.sender)[:80]} answers a request to {by}, and is not asked"
                )
        except UndecodableMessage as error:
            self.refused += 1
            # Doubling: a channel full of garbage must not fill the log as well.
            if self.refused.bit_count() == 1:
                log.warning(
                    "messages to this instance were refused",
                    channel=self.channel,
                    count=self.refused,
                    error=error,
                )
            return
        if take is not None:
            take(envelope)

    def gap(self) -> None:
        """A wake-up may have been missed: let every waiter look for itself."""
        for event in self._waiters.values():
            event.set()
