"""Ids that are growing numbers, made by whoever writes: after Twitter's Snowflake (2010).

63 bits: 42 of milliseconds since 1970, which last until 2109, and 21 of which the first of a
millisecond is drawn at random below 2^20. The next one in the same millisecond, or after a clock
that went back, is one more than the last. So within a process they grow without exception; those
of two processes are in the order of their clocks, and may in rare cases be equal: whoever stores
them has to make do with that (see `storage.sessions.observations`).
"""

import secrets
from threading import Lock
from time import time_ns
from typing import Final

#: Greatest id.
MOST: Final = 2**63 - 1

_BITS: Final = 21

_lock: Final = Lock()
_last = 0


def new_id() -> int:
    """An id greater than all that this process has made."""
    global _last  # noqa: PLW0603 (what grows within a process is the process's)
    with _lock:
        now = time_ns() // 1_000_000
        if now > _last >> _BITS:
            _last = now << _BITS | secrets.randbits(_BITS - 1)
        else:
            _last += 1
        return _last
