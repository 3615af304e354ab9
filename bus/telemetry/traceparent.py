"""W3C traceparent (https://www.w3.org/TR/trace-context/): as it travels in envelopes."""

import re
from typing import Final, NamedTuple

_FORMAT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

#: Longest that is looked at: what later versions add is passed over, but not without end.
_LONGEST: Final = 512


class TraceParent(NamedTuple):
    """Attributes: ids of the trace and of the span; flags, of which 1 is `sampled`."""

    trace_id: int
    span_id: int
    flags: int


def read(text: str | None) -> TraceParent | None:
    """What a sender wrote, or None where it is not a traceparent, whatever else it is."""
    if text is None or len(text) > _LONGEST:
        return None
    found = _FORMAT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more):
        return None
    parent = TraceParent(int(trace_id, 16), int(span_id, 16), int(flags, 16))
    return parent if parent.trace_id and parent.span_id else None


def write(trace_id: int, span_id: int, flags: int) -> str:
    """The context of a span, for an envelope."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & 0xFF:02x}"
