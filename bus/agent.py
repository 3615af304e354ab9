"""An agent on the bus: present, in a state, and able to send, ask and be asked."""

import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import msgspec
from anyio.abc import TaskGroup

from .errors import NobodyPresent, RequestTimeout
from .gathering import Answers, Gathering, gathering
from .inbox import Inbox, inbox_of
from .keys import check_name, check_names
from .presence import Presence
from .progress import Progress
from .queue import Queue
from .request import deadline_in, request
from .state import AgentState, own_fields
from .topic import Topic

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger("argentbus.presence")


class Agent:
    """An agent that has joined. Made by `Bus.join`.

    Attributes:
        bus: The bus it is on.
        presence: Its record: id, instance, role, where it runs, since when.
        state: What it last said of itself.
    """

    def __init__(
        self,
        bus: "Bus",
        presence: Presence,
        state: msgspec.Struct | type[msgspec.Struct] | None = None,
    ) -> None:
        self.bus = bus
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
    def id(self) -> str:
        return self.presence.agent

    @property
    def instance(self) -> str:
        return self.presence.instance

    def __repr__(self) -> str:
        return f"<Agent {self.id} {self.instance}>"

    # saying of itself

    async def set_state(
        self,
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
            PresenceLost: another instance has taken this one's place.
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
            PresenceLost: another instance has taken this one's place.
            BusUnavailable: Redis could not be reached.
        """
        self.progress_marks.mark(note)
        self.bus.roll.watch(self)
        if self.progress_marks.due:
            await self.progress_marks.tell()

    async def say(self, change: Callable[[AgentState], AgentState]) -> None:
        """Change the state, one change at a time. Raises as `set_state` does."""
        async with self._state_lock:
            state = change(self.state)
            await self.bus.registry.change_state(self.presence, self.state, state)
            self.state = state

    # talking

    def topic(self, name: str, body_type: type[T]) -> Topic[T]:
        """Like `Bus.topic`, with this agent as the sender."""
        return self.bus.topic(name, body_type, sender=self.id)

    def queue(self, name: str, body_type: type[T], *, max_deliveries: int = 5) -> Queue[T]:
        """Like `Bus.queue`, with this agent as the sender."""
        return self.bus.queue(name, body_type, max_deliveries=max_deliveries, sender=self.id)

    async def send(self, to: str, body: object) -> str:
        """Put `body` into the inbox of the agent `to`, who need not be present now.

        Where several instances are that agent, one of them gets it.

        Returns:
            The message's id.

        Raises:
            InvalidName: `to` cannot be an agent's id.
            BusUnavailable: Redis could not be reached; the message may have been put.
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        return await self._inbox_of(to).put(body)

    async def send_any(
        self, body: object, *, role: str | None = None, capabilities: Iterable[str] = ()
    ) -> str:
        """Put `body` into the inbox of one of the agents that are present with that role and those
        capabilities, but this one: by chance, so that they share the work.

        Returns:
            The id of the agent that gets it.

        Raises:
            NobodyPresent: there is none.
            BusUnavailable, MessageTooLarge: as `send`.
        """
        to = random.choice(await self._others(role, capabilities))  # noqa: S311 (spreads work)
        await self.send(to, body)
        return to

    async def send_all(
        self, body: object, *, role: str | None = None, capabilities: Iterable[str] = ()
    ) -> list[str]:
        """Put `body` into the inbox of every agent that is present with that role and those
        capabilities (by default of everybody), but this one.

        It waits in those inboxes until it is read. What is only for those who listen now is better
        published on a topic.

        Returns:
            The ids of the agents that get it.

        Raises:
            NobodyPresent: there is none.
            BusUnavailable, MessageTooLarge: as `send`; some may have got it.
        """
        agents = await self._others(role, capabilities)
        limiter = anyio.CapacityLimiter(100)
        errors: list[Exception] = []

        async def send(to: str) -> None:
            async with limiter:
                try:
                    await self.send(to, body)
                except Exception as error:  # noqa: BLE001 (raised below, as itself)
                    errors.append(error)

        async with anyio.create_task_group() as tasks:
            for agent in agents:
                tasks.start_soon(send, agent)
        if errors:
            raise errors[0]
        return agents

    async def request(
        self,
        to: str,
        body: object,
        reply_type: type[R],
        *,
        timeout: float | None = None,
        inherit_deadline: bool = True,
    ) -> R:
        """Ask the agent `to`, and wait for its reply.

        Where several instances are that agent, one that is free handles it; where that one dies,
        another does, if there is time left. Where this call is cancelled, so is the handler.

        Args:
            timeout: Seconds after which nobody waits any more: the request is then not started, and
                its handler is cancelled. None: as long as the request that is being handled here
                has.
            inherit_deadline: Whether to wait no longer than the one who asked what is being handled
                here.

        Raises:
            RequestTimeout: no reply came in time.
            RequestFailed: the other's handler raised.
            UndecodableMessage: the reply is not a `reply_type`.
            ValueError: there is no timeout, and no deadline to inherit.
        """
        return await request(
            self.bus,
            self._inbox_of(to),
            body,
            reply_type,
            sender=self.id,
            timeout=timeout,
            inherit=inherit_deadline,
            to=f"agent {to}",
        )

    async def gather(
        self,
        body: object,
        reply_type: type[R],
        *,
        role: str | None = None,
        capabilities: Iterable[str] = (),
        timeout: float | None = None,
        inherit_deadline: bool = True,
    ) -> Answers[R]:
        """Ask every agent that is present with that role and those capabilities, but this one, and
        wait until all have answered or the time is over: who replied what, who failed, who is
        silent.

        Args:
            timeout, inherit_deadline: As for `request`.

        Raises:
            NobodyPresent: there is none.
            RequestTimeout: nobody could be asked in time.
            BusUnavailable: Redis could not be reached.
        """
        async with self.gathering(
            body,
            reply_type,
            role=role,
            capabilities=capabilities,
            timeout=timeout,
            inherit_deadline=inherit_deadline,
        ) as answers:
            return await answers.all()

    def gathering(
        self,
        body: object,
        reply_type: type[R],
        *,
        role: str | None = None,
        capabilities: Iterable[str] = (),
        timeout: float | None = None,
        inherit_deadline: bool = True,
    ) -> AbstractAsyncContextManager[Gathering[R]]:
        """Like `gather`, with the answers as they arrive: iterate over what the context gives.

        Whoever has not answered when the context ends is told that nobody waits any more, and its
        handler is cancelled.
        """

        @asynccontextmanager
        async def answers() -> Any:
            deadline = deadline_in(timeout, inherit=inherit_deadline)
            with anyio.move_on_after(deadline - time.time()) as looking:
                agents = await self._others(role, capabilities)
                await self.bus.mailbox.open()
            if looking.cancelled_caught:
                raise RequestTimeout("nobody was asked in time: Redis does not answer")
            async with gathering(
                self.bus, agents, body, reply_type, sender=self.id, deadline=deadline
            ) as found:
                yield found

        return answers()

    def inbox(self, *body_types: Any, prefetch: int | None = None) -> Inbox:
        """The messages that others sent to this agent, endlessly: iterate over it.

        Args:
            body_types: Types of the bodies, told apart by their names; bodies of other types come
                as plain data.
            prefetch: Most deliveries read ahead, from the first reading on: by default 100, or none
                where several instances share the inbox, so that whoever is idle gets the next one.
        """
        self._inbox.types.update({body_type.__name__: body_type for body_type in body_types})
        if prefetch is not None:
            self._inbox.prefetch = prefetch
        return self._inbox

    async def _others(self, role: str | None, capabilities: Iterable[str]) -> list[str]:
        wanted = check_names("capability", capabilities)
        found = await self.bus.registry.find(role=role, capabilities=wanted)
        agents = sorted({presence.agent for presence in found} - {self.id})
        if not agents:
            having = [f"role {role}"] if role else []
            having += [f"capability {name}" for name in wanted]
            raise NobodyPresent(
                f"no other agent is present{' with ' if having else ''}{', '.join(having)}: start "
                "one (`argentbus agents` lists who is here)"
            )
        return agents

    def _inbox_of(self, agent: str) -> Queue[Any]:
        return inbox_of(self.bus, check_name("agent", agent), {}, sender=self.id)
