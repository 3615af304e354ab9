"""Changes of a roster, one bounded buffer for each reader."""

from collections import deque
from typing import Final, Literal

import anyio
import msgspec

from bus import AgentState, Presence

from .errors import ChangesMissed

Kind = Literal["joined", "left", "expired", "changed", "stalled", "resumed"]

#: Changes kept for a reader that is busy.
BUFFER: Final = 1000


class AgentView(msgspec.Struct, frozen=True):
    """One agent as it was seen last.

    Attributes:
        presence: Who it is, where it runs, since when, and its TTL.
        state: What it says of itself.

    Example: See `Roster`.
    """

    presence: Presence
    state: AgentState

    @property
    def stalled(self) -> bool:
        """Whether it beats, and has made no progress for longer than it said it would be."""
        return self.state.stalled


class Change(msgspec.Struct, frozen=True):
    """One thing that happened to an agent.

    Attributes:
        kind: `joined`, `left` (it said so), `expired` (its heartbeat stopped), `changed`,
            `stalled` (it beats, but makes no progress) or `resumed` (it makes progress again).
        agent: Its id; where several instances share that, `<id>#<instance>`, as in `Roster.agents`.
        view: The agent behind the change; for `left` and `expired`, as it was seen last. None
            where it was gone before anything was seen of it.
        at: When, in seconds since the epoch, by the clock of Redis; where the change was found by
            comparing snapshots, when it was found.
        cause: Why, where somebody said it.

    Example: See `Roster`.
    """

    kind: Kind
    agent: str
    view: AgentView | None
    at: float
    cause: str | None = None


class Changes:
    """An endless iterator over the changes since it was made. Made by `Roster.changes`.

    It ends when the roster is closed. Several readers each have their own.

    Example: See `Roster`.
    """

    def __init__(self, buffer: int = BUFFER) -> None:
        if buffer < 1:
            raise ValueError(f"buffer is {buffer}: it must be at least 1")
        self._waiting: deque[Change] = deque()
        self._buffer = buffer
        self._overrun = False
        self._closed = False
        self._arrived = anyio.Event()

    def deliver(self, change: Change) -> bool:
        """Take a change; False when the buffer is full, and this reader is given up."""
        newest = self._waiting[-1] if self._waiting else None
        if newest and newest.kind == change.kind == "changed" and newest.agent == change.agent:
            # Only the latest state of an agent matters to a reader that has not seen either.
            self._waiting[-1] = change
            return True
        if len(self._waiting) >= self._buffer:
            self._overrun = True
            self._waiting.clear()
        else:
            self._waiting.append(change)
        self._arrived.set()
        return not self._overrun

    def close(self) -> None:
        """End the iteration behind what has arrived already."""
        self._closed = True
        self._arrived.set()

    def __aiter__(self) -> "Changes":
        return self

    async def __anext__(self) -> Change:
        """Return the next change.

        Raises:
            ChangesMissed: more arrived than the buffer holds; what was in it is discarded.
        """
        while not self._waiting:
            if self._overrun:
                raise ChangesMissed(
                    f"more than {self._buffer} changes waited for this reader: take roster.agents, "
                    "and iterate over roster.changes() anew, with a larger buffer if need be"
                )
            if self._closed:
                raise StopAsyncIteration
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._waiting.popleft()
