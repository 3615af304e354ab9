"""One open page: what it has not been told yet."""

from collections import deque
from typing import Final

import anyio

from .messages import AgentRow, GoneRow, Happening, Metrics, RedisStatus, Update

#: Events kept for a page that is slow to take them.
MOST_EVENTS: Final = 100


class Viewer:
    """Collects changes until they are taken.

    A change takes the place of an older one of the same agent, so that what waits is bounded by
    what the page can show, however slowly it reads.
    """

    def __init__(self) -> None:
        self._agents: dict[str, AgentRow | None] = {}
        self._gone: dict[str, GoneRow | None] = {}
        self._events: deque[Happening] = deque(maxlen=MOST_EVENTS)
        self._metrics: Metrics | None = None
        self._redis: RedisStatus | None = None
        self._changed = anyio.Event()

    def agent(self, agent: str, row: AgentRow | None) -> None:
        """An agent is shown as `row`, or no longer."""
        self._agents[agent] = row
        self._changed.set()

    def gone(self, key: str, row: GoneRow | None) -> None:
        """An agent that went is shown as `row`, or no longer."""
        self._gone[key] = row
        self._changed.set()

    def event(self, happening: Happening) -> None:
        """Something happened."""
        self._events.append(happening)
        self._changed.set()

    def metrics(self, metrics: Metrics) -> None:
        """There are new figures."""
        self._metrics = metrics
        self._changed.set()

    def redis(self, status: RedisStatus) -> None:
        """Redis went away, or came back."""
        self._redis = status
        self._changed.set()

    async def changed(self) -> None:
        """Wait until there is something to tell."""
        await self._changed.wait()

    def take(self, now: float) -> Update:
        """All that has changed since the last call."""
        update = Update(
            now=now,
            agents=[row for row in self._agents.values() if row is not None],
            left=[agent for agent, row in self._agents.items() if row is None],
            gone=[row for row in self._gone.values() if row is not None],
            forgotten=[key for key, row in self._gone.items() if row is None],
            events=list(self._events),
            metrics=self._metrics,
            redis=self._redis,
        )
        self._agents, self._gone, self._metrics, self._redis = {}, {}, None, None
        self._events.clear()
        self._changed = anyio.Event()
        return update
