"""The envelope around every message, and its form on the wire."""

import time
from typing import TYPE_CHECKING, Final

import msgspec
import uuid_utils

from bus.errors import UndecodableMessage

if TYPE_CHECKING:
    from .signing import Signing

VERSION: Final = 1


def new_id() -> str:
    """A UUIDv7 as 32 hex digits: unique, and in the order of creation (RFC 9562)."""
    return uuid_utils.uuid7().hex


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message. Encoded as a msgpack array; the body stays encoded until somebody wants it.

    Attributes:
        id: UUIDv7 of the message, given by the sender.
        type: Name of the body's type.
        sender: Id of the agent (or the bus instance) that sent it.
        sent_at: By the sender's clock, in seconds since the epoch.
        body: msgpack of the body.
        reply_to: Channel on which the sender waits for a reply, or None.
        deadline: By the sender's clock, in seconds since the epoch, after which nobody waits.
        trace: W3C traceparent, or None.
        version: Of this format.
        signature: MAC over the rest, or None where signing is off.

    Example: See `DeadLetter`.
    """

    id: str
    type: str
    sender: str
    sent_at: float
    body: msgspec.Raw
    reply_to: str | None = None
    deadline: float | None = None
    trace: str | None = None
    version: int = VERSION
    signature: bytes | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode


def encode(envelope: Envelope) -> bytes:
    """The envelope as it travels."""
    return _encode(envelope)


def wrap(
    body: object,
    *,
    sender: str,
    type: str | None = None,
    reply_to: str | None = None,
    deadline: float | None = None,
    message_id: str | None = None,
    trace: str | None = None,
    signing: "Signing | None" = None,
    destination: str = "",
) -> tuple[str, bytes]:
    """Put `body` into an envelope; return the message's id (new, if none is given) and
    the encoded envelope, signed for its destination where there is something to sign with.

    Raises:
        SigningKeyUnusable: the secret of the sender is not held here.
        UndecodableMessage: the body is of a type that msgspec cannot encode.
    """
    try:
        encoded = _encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise UndecodableMessage(
            f"a {body.__class__.__name__} cannot be encoded as msgpack ({error}): "
            "send a msgspec.Struct, a dataclass, or plain lists, dicts, strings and numbers"
        ) from error
    message_id = message_id or new_id()
    envelope = Envelope(
        message_id,
        type or body.__class__.__name__,
        sender,
        time.time(),
        msgspec.Raw(encoded),
        reply_to,
        deadline,
        trace,
    )
    return message_id, _encode(signing.sign(envelope, destination) if signing else envelope)


def unwrap(raw: bytes) -> Envelope:
    """Decode an envelope.

    Raises:
        UndecodableMessage: the bytes are not an envelope of a version that is known here.
    """
    try:
        envelope = _decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UndecodableMessage(f"not an envelope: {error}") from error
    if envelope.version != VERSION:
        raise UndecodableMessage(
            f"envelope version {envelope.version} from {ascii(envelope.sender)[:80]} is not known "
            f"here (this side speaks {VERSION}): update the older side"
        )
    return envelope
