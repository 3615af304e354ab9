"""Handling a request: for as long as somebody waits for it, and no longer.

The handler of a request runs in a scope that is cancelled when the request's deadline passes, or
when whoever asked was cancelled and says so. Requests that the handler makes in turn inherit the
deadline. Once it has replied, neither holds any more.

A cancellation is told on a channel beside the stream of the requests: at most once, to who handles
them then. Where it is lost, or the asking process died, the deadline bounds the work.
"""

import math
import time
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final

import anyio

from bus.errors import BusError, UndecodableMessage
from bus.messages.envelope import Envelope
from bus.telemetry.journal import Journal

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.request")

#: Type of an envelope that says that nobody waits for the reply to the request of its id.
CANCEL: Final = "!cancel"

#: Cancelled requests that are remembered, in case they are still to come.
_REMEMBERED: Final = 1000

#: Seconds that a handler waits at its start until it can hear of a cancellation, and a caller that
#: was cancelled until it has said so.
_PATIENCE: Final = 1.0


class Handling:
    """The scope of one handler. Made by `Cancellations.handling`, and entered in its task."""

    def __init__(self, cancellations: "Cancellations", envelope: Envelope) -> None:
        self.envelope = envelope
        self.deadline = envelope.deadline
        self._cancellations = cancellations
        self._token: Token[Handling | None] | None = None
        left = math.inf if self.deadline is None else self.deadline - time.time()
        # What is not a number must not reach the event loop's timers.
        left = left if math.isfinite(left) else math.inf
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + left)

    def enter(self) -> None:
        """Begin, in the task of the handler."""
        self._token = _current.set(self)
        self._scope.__enter__()

    def exit(self, *exc: Any) -> bool:
        """End; return whether the handler was cancelled because nobody waits any more."""
        self._cancellations.over(self)
        if self._token is not None:
            _current.reset(self._token)
        # What this returns says on trio, where nothing was raised, that nothing is left to raise.
        self._scope.__exit__(*exc)
        return self._scope.cancelled_caught

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._scope.cancel()

    def replied(self) -> None:
        """What the handler does from here on is for itself."""
        self._cancellations.over(self)
        self.deadline = None
        self._scope.deadline = math.inf


_current: ContextVar[Handling | None] = ContextVar("argentbus_handling", default=None)


def inherited_deadline() -> float | None:
    """The deadline of the request that is being handled here, in seconds since the epoch."""
    handling = _current.get()
    return None if handling is None else handling.deadline


class Cancellations:
    """Hears which requests of one stream nobody waits for any more.

    Attributes:
        refused: Messages that were not a cancellation.
    """

    def __init__(self, bus: "Bus", stream: str) -> None:
        self._bus = bus
        self._channel = bus.keys.cancelling(stream)
        self._open = False
        self._handlings: dict[str, Handling] = {}
        self._cancelled: dict[str, str] = {}
        self.refused = 0

    async def handling(self, envelope: Envelope) -> Handling:
        """The scope for the handler of a request. Hear of cancellations from now on."""
        if not self._open:
            try:
                with anyio.move_on_after(_PATIENCE):
                    await self._bus.subscriber.add(self._channel, self)
                    self._open = True
            except BusError as error:
                log.warning("cancellations are not heard: deadlines hold", error=error)
        handling = Handling(self, envelope)
        self._handlings[envelope.id] = handling
        if self.cancelled(envelope):  # since it was handed out
            handling.cancel()
        return handling

    def over(self, handling: Handling) -> None:
        """It is no longer to be cancelled."""
        if self._handlings.get(handling.envelope.id) is handling:
            del self._handlings[handling.envelope.id]

    def cancelled(self, envelope: Envelope) -> bool:
        """Whether nobody waits for the reply to `envelope`."""
        return self._cancelled.pop(envelope.id, None) == envelope.sender

    def close(self) -> None:
        """Hear no more."""
        if self._open:
            self._open = False
            self._bus.subscriber.remove(self._channel, self)

    def deliver(self, payload: bytes) -> None:
        """Take what arrived on the channel."""
        try:
            envelope = self._bus.unwrap(self._channel, payload, live=True)
        except UndecodableMessage as error:
            self.refused += 1
            log.debug("what is no cancellation was refused", channel=self._channel, error=error)
            return
        if envelope.type != CANCEL:
            self.refused += 1
            return
        handling = self._handlings.get(envelope.id)
        if handling is None:
            if len(self._cancelled) >= _REMEMBERED:
                del self._cancelled[next(iter(self._cancelled))]
            self._cancelled[envelope.id] = envelope.sender
        elif handling.envelope.sender == envelope.sender:
            handling.cancel()

    def gap(self) -> None:
        """Some may have been missed: the deadlines hold."""


async def give_up(bus: "Bus", stream: str, request_id: str, sender: str) -> None:
    """Tell who handles it that nobody waits for the reply to a request; also when cancelled."""
    channel = bus.keys.cancelling(stream)
    with anyio.CancelScope(shield=True), anyio.move_on_after(_PATIENCE):
        try:
            _, message = bus.wrap(channel, None, sender=sender, type=CANCEL, message_id=request_id)
            await bus.publish(channel, message)
        except BusError as error:
            log.debug(
                "a cancellation was not told: its deadline holds", request=request_id, error=error
            )
