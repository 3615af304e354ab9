"""Request and reply: the request goes by stream, so it survives; the reply by pub/sub, so it is
fast.

The deadline travels with the request: what nobody waits for any more is not started.
"""

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import msgspec

from .codec import decode_body
from .envelope import Envelope, wrap
from .errors import RequestFailed, RequestTimeout

if TYPE_CHECKING:
    from .bus import Bus

R = TypeVar("R")

#: Type of an envelope that carries an error instead of a reply.
ERROR: Final = "!error"


class Failure(msgspec.Struct, frozen=True):
    """The body of an error reply."""

    error: str
    message: str


def expired(envelope: Envelope) -> bool:
    """Whether nobody waits for a reply to `envelope` any more."""
    return envelope.deadline is not None and envelope.deadline <= time.time()


async def request(
    bus: "Bus",
    send: Callable[[bytes], Awaitable[object]],
    body: object,
    reply_type: type[R],
    *,
    sender: str,
    timeout: float,
    to: str,
) -> R:
    """Send `body` and wait for the reply.

    Raises:
        RequestTimeout: none came within `timeout` seconds.
        RequestFailed: the other side answered with an error.
        UndecodableMessage: the reply is not a `reply_type`.
    """
    started = time.time()
    with anyio.move_on_after(timeout):
        await bus.mailbox.open()
        message_id, message = wrap(
            body, sender=sender, reply_to=bus.mailbox.channel, deadline=started + timeout
        )
        bus.check_size(message)
        with bus.mailbox.expecting(message_id) as pending:
            await send(message)
            await pending.arrived.wait()
            if pending.envelope is not None:
                return _result(pending.envelope, reply_type)
    raise RequestTimeout(
        f"{to} did not answer within {timeout:g} s: is it present (`argentbus agents`), and does "
        "it read its messages?"
    )


def _result(envelope: Envelope, reply_type: type[R]) -> R:
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
    _, message = wrap(body, sender=sender, type=kind or None, message_id=envelope.id)
    await bus.publish(channel, message)


async def answer_error(bus: "Bus", envelope: Envelope, sender: str, error: Exception) -> None:
    """Send `error`, by its type's name and its message, as the reply."""
    failure = Failure(error.__class__.__name__, str(error)[:2000])
    await answer(bus, envelope, sender, failure, kind=ERROR)
