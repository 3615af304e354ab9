"""The watching side: who is on the bus, what becomes of them, and a page that shows it live.

The examples in this package's docstrings stand in such a program, where the dots are; what one
prints is behind `#>`.

    import anyio
    from bus import Bus
    from presence import *

    async def main():
        async with Bus.connect("redis://127.0.0.1:6380") as bus, Roster.watch(bus) as roster:
            ...

    anyio.run(main)
"""

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
