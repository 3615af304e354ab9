"""A delivery in the hands of a thread."""

from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bus.errors import RequestTimeout
from bus.queues.delivery import Delivery as AsyncDelivery
from bus.requests.handling import _current
from bus.telemetry.journal import Journal

from .portal import Hold

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
log = Journal("argentbus.blocking")


class Delivery(Generic[T]):
    """A message that this thread is to handle.

    As a context manager it acknowledges when the block ends well; when the block raises, it logs
    the error and has the message delivered again later. Ctrl-C gives the message back at once and
    goes on. A thread cannot be cancelled: where nobody waits for the reply to a request any more,
    `abandoned` says so and `check` raises; the request is then acknowledged.

    Attributes:
        body: The message.
        type: Name of the body's type, as the sender said.
        id: UUIDv7 of the message; the same on each delivery.
        entry_id: Where it stands in the stream.
        sender: Who sent it.
        sent_at: By the sender's clock, in seconds since the epoch.
        attempt: 1 for the first delivery.
        deadline: Seconds since the epoch after which the sender no longer waits, or None.
        is_request: Whether the sender waits for a `reply`.
    """

    def __init__(self, bus: "Bus", over: AsyncDelivery[T]) -> None:
        self._bus = bus
        self._over = over
        self._block: _Block | None = None
        self._hold: Hold[Any] | None = None
        self._token: Token[Any] | None = None
        self._active: Any = None
        self.body = over.body
        self.type = over.type
        self.id = over.id
        self.entry_id = over.entry_id
        self.sender = over.sender
        self.sent_at = over.sent_at
        self.attempt = over.attempt
        self.deadline = over.deadline
        self.is_request = over.is_request

    def __repr__(self) -> str:
        return repr(self._over)

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the reply to this request any more (inside its block)."""
        return self._hold is not None and self._hold.lost

    def check(self) -> None:
        """Raise `RequestTimeout` where nobody waits for the reply to this request any more."""
        if self.abandoned:
            raise RequestTimeout(f"nobody waits for the reply to {self!r} any more: stop")

    def ack(self) -> None:
        """Acknowledge. Returns once Redis has it. Raises `BusError` where it is settled already."""
        self._bus.portal.call(self._over.ack)

    def nack(self, delay: float | None = None) -> None:
        """Have it delivered again, after `delay` seconds, by default a growing backoff."""
        self._bus.portal.call(self._over.nack, delay)

    def reject(self, reason: str) -> None:
        """Bury it among the dead letters, with the reason."""
        self._bus.portal.call(self._over.reject, reason)

    def reply(self, body: object) -> None:
        """Answer a request. Raises `BusError` where this is none, `BusUnavailable`."""
        self._bus.portal.call(self._over.reply, body)

    def reply_error(self, error: Exception) -> None:
        """Answer a request with an error, which whoever waits gets as `RequestFailed`."""
        self._bus.portal.call(self._over.reply_error, error)

    def __enter__(self) -> "Delivery[T]":
        if self.is_request:
            block = self._block = _Block(self._over)
            self._hold = Hold(self._bus.portal, lambda: block)
            self._hold.enter()
            # Requests of this thread inherit the deadline.
            self._token = _current.set(self._over._handling)
        self._active = self._over.begin().activate()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._over.begin().deactivate(self._active)
        if self._bus.portal.foreign:
            return False
        if self._block is not None and self._hold is not None:
            if self._token is not None:
                _current.reset(self._token)
            self._block.outcome = (kind, error, traceback)
            self._hold.leave(error)
            if self._block.given_up and isinstance(error, Exception):
                if not isinstance(error, RequestTimeout):
                    log.warning(
                        "a handler failed for which nobody waits", **self._over.facts, error=error
                    )
                return True
            return self._block.handled
        if error is None:
            # Whether Redis has it is not waited for: acknowledgements are flushed together.
            self._bus.portal.begin(self._over.__aexit__, None, None, None)
            return False
        if self._bus.portal.closed:  # its consumer has ended, and gave the message back
            self._over.begin().end("returned", error)
            return False
        return self._bus.portal.call(self._over.__aexit__, kind, error, traceback)


class _Block:
    """The async block of a request, which ends with what came out of the thread's."""

    def __init__(self, delivery: AsyncDelivery[Any]) -> None:
        self.outcome: tuple[Any, Any, Any] = (None, None, None)
        self.handled = False
        self.given_up = False
        self._delivery = delivery

    async def __aenter__(self) -> None:
        await self._delivery.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is not None:  # cancelled: nobody waits any more
            self.given_up = await self._delivery.__aexit__(kind, error, traceback)
            return self.given_up
        self.handled = await self._delivery.__aexit__(*self.outcome)
        return False
