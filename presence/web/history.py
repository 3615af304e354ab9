"""What the page remembers: those who went, and the last events."""

from collections import deque
from itertools import count
from typing import Final

from bus import DashboardEvent
from presence.roster import AgentView, Change
from presence.text import clean

from .messages import GoneRow, Happening, gone_key, gone_row

#: Seconds for which an agent that went is shown, and how many are.
KEEP_GONE: Final = 900.0
MOST_GONE: Final = 50
#: Events that a new page is told of.
MOST_EVENTS: Final = 100


class History:
    """The recent past, bounded in length and in time."""

    def __init__(self) -> None:
        self.gone: dict[str, GoneRow] = {}
        self.events: deque[Happening] = deque(maxlen=MOST_EVENTS)
        self._numbers = count(1)

    def went(self, change: Change) -> GoneRow | None:
        """Remember that an agent left or expired; None where nothing is known of it."""
        if change.view is None:
            return None
        row = gone_row(change.agent, change.view, how=change.kind, at=change.at, cause=change.cause)
        self.gone.pop(row.key, None)
        self.gone[row.key] = row
        return row

    def back(self, agent: str, view: AgentView) -> str | None:
        """Take an instance off the list of those who went; return its key if it was there."""
        key = gone_key(agent, view)
        return key if self.gone.pop(key, None) is not None else None

    def forget(self, now: float) -> list[str]:
        """Drop those that went too long ago, or are too many; return their keys."""
        too_many = len(self.gone) - MOST_GONE
        old = [
            key
            for place, (key, row) in enumerate(self.gone.items())
            if place < too_many or row.at < now - KEEP_GONE
        ]
        for key in old:
            del self.gone[key]
        return old

    def note(self, kind: str, agent: str, detail: str, at: float) -> Happening:
        """Remember an event, cleaned."""
        happening = Happening(
            str(next(self._numbers)), clean(kind, 40), clean(agent, 128), clean(detail, 300), at
        )
        self.events.append(happening)
        return happening


def told(event: DashboardEvent, *, now: float) -> tuple[str, str, str, float]:
    """Kind, agent, detail and time of an announced event; a clock far off is not believed."""
    at = event.at if abs(event.at - now) < 86_400 else now
    return event.kind, event.agent, event.detail, at


def said(change: Change, before: AgentView | None) -> str | None:
    """A change in words, or None where it is not worth a line: a figure that grew, a mood."""
    view = change.view
    if change.kind == "joined" and view is not None:
        role = f"as {view.presence.role}, " if view.presence.role else ""
        return f"{role}process {view.presence.pid} on {view.presence.host}"
    if change.kind == "expired":
        ttl = f" for {view.presence.ttl:g} s" if view is not None else ""
        return f"no heartbeat{ttl}: killed, frozen or cut off; what it held is given up"
    if change.kind == "left":
        return change.cause if change.cause and change.cause != "left" else "said goodbye"
    if view is None or before is None:
        return None
    if change.kind == "stalled":
        return f"beats, but has made no progress for {_seconds(view.presence.stall_after)}"
    if change.kind == "resumed":
        return f"makes progress again: {view.state.progress or 'it said so'}"
    old, new = before.state, view.state
    if (old.status, old.activity) == (new.status, new.activity):
        return None
    return f"{new.status}: {new.activity}" if new.activity else new.status


def _seconds(seconds: float | None) -> str:
    return "longer than it said it would be" if seconds is None else f"{seconds:g} s"
