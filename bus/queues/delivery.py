"""A delivery: one message in the hands of one consumer, to be settled once."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from bus.arguments import seconds_or_none, text
from bus.errors import BusError
from bus.messages.envelope import Envelope
from bus.requests.handling import Handling
from bus.telemetry import Processing
from bus.telemetry.journal import Journal

from .breaking import breaks_off, broken_off_by
from .deadletter import Kill, read_kills

if TYPE_CHECKING:
    from .consumer import Consumer

T = TypeVar("T")
log = Journal("argentbus.queue")


class Delivery(Generic[T]):
    """A message that this consumer is to handle.

    As a context manager it acknowledges when the block ends well; when the block raises, it logs
    the error and has the message delivered again later (or buried, after `max_deliveries`). Acks of
    blocks are flushed together in the background; `await ack()` waits until Redis has it. Where the
    consumer has a handler timeout, a block that takes longer is cancelled, and has failed. A block
    that is cancelled from outside gives the message back at once; one that breaks off because what
    it awaited was cancelled by somebody else has failed. The block of a request is
    cancelled when nobody waits for the reply any more, and then acknowledged.

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
        processing: Its handling, as telemetry is told of it.

    Example:
        reviews = bus.queue("reviews", Review)
        await reviews.put(Review("parser.py"))
        async with reviews.consume("reviewers") as deliveries:
            delivery: Delivery[Review] = await anext(deliveries)
            await delivery.nack(delay=0.1)  # again in 0.1 s, wherever a consumer is free
            again = await anext(deliveries)
            print(again.attempt, again.id == delivery.id)  #> 2 True
            await again.reject("it has no tests")  # a dead letter
    """

    __slots__ = (
        "_active",
        "_consumer",
        "_envelope",
        "_handling",
        "_scope",
        "_settled",
        "_timed_out",
        "attempt",
        "body",
        "entry_id",
        "evidence",
        "processing",
    )

    def __init__(
        self,
        consumer: "Consumer[T]",
        envelope: Envelope,
        body: T,
        entry_id: str,
        attempt: int,
        evidence: str = "",
    ) -> None:
        self._consumer = consumer
        self._envelope = envelope
        self._settled: str | None = None
        self.body = body
        self.entry_id = entry_id
        self.attempt = attempt
        self.evidence = evidence
        self._handling: Handling | None = None
        self._scope: anyio.CancelScope | None = None
        self._timed_out = False
        self._active: Any = None
        self.processing: Processing | None = None

    @property
    def id(self) -> str:
        return self._envelope.id

    @property
    def type(self) -> str:
        return self._envelope.type

    @property
    def sender(self) -> str:
        return self._envelope.sender

    @property
    def sent_at(self) -> float:
        return self._envelope.sent_at

    @property
    def deadline(self) -> float | None:
        return self._envelope.deadline

    @property
    def trace(self) -> str | None:
        """W3C traceparent of the span that the message was sent in, as the sender wrote it."""
        return self._envelope.trace

    @property
    def is_request(self) -> bool:
        """Whether the sender waits for a `reply`."""
        return self._envelope.reply_to is not None

    @property
    def kills(self) -> tuple[Kill, ...]:
        """The consumers that died with this message in hand, and when.

        The first of them may have had it read ahead only.
        """
        return read_kills(self.evidence) if self.evidence else ()

    @property
    def failures(self) -> int:
        """What counts against `max_deliveries` if this attempt fails: deaths do not."""
        return self.attempt - len(self.kills)

    @property
    def settled(self) -> bool:
        """Whether it was acknowledged, sent back or buried, or is about to be."""
        return bool(self._settled)

    @property
    def limited(self) -> bool:
        """Whether its block is cancelled where it takes longer than the handler timeout."""
        return self._consumer.handler_timeout is not None

    @property
    def timed_out(self) -> bool:
        """Whether its block took longer than the handler timeout, and was cancelled."""
        return self._timed_out or (self._scope is not None and self._scope.cancel_called)

    def __repr__(self) -> str:
        return (
            f"<Delivery {self.type} {self.id} from {self.sender}, attempt {self.attempt}"
            f"{', settled' if self._settled else ''}>"
        )

    async def ack(self) -> None:
        """Acknowledge: the message is done with. Returns once Redis has it.

        Raises:
            BusError: the delivery is settled already, or its consumer's block has ended.
            DeliveryLost: in a queue that keeps an order, another consumer has it by now.
            BusUnavailable, ServerRefused: Redis could not be reached, or refused; it goes on being
                tried, and stays this consumer's meanwhile.
        """
        self._settle("ack")
        await self._consumer.settlements.ack(self.entry_id)

    async def nack(self, delay: float | None = None) -> None:
        """Have the message delivered again, to any consumer of the group.

        Args:
            delay: Seconds until then. None: a backoff that grows with the attempts.

        Raises:
            BusError: the delivery is settled already, or its consumer's block has ended.
            BusUnavailable, ServerRefused: as for `ack`.
        """
        seconds_or_none("delay", delay)
        self._settle("nack")
        await self._consumer.settlements.retry(self, delay, "nacked")

    async def reject(self, reason: str) -> None:
        """Bury the message among the dead letters, with the reason.

        Raises:
            BusError: the delivery is settled already, or its consumer's block has ended.
            DeliveryLost: another consumer has it by now.
            BusUnavailable, ServerRefused: as for `ack`.
        """
        text("reason", reason)
        self._settle("dead_letter")
        await self._consumer.settlements.bury(self, reason)

    async def reply(self, body: object) -> None:
        """Answer a request. Where nobody waits any more, nothing happens.

        Raises:
            BusError: this message is not a request.
            BusUnavailable: Redis could not be reached.
        """
        if self._envelope.reply_to is None:
            raise BusError(f"the {self.type} from {self.sender} is not a request: nobody waits")
        if self._envelope.deadline is None or self._envelope.deadline > time.time():
            await self._consumer.answer(self._envelope, body)
        if self._handling is not None:
            self._handling.replied()

    async def reply_error(self, error: Exception) -> None:
        """Answer a request with an error, which whoever waits gets as `RequestFailed`.

        Raises:
            BusUnavailable: Redis could not be reached.
        """
        await self._consumer.answer_error(self._envelope, error)

    async def __aenter__(self) -> "Delivery[T]":
        if self.is_request:
            try:
                self._handling = await self._consumer.cancellations.handling(self._envelope)
            except BaseException:
                self._settled = "returned"
                self._consumer.settlements.return_later(self.entry_id)
                raise
            self._handling.enter()
        if self._consumer.telemetry.tells:
            self._active = self.begin().activate()
        timeout = self._consumer.handler_timeout
        if timeout is not None:
            self._scope = anyio.CancelScope(deadline=anyio.current_time() + timeout)
            self._scope.__enter__()
        return self

    async def __aexit__(
        self,
        exc_type: object,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        settlements = self._consumer.settlements
        timed_out = self._leave_scope(exc, traceback)
        if timed_out:
            exc = TimeoutError(f"not handled within {self._consumer.handler_timeout:g} s")
        given_up = self._leave_handling(None if timed_out else exc, traceback)
        broken_off = not given_up and breaks_off(exc)
        if broken_off:
            exc = broken_off_by(exc)
        if self._settled:
            if timed_out or broken_off:
                log.warning(
                    "a handler that had settled its message was cancelled", **self.facts, error=exc
                )
            self._end(None if given_up else exc)
            return timed_out or given_up or broken_off
        self._settled = "ack"
        if given_up:
            settlements.ack_later(self.entry_id)
            self._settled = "abandoned"
            self._end()
            return True
        if self._consumer.over:
            self._settled = "returned"
            self._end(exc)
            if exc is None:
                raise self._too_late()
            return False
        if exc is None:
            settlements.ack_later(self.entry_id)
            self._end()
            return False
        if not isinstance(exc, Exception):
            # Cancelled: the message goes back at once, for whoever is still at work.
            settlements.return_later(self.entry_id)
            self._settled = "returned"
            self._end(exc)
            return False
        self._settled = "failed"
        try:
            self._settled = await self._consumer.failed(self, self._envelope, exc)
        finally:
            self._end(exc)
        return True

    def _leave_scope(self, exc: BaseException | None, traceback: TracebackType | None) -> bool:
        """Return whether the handler took too long."""
        if self._scope is None:
            return False
        scope, self._scope = self._scope, None
        scope.__exit__(None if exc is None else exc.__class__, exc, traceback)
        self._timed_out = scope.cancelled_caught
        return self._timed_out

    def _leave_handling(self, exc: BaseException | None, traceback: TracebackType | None) -> bool:
        """Return whether the handler was cancelled because nobody waits for its reply."""
        if self._handling is None:
            return False
        return self._handling.exit(None if exc is None else exc.__class__, exc, traceback)

    # telling of it

    @property
    def facts(self) -> dict[str, Any]:
        """What logs say of it."""
        return {
            "queue": self._consumer.source.name,
            "type": self.type,
            "delivery": self.id,
            "sender": self.sender,
            "attempt": self.attempt,
        }

    def begin(self) -> Processing:
        """Tell telemetry that a handler has it from now on."""
        if self.processing is None:
            consumer = self._consumer
            self.processing = consumer.telemetry.processing(
                consumer.source, consumer.group, self._envelope, self.attempt
            )
        return self.processing

    def _end(self, error: BaseException | None = None) -> None:
        """Tell telemetry that the handler is done with it."""
        processing = self.processing
        if processing is not None:
            if self._active is not None:
                processing.deactivate(self._active)
            processing.end(self._settled or "ack", error)

    def _too_late(self) -> BusError:
        return BusError(
            f"{self!r} went back to its group when its consumer's block ended: settle it inside"
        )

    def _settle(self, outcome: str) -> None:
        if self._settled:
            raise BusError(f"{self!r} was settled before: ack, nack or reject it once")
        if self._consumer.over:
            raise self._too_late()
        self._settled = outcome
        if self.processing is None:
            # Without the block there is no handler to tell of.
            self._consumer.telemetry.consumed(self._consumer.source, self._consumer.group)
