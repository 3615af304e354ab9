"""An agent on the bus: present, in a state, and able to send, ask and be asked."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from bus.errors import BusError, PresenceLost
from bus.messages.codec import check_type

from .correspondent import Correspondent
from .inbox import Inbox
from .presence import Presence
from .progress import Progress
from .state import AgentState, own_fields

if TYPE_CHECKING:
    from bus.bus import Bus


class Agent(Correspondent):
    """An agent that has joined. Made by `Bus.join`.

    Attributes:
        bus: The bus it is on.
        id: The agent's id.
        presence: Its record: id, instance, role, where it runs, since when.
        state: What it last said of itself.
        instance: Id of this instance of the agent, never used again.
        lost: Set when another instance is present in its place; its block is then cancelled.
        leaving, left: Whether it is on its way out, and whether Redis knows.
        progress_marks, tasks: For the bus itself: what `progress` marked, and what runs beside the
            block.

    Example:
        async with bus.join("writer", role="writer") as writer:
            await agent.set_state(status="processing", activity="looks for work")
            await agent.send("writer", Review("parser.py"))
            inbox: Inbox = writer.inbox(Review)
            async with await anext(inbox) as delivery:
                print(delivery.sender, delivery.body.path)  #> scout parser.py
    """

    def __init__(
        self,
        bus: "Bus",
        presence: Presence,
        state: msgspec.Struct | type[msgspec.Struct] | None = None,
    ) -> None:
        super().__init__(bus, presence.agent)
        self.presence = presence
        self.state = AgentState(
            instance=presence.instance, last_activity=presence.since, fields=own_fields(state)
        )
        self.lost = anyio.Event()
        self.leaving = False
        self.left = False
        self.progress_marks = Progress(self)
        self.tasks: TaskGroup
        self._own_type = type(state) if isinstance(state, msgspec.Struct) else state
        self._state_lock = anyio.Lock()
        self._inbox = Inbox(self)

    @property
    def instance(self) -> str:
        return self.presence.instance

    def __repr__(self) -> str:
        return f"<Agent {self.id} {self.instance}>"

    def _check_here(self) -> None:
        """Return only if the agent's block has not ended.

        Raises:
            PresenceLost: it has.
        """
        if self.leaving:
            raise PresenceLost(
                f"agent {self.id} has left: its block (`async with bus.join({self.id!r})`) has "
                "ended, so it says and sends nothing any more; join again"
            )

    # saying of itself

    async def set_state(
        self,
        /,
        *,
        status: str | None = None,
        **changes: Any,
    ) -> None:
        """Change some of the agent's state; the rest stays, in Redis as well.

        Args:
            status: `idle`, `processing`, `contemplating` or `offline`.
            changes: `activity`, `mood`, `valence` (-2 to 2), `arousal` (0 to 1), `session_key`, or
                fields of your own: those of the Struct that the agent joined with, or any, which
                are kept as text. None removes one.

        Raises:
            ValueError: a value is not one of those, or not of its field's type.
            PresenceLost: another instance has taken this one's place, or its block has ended.
            BusUnavailable: Redis could not be reached.
        """
        if status is not None:
            changes["status"] = status
        await self.say(lambda state: state.with_changes(self._own_type, **changes))

    async def progress(self, note: str | None = None) -> None:
        """Mark that the agent gets on. It costs nothing: mark every item of a loop.

        Others are told at most once a second, and at once where it was shown as stalled
        (`stall_after` of `Bus.join`).

        Args:
            note: What was done, in words; None leaves the last one.

        Raises:
            PresenceLost: another instance has taken this one's place, or its block has ended.
            BusUnavailable: Redis could not be reached.
        """
        self._check_here()
        self.progress_marks.mark(note)
        self.bus.roll.watch(self)
        if self.progress_marks.due:
            await self.progress_marks.tell()

    async def say(self, change: Callable[[AgentState], AgentState]) -> None:
        """Change the state, one change at a time. Raises as `set_state` does."""
        async with self._state_lock:
            self._check_here()
            state = change(self.state)
            await self.bus.registry.change_state(self.presence, self.state, state)
            self.state = state

    # hearing

    def inbox(self, *body_types: Any, prefetch: int | None = None) -> Inbox:
        """The messages that others sent to this agent, endlessly: iterate over it.

        Args:
            body_types: Types of the bodies, told apart by their names; bodies of other types come
                as plain data.
            prefetch: Most deliveries read ahead, from the first reading on: by default 100, or none
                where several instances share the inbox, so that whoever is idle gets the next one.

        Raises:
            BusError: it joined with `inbox=False`.
            PresenceLost: its block has ended.
            TypeError: a type is none.
        """
        self._check_here()
        if not self.presence.inbox:
            raise BusError(f"agent {self.id} joined with inbox=False: others send it nothing")
        for body_type in body_types:
            check_type(body_type)
        self._inbox.types.update({body_type.__name__: body_type for body_type in body_types})
        if prefetch is not None:
            self._inbox.prefetch = prefetch
        return self._inbox
