"""What a log's reader has seen: a signed message that is appended a second time is refused.

Each message is claimed by the entry that it first came with, before it is applied; reading that
entry again (after a crash) is no repetition. Only so much is remembered as has to be: a message
whose `sent_at`, which is signed, is further than the window from its entry's time is refused by
itself, and entry ids only grow, so a repetition that passes has an original within twice the window
of the log's end. It is kept in Redis beside the log: where Redis loses both, what was sent within
the window before can be repeated once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from bus.servers.script import Argument, Script

if TYPE_CHECKING:
    from bus.bus import Bus
    from bus.logs.log import Log, LogEntry

_CLAIM: Final = Script("messages/claim")

#: Entries in one call.
_AT_ONCE: Final = 500


async def without_repetitions(
    bus: "Bus", log: "Log", entries: "Sequence[LogEntry]"
) -> "list[LogEntry]":
    """The entries, with an error in place of the envelope of each that is a repetition.

    Where signatures are not required, nothing is checked.

    Raises:
        BusUnavailable: Redis could not be reached.
    """
    if bus.signing is None or not bus.signing.required:
        return list(entries)
    window = bus.signing.window
    checked = [_in_time(entry, window) for entry in entries]
    ids = [(e.envelope.id, e.id) for e in checked if e.envelope is not None]
    first: dict[str, str] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        args: list[Argument] = [
            int(2 * window * 1000) + 1,
            *(word for pair in some for word in pair),
        ]
        found = await bus.link.run(_CLAIM, [f"{log.key}:seen", f"{log.key}:seen:times"], args)
        first.update({entry_id: by.decode() for (_, entry_id), by in zip(some, found, strict=True)})
    return [
        _refused(entry, f"a repetition of entry {first[entry.id]}")
        if first.get(entry.id, entry.id) != entry.id
        else entry
        for entry in checked
    ]


def _in_time(entry: "LogEntry", window: float) -> "LogEntry":
    if entry.envelope is None:
        return entry
    arrived = int(entry.id.partition("-")[0]) / 1000
    # Not `>`: what is not a number is no time.
    if abs(arrived - entry.envelope.sent_at) <= window:
        return entry
    return _refused(
        entry, f"was not sent within {window:g} s of its arrival: a repetition, or a clock is off"
    )


def _refused(entry: "LogEntry", reason: str) -> "LogEntry":
    return msgspec.structs.replace(entry, envelope=None, error=reason)
