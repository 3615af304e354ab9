"""Request and reply: the request goes by stream, so it survives; the reply by pub/sub, so it is
fast.

The deadline travels with the request: what nobody waits for any more is not started. A caller that
is cancelled says so, and the handler is cancelled as well (`handling`).
"""

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import msgspec

from bus.arguments import seconds_or_none
from bus.errors import BusError, RequestFailed, RequestTimeout
from bus.messages.codec import check_type, decode_body
from bus.messages.envelope import Envelope

from .handling import give_up, inherited_deadline

if TYPE_CHECKING:
    from bus.bus import Bus
    from bus.queues.queue import Queue

R = TypeVar("R")

#: Type of an envelope that carries an error instead of a reply.
ERROR: Final = "!error"

#: Seconds at most in which to find out why nobody answered.
_LOOK: Final = 0.2


class Failure(msgspec.Struct, frozen=True):
    """The body of an error reply."""

    error: str
    message: str


def expired(envelope: Envelope) -> bool:
    """Whether nobody waits for a reply to `envelope` any more."""
    return envelope.deadline is not None and envelope.deadline <= time.time()


def deadline_in(timeout: float | None, *, inherit: bool) -> float:
    """When nobody waits any more, in seconds since the epoch: after `timeout` seconds, but, with
    `inherit`, not after the deadline of the request that is being handled here.

    Raises:
        ValueError: there is neither, or the timeout is negative or longer than a year.
        TypeError: the timeout is no number.
    """
    seconds_or_none("timeout", timeout)
    inherited = inherited_deadline() if inherit else None
    if timeout is None and inherited is None:
        raise ValueError("give a timeout: no request with a deadline is being handled here")
    own = math.inf if timeout is None else time.time() + timeout
    return own if inherited is None else min(own, inherited)


async def request(
    bus: "Bus",
    queue: "Queue[Any]",
    body: object,
    reply_type: type[R],
    *,
    sender: str,
    timeout: float | None,
    inherit: bool = True,
    to: str,
    by: str | None = None,
) -> R:
    """Put `body` into `queue` and wait for the reply.

    Args:
        to: Who is asked, in words.
        by: The agent that is asked, if it is one: where this bus signs, another's reply is refused.

    Raises:
        RequestTimeout: none came within `timeout` seconds.
        RequestFailed: the other side answered with an error.
        UndecodableMessage: the reply is not a `reply_type`.
    """
    check_type(reply_type)
    deadline = deadline_in(timeout, inherit=inherit)
    left = max(0.0, deadline - time.time())
    arrived = anyio.Event()
    replies: list[Envelope] = []

    def take(envelope: Envelope) -> None:
        replies.append(envelope)
        arrived.set()

    with bus.telemetry.requesting(queue.destination) as requesting:
        with anyio.move_on_after(left):
            await bus.mailbox.open()
            message_id, message = bus.wrap(
                queue.base, body, sender=sender, reply_to=bus.mailbox.channel, deadline=deadline
            )
            requesting.message(message_id)
            with bus.mailbox.expecting(message_id, take, by=by):
                try:
                    await queue.put_message(message)
                    await arrived.wait()
                except anyio.get_cancelled_exc_class():
                    # Where the deadline passed, the other side knows that by itself.
                    if deadline > time.time():
                        await give_up(bus, queue.base, message_id, sender)
                    raise
            return result_of(replies[0], reply_type)
        raise RequestTimeout(f"{to} did not answer within {left:.3g} s: {await _why(bus, by)}")


async def _why(bus: "Bus", agent: str | None) -> str:
    """What is known of why nobody answered."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(_LOOK), suppress(BusError):
        if agent is not None and not await bus.registry.takes_messages(agent, ask=True):
            return f"agent {agent} takes no messages (it joined with inbox=False)"
    return (
        "it may be absent, not read its messages, or still be at work; see who is present by "
        "`argentbus agents`"
    )


def result_of(envelope: Envelope, reply_type: type[R]) -> R:
    """The reply in `envelope`. Raises what `request` does."""
    if envelope.type == ERROR:
        failure = decode_body(envelope, Failure)
        raise RequestFailed(failure.error, failure.message, envelope.sender)
    return decode_body(envelope, reply_type)


async def answer(bus: "Bus", envelope: Envelope, sender: str, body: Any, kind: str = "") -> None:
    """Send the reply to the request in `envelope`."""
    channel = envelope.reply_to
    # The sender names the channel; it may only name one on which instances hear replies.
    if channel is None or not channel.startswith(bus.keys.instance("")):
        return
    _, message = bus.wrap(channel, body, sender=sender, type=kind or None, message_id=envelope.id)
    await bus.publish(channel, message)


async def answer_error(bus: "Bus", envelope: Envelope, sender: str, error: Exception) -> None:
    """Send `error`, by its type's name and its message, as the reply."""
    failure = Failure(error.__class__.__name__, str(error)[:2000])
    await answer(bus, envelope, sender, failure, kind=ERROR)
