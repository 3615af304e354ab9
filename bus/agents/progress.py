"""Progress: alive is not the same as getting on."""

import time
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

if TYPE_CHECKING:
    from .agent import Agent

#: Least seconds between two times that Redis is told of an agent's progress.
TELL_EVERY: Final = 1.0


class Progress:
    """When an agent last got on, and whether it has to be told to others. Made by `Agent`.

    The mark itself is kept in this process, so that an agent may set one for every item of a loop;
    others are told at most once a second, and at once where it was stalled.
    """

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._marked = anyio.current_time()
        self._marked_at: float | None = None
        self._told = -TELL_EVERY
        self._note: str | None = None
        self._untold = False

    def mark(self, note: str | None) -> None:
        """Note that the agent gets on."""
        self._marked = anyio.current_time()
        self._marked_at = time.time()
        self._note = note if note is not None else self._note
        self._untold = True

    @property
    def stalled(self) -> bool:
        """Whether the agent has been without progress for longer than it said it would be."""
        stall_after = self._agent.presence.stall_after
        return stall_after is not None and anyio.current_time() - self._marked > stall_after

    @property
    def due(self) -> bool:
        """Whether others are to be told something."""
        if self.stalled != self._agent.state.stalled:
            return True
        return self._untold and anyio.current_time() - self._told >= TELL_EVERY

    async def tell(self) -> None:
        """Tell others. Raises as `Agent.set_state` does."""
        stalled = self.stalled

        def marks() -> dict[str, float | str | None]:
            before = self._agent.state.stalled_since
            return {
                "progress": self._note,
                "progress_at": self._marked_at,
                "stalled_since": (before or time.time()) if stalled else None,
            }

        # Before it is told: what is marked meanwhile is told the next time.
        self._untold, told_before = False, self._told
        self._told = anyio.current_time()
        try:
            await self._agent.say(lambda state: msgspec.structs.replace(state, **marks()))
        except BaseException:
            self._untold, self._told = True, told_before
            raise
