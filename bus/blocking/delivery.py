"""A delivery in the hands of a thread."""

from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bus.errors import DeliveryLost, RequestTimeout
from bus.queues.deadletter import Kill
from bus.queues.delivery import Delivery as AsyncDelivery
from bus.requests.handling import _current
from bus.telemetry import Processing
from bus.telemetry.journal import Journal

from .hold import Hold, Telling
from .through import through

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
log = Journal("argentbus.blocking")


class Delivery(Generic[T]):
    """A message that this thread is to handle.

    As a context manager it acknowledges when the block ends well; when the block raises, it logs
    the error and has the message delivered again later. Ctrl-C gives the message back at once and
    goes on. A thread cannot be cancelled: where its work is for nothing (see `check`), `abandoned`
    says so, and what the block then raises is logged and goes no further.

    Attributes:
        body: The message.
        type: Name of the body's type, as the sender said.
        id: UUIDv7 of the message; the same on each delivery.
        entry_id: Where it stands in the stream.
        sender: Who sent it.
        sent_at: By the sender's clock, in seconds since the epoch.
        attempt: 1 for the first delivery.
        evidence: The deaths as they are written in Redis; `kills` has them readably.
        deadline: Seconds since the epoch after which the sender no longer waits, or None.
        is_request: Whether the sender waits for a `reply`.
        kills: The consumers that died with this message in hand, and when.
        failures: What counts against `max_deliveries` if this attempt fails: deaths do not.
        timed_out: Whether its block took longer than the handler timeout.
        processing: Its handling, as telemetry is told of it.
        over: The async delivery that it is.

    Example:
        reviews = bus.queue("reviews", Review)
        reviews.put(Review("parser.py"))
        with reviews.consume("reviewers") as deliveries:
            delivery: Delivery[Review] = next(deliveries)
            delivery.nack(delay=0.1)  # again in 0.1 s, wherever a consumer is free
            again = next(deliveries)
            print(again.attempt, again.id == delivery.id)  #> 2 True
            again.reject("it has no tests")  # a dead letter
    """

    def __init__(self, bus: "Bus", consumer: Hold[Any], over: AsyncDelivery[T]) -> None:
        self._bus = bus
        self._consumer = consumer
        self.over = over
        self._block: Telling[Any] | None = None
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
        self.evidence = over.evidence
        self.deadline = over.deadline
        self.is_request = over.is_request

    def __repr__(self) -> str:
        return repr(self.over)

    @property
    def kills(self) -> tuple[Kill, ...]:
        return self.over.kills

    @property
    def failures(self) -> int:
        return self.over.failures

    @property
    def timed_out(self) -> bool:
        return self.over.timed_out

    @property
    def abandoned(self) -> bool:
        """Whether what its block still does is for nothing: see `check`."""
        return self._consumer.left or (self._hold is not None and self._hold.lost)

    def check(self) -> None:
        """Return only if this thread should go on with the message.

        Raises:
            RequestTimeout: nobody waits for the reply to this request any more.
            TimeoutError: it took longer than the handler timeout: it failed, and is tried again.
            DeliveryLost: its consumer has ended, and gave it back.
        """
        if not self.abandoned:
            return
        if self.timed_out:
            raise TimeoutError(f"{self!r} was not handled in time, and is tried again: stop")
        if self._hold is not None and self._hold.lost:
            raise RequestTimeout(f"nobody waits for the reply to {self!r} any more: stop")
        raise DeliveryLost(f"the consumer of {self!r} has ended, and gave it back: stop")

    ack = through(AsyncDelivery.ack)
    nack = through(AsyncDelivery.nack)
    reject = through(AsyncDelivery.reject)
    reply = through(AsyncDelivery.reply)
    reply_error = through(AsyncDelivery.reply_error)

    @property
    def processing(self) -> Processing | None:
        return self.over.processing

    def __enter__(self) -> "Delivery[T]":
        if self.is_request or self.over.limited:
            block = self._block = Telling(self.over)
            self._hold = Hold(self._bus.portal, lambda: block)
            self._hold.enter()
            # Requests of this thread inherit the deadline.
            self._token = _current.set(self.over._handling)
        self._active = self.over.begin().activate()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.over.begin().deactivate(self._active)
        if self._bus.portal.foreign:
            return False
        if self._block is not None and self._hold is not None:
            if self._token is not None:
                _current.reset(self._token)
            self._block.outcome = (kind, error, traceback)
            self._hold.leave(error)
            if self._block.given_up and isinstance(error, Exception):
                self._note(error)
                return True
            return self._block.handled
        if self._consumer.left and not self.over.settled:
            self.over.begin().end("returned", error)
            self._note(error)
            return isinstance(error, Exception)
        if error is None:
            # Whether Redis has it is not waited for: acknowledgements are flushed together.
            self._bus.portal.begin(self.over.__aexit__, None, None, None)
            return False
        if self._bus.portal.closed:  # its consumer has ended, and gave the message back
            self.over.begin().end("returned", error)
            return False
        return self._bus.portal.call(self.over.__aexit__, kind, error, traceback)

    def _note(self, error: BaseException | None) -> None:
        """Log how a block ended that was abandoned, unless it only obeyed `check`."""
        if error is None:
            log.warning("a message was handled that its consumer had given back", **self.over.facts)
        elif (
            not isinstance(error, (RequestTimeout, DeliveryLost))
            and type(error) is not TimeoutError
        ):
            log.warning("a handler failed for which nobody waits", **self.over.facts, error=error)
