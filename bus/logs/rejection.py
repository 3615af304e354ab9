"""Rejections: what the sender of an entry is told when the log's reader sets it aside."""

from typing import Any, Final

import msgspec

from bus.errors import InvalidName, UndecodableMessage
from bus.keys import check_name
from bus.messages.envelope import Envelope, unwrap

#: Rejections that are kept to be told to a sender, and the seconds for which they are after the
#: last of them.
MOST_TOLD: Final = 1000
REMEMBER_TOLD: Final = 604_800

#: Most characters of a type that a sender is told.
_MOST_TYPE: Final = 128


class Rejection(msgspec.Struct, frozen=True):
    """What the sender of an entry is told that the log's reader has set aside.

    Attributes:
        id: `<ms>-<n>`, growing; `<ms>` is never less than that of the entry's id.
        entry_id: Where the entry stood.
        message_id: Of its envelope.
        type: Name of its body's type.
        reason: Why it was set aside.

    Example: See `Log`.
    """

    id: str
    entry_id: str
    message_id: str
    type: str
    reason: str


def claimed(envelope: Envelope | None, raw: bytes) -> Envelope | None:
    """What an entry says of itself, as far as a sender can be told of it; proven or not.

    Args:
        envelope: Where it was accepted.
        raw: The entry's bytes.
    """
    try:
        envelope = envelope or unwrap(raw)
        check_name("agent", envelope.sender)
    except (UndecodableMessage, InvalidName):
        return None
    if len(envelope.id) > _MOST_TYPE or len(envelope.type) > _MOST_TYPE:
        return None
    return envelope


def rejection_of(id: str, fields: Any) -> Rejection:
    """The rejection that is noted in an entry of a sender's rejections."""
    pairs = (
        fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    )

    def text(name: bytes) -> str:
        return bytes(pairs.get(name, b"")).decode(errors="replace")

    return Rejection(id, text(b"entry"), text(b"message"), text(b"type"), text(b"reason"))
