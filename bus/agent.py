"""An agent on the bus: present, in a state, and able to send, ask and be asked."""

import logging
import os
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus

from .consumer import Consumer
from .delivery import Delivery
from .envelope import new_id
from .errors import AgentAlreadyPresent, BusError, PresenceLost, ServerFull
from .keys import check_name
from .presence import AgentState, Presence
from .queue import Queue, choosing_decoder
from .request import request
from .scope import background
from .topic import Topic

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger("argentbus.presence")

#: The consumer group of every inbox.
INBOX_GROUP = "inbox"


class Agent:
    """An agent that has joined. Made by `Bus.join`.

    Attributes:
        bus: The bus it is on.
        presence: Its record: id, instance, role, where it runs, since when.
        state: What it last said of itself.
    """

    def __init__(self, bus: "Bus", presence: Presence) -> None:
        self.bus = bus
        self.presence = presence
        self.state = AgentState(instance=presence.instance, last_activity=presence.since)
        self.lost = anyio.Event()
        self.tasks: TaskGroup
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

    async def set_state(
        self,
        *,
        status: str | None = None,
        **changes: str | float | None,
    ) -> None:
        """Change some of the agent's state; the rest stays.

        Args:
            status: `idle`, `processing`, `contemplating` or `offline`.
            changes: `activity`, `mood`, `valence` (-2 to 2), `arousal` (0 to 1), `session_key`, or
                fields of your own, which are kept as text. None removes one.

        Raises:
            ValueError: a value is not one of those.
            BusUnavailable: Redis could not be reached.
        """
        if status is not None:
            changes["status"] = status
        async with self._state_lock:
            self.state = self.state.with_changes(**changes)
            await self.bus.registry.set_state(self.id, self.state)

    # talking

    def topic(self, name: str, body_type: type[T]) -> Topic[T]:
        """Like `Bus.topic`, with this agent as the sender."""
        return self.bus.topic(name, body_type, sender=self.id)

    def queue(self, name: str, body_type: type[T], *, max_deliveries: int = 5) -> Queue[T]:
        """Like `Bus.queue`, with this agent as the sender."""
        return self.bus.queue(name, body_type, max_deliveries=max_deliveries, sender=self.id)

    async def send(self, to: str, body: object) -> str:
        """Put `body` into the inbox of the agent `to`, who need not be present now.

        Returns:
            The message's id.

        Raises:
            InvalidName: `to` cannot be an agent's id.
            BusUnavailable: Redis could not be reached; the message may have been put.
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        return await self._inbox_of(to).put(body)

    async def request(self, to: str, body: object, reply_type: type[R], *, timeout: float) -> R:
        """Ask the agent `to`, and wait for its reply.

        Args:
            timeout: Seconds after which nobody waits any more; the request is then not started.

        Raises:
            RequestTimeout: no reply came in time.
            RequestFailed: the other's handler raised.
            UndecodableMessage: the reply is not a `reply_type`.
        """
        return await request(
            self.bus,
            self._inbox_of(to).put_message,
            body,
            reply_type,
            sender=self.id,
            timeout=timeout,
            to=f"agent {to}",
        )

    def inbox(self, *body_types: Any) -> "Inbox":
        """The messages that others sent to this agent, endlessly: iterate over it.

        Args:
            body_types: Types of the bodies, told apart by their names; bodies of other types come
                as plain data.
        """
        self._inbox.types.update({body_type.__name__: body_type for body_type in body_types})
        return self._inbox

    def _inbox_of(self, agent: str) -> Queue[Any]:
        return inbox_of(self.bus, check_name("agent", agent), {}, sender=self.id)


class Inbox:
    """The inbox of one joined agent. Made by `Agent.inbox`.

    It is read from the first use on, until the agent leaves; what is unhandled then goes back.
    """

    def __init__(self, agent: Agent) -> None:
        self.types: dict[str, Any] = {}
        self._agent = agent
        self._consumer: Consumer[Any] | None = None
        self._starting = anyio.Lock()

    def __aiter__(self) -> "Inbox":
        return self

    async def __anext__(self) -> Delivery[Any]:
        if self._consumer is None:
            async with self._starting:
                if self._consumer is None:
                    self._consumer = await self._agent.tasks.start(self._consume)
        return await self._consumer.__anext__()

    async def _consume(self, *, task_status: TaskStatus[Consumer[Any]]) -> None:
        agent = self._agent
        queue = inbox_of(agent.bus, agent.id, self.types, sender=agent.id)
        async with queue.consume(INBOX_GROUP, ttl=agent.presence.ttl) as consumer:
            task_status.started(consumer)
            await anyio.sleep_forever()


def inbox_of(bus: "Bus", agent: str, types: dict[str, Any], *, sender: str) -> Queue[Any]:
    """The inbox of `agent` as a queue, whose bodies are decoded by `types` (name to type)."""
    return Queue(
        bus, f"inbox of {agent}", bus.keys.inbox(agent), choosing_decoder(types), sender=sender
    )


@asynccontextmanager
async def joined(
    bus: "Bus", agent_id: str, *, role: str | None, ttl: float, takeover: bool
) -> AsyncGenerator[Agent]:
    """Be present as `agent_id` until the context ends. See `Bus.join`."""
    if ttl < 0.1:
        raise ValueError(f"a presence of {ttl:g} s cannot be refreshed in time: use 0.1 or more")
    presence = Presence(
        instance=new_id(),
        agent=check_name("agent", agent_id),
        role=None if role is None else check_name("role", role),
        host=socket.gethostname(),
        pid=os.getpid(),
        since=time.time(),
        ttl=ttl,
    )
    agent = Agent(bus, presence)
    await bus.registry.join(presence, takeover=takeover)
    member = bus.roll.enter(presence, agent.lost)
    try:
        try:
            await bus.registry.set_state(agent.id, agent.state)
        except ServerFull as error:  # nobody is told, but it is here, and may be who makes room
            log.warning("agent %s joined without a state: %s", agent_id, error)

        async def watch() -> None:
            await agent.lost.wait()
            raise PresenceLost(
                f"agent {agent_id} was taken over by another instance: this one must stop"
            )

        async with background(watch) as agent.tasks:
            yield agent
    finally:
        bus.roll.exit(member)
        with anyio.CancelScope(shield=True), anyio.move_on_after(bus.link.reply_timeout):
            await _leave(bus, presence)


async def _leave(bus: "Bus", presence: Presence) -> None:
    try:
        await bus.registry.leave(presence, "left")
        await bus.registry.retire(presence.agent, presence.instance)
    except BusError as error:
        log.warning("agent %s could not say goodbye (%s): it expires", presence.agent, error)


class Roll:
    """The agents joined in this process, refreshed together: one call a beat."""

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus
        self._members: dict[str, tuple[Presence, anyio.Event]] = {}

    @property
    def interval(self) -> float:
        """Seconds between two beats: a third of the shortest TTL."""
        return min((p.ttl for p, _ in self._members.values()), default=30.0) / 3

    def enter(self, presence: Presence, lost: anyio.Event) -> str:
        """Refresh `presence` from now on; set `lost` when it is another's."""
        self._members[presence.instance] = (presence, lost)
        self._bus.beat_presence(self.interval)
        return presence.instance

    def exit(self, member: str) -> None:
        """Stop refreshing."""
        self._members.pop(member, None)

    async def beat(self) -> None:
        """Refresh everybody; have those whose key is gone join again."""
        members = list(self._members.values())
        if not members:
            return
        results = await self._bus.registry.beat([presence for presence, _ in members])
        for (presence, lost), result in zip(members, results, strict=True):
            if result == 0:
                await self._join_again(presence, lost)
            elif result == 2:
                lost.set()

    async def _join_again(self, presence: Presence, lost: anyio.Event) -> None:
        if presence.instance not in self._members:
            return
        log.warning(
            "agent %s was no longer present (suspended, or Redis lost its data): it joins again",
            presence.agent,
        )
        try:
            await self._bus.registry.join(presence, takeover=False)
        except AgentAlreadyPresent:
            lost.set()
