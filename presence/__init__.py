"""The watching side: who is on the bus, what becomes of them, and a page that shows it live."""

from .errors import ChangesMissed, PresenceError, TooManyViewers
from .metrics import QueueFigures, Sample, Sampler
from .roster import AgentView, Change, Changes, Roster

__all__ = [
    "AgentView",
    "Change",
    "Changes",
    "ChangesMissed",
    "PresenceError",
    "QueueFigures",
    "Roster",
    "Sample",
    "Sampler",
    "TooManyViewers",
]
