"""Agents that are missing without an event that says why.

Either they died while events were lost, or Redis lost its data and they are about to join again.
Their own TTL tells these apart: whoever lives beats within it.
"""

import math
from collections.abc import Collection

import anyio

from bus import Presence


class Doubts:
    """Remembers since when each instance has been missing."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}

    def confirmed(self, presence: Presence) -> bool:
        """Note that this instance is missing; True once it has been so for its TTL."""
        now = anyio.current_time()
        return now >= self._deadlines.setdefault(presence.instance, now + presence.ttl)

    def keep(self, missing: Collection[str]) -> None:
        """Forget every instance that is not `missing` any more, or whose doubt is settled."""
        now = anyio.current_time()
        self._deadlines = {
            instance: deadline
            for instance, deadline in self._deadlines.items()
            if instance in missing and deadline > now
        }

    def due_in(self) -> float:
        """Seconds until the next doubt can be settled; infinite where there is none."""
        soonest = min(self._deadlines.values(), default=math.inf)
        return max(0.0, soonest - anyio.current_time())
