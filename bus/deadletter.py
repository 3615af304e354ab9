"""Dead letters: messages that could not be handled, kept with the reason until somebody decides."""

from typing import Any

import msgspec


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was set aside.

    Attributes:
        id: Of the dead letter, for `Queue.replay`.
        reason: Why it was set aside.
        attempts: How often it had been delivered.
        group: Consumer group that gave it up; empty for a log.
        entry_id: Where it stood in the stream.
        died_at: By the server's clock, in seconds since the epoch.
        message: The encoded envelope, or whatever bytes stood there.
    """

    id: str
    reason: str
    attempts: int
    group: str
    entry_id: str
    died_at: float
    message: bytes


def dead_letter(row: Any) -> DeadLetter:
    """Read a dead letter from an entry of a dead-letter stream."""
    fields = dict(zip(row[1][::2], row[1][1::2], strict=False))
    entry_id = row[0].decode()
    attempts = fields.get(b"attempts", b"")
    return DeadLetter(
        id=entry_id,
        reason=fields.get(b"reason", b"").decode(errors="replace"),
        attempts=int(attempts) if attempts.isdigit() else 0,
        group=fields.get(b"group", b"").decode(errors="replace"),
        entry_id=fields.get(b"entry", b"").decode(errors="replace"),
        died_at=int(entry_id.split("-")[0]) / 1000,
        message=fields.get(b"e", b""),
    )
