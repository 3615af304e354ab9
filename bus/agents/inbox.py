"""The inbox of an agent: a stream that all its instances share."""

from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import TaskStatus

from bus.queues.consumer import Consumer
from bus.queues.delivery import Delivery
from bus.queues.queue import Queue, choosing_decoder
from bus.telemetry import Destination

if TYPE_CHECKING:
    from bus.bus import Bus

    from .agent import Agent

#: The consumer group of every inbox.
INBOX_GROUP: Final = "inbox"

#: What telemetry calls inboxes.
INBOXES: Final = Destination("inboxes", "inbox of {agent}")

#: Deliveries read ahead by an agent that is alone, and by one of several instances: what one of
#: those has read, another that is idle cannot take.
PREFETCH: Final = 100
PREFETCH_SHARED: Final = 0


class Inbox:
    """The inbox of one joined agent. Made by `Agent.inbox`.

    It is read from the first use on, until the agent leaves; what is unhandled then goes back.

    Attributes:
        types: Types of the bodies, by their names.
        prefetch: Most deliveries read ahead.

    Example: See `Agent`.
    """

    def __init__(self, agent: "Agent") -> None:
        self.types: dict[str, Any] = {}
        self.prefetch = PREFETCH_SHARED if agent.presence.shared else PREFETCH
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
        async with queue.consume(
            INBOX_GROUP, prefetch=self.prefetch, ttl=agent.presence.ttl
        ) as consumer:
            task_status.started(consumer)
            await anyio.sleep_forever()


def inbox_of(bus: "Bus", agent: str, types: dict[str, Any], *, sender: str) -> Queue[Any]:
    """The inbox of `agent` as a queue, whose bodies are decoded by `types` (name to type)."""
    return Queue(
        bus,
        f"inbox of {agent}",
        bus.keys.inbox(agent),
        choosing_decoder(types),
        sender=sender,
        template=INBOXES.template,
    )
