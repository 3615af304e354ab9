"""The board: everything the page shows, kept once for all who look at it."""

import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio
import msgspec

from bus import DASHBOARD, Bus, BusError, DashboardEvent, Event, Feed
from bus.scope import background
from bus.telemetry.journal import Journal
from presence.errors import ChangesMissed, TooManyViewers
from presence.metrics import Sample, Sampler
from presence.roster import AgentView, Change, Roster
from presence.text import shown_name

from .database import ROLE, DatabaseRow, databases, partitions
from .history import History, said, told
from .messages import AgentRow, Metrics, RedisStatus, Snapshot, agent_row, shown_id, shown_queues
from .viewer import Viewer

log = Journal("argentbus.dashboard")

#: Pages that are served at the same time.
MOST_VIEWERS: Final = 200
#: Agents that are listed; the others are only counted.
MOST_AGENTS: Final = 300
#: Announced events kept while the board is busy.
_FEED: Final = 1000
#: States in which an agent is at work.
WORKING: Final = frozenset({"processing", "contemplating"})


class Board:
    """What is known of a namespace now and of its last minutes. Made by `Board.open`."""

    def __init__(self, bus: Bus, roster: Roster) -> None:
        self._bus = bus
        self._roster = roster
        self._viewers: set[Viewer] = set()
        self._history = History()
        self._seen: dict[str, AgentView] = dict(roster.agents)
        self._databases: dict[str, DatabaseRow] = {}
        self._silent: set[str] = set()
        now = time.time()
        self._redis = RedisStatus(up=True, since=now, detail="")
        self._metrics = Metrics(now, 0, 0, 0, 0, [], 0, [], {}, [])
        self.sampler = Sampler(
            bus,
            on_sample=self._sampled,
            on_failure=self._unanswered,
            agents=self._listed,
            partitions=lambda: [
                f"storage:{number}" for number in partitions(self._databases.values())
            ],
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, bus: Bus) -> "AsyncGenerator[Board]":
        """Keep a board of the namespace of `bus` until the context ends.

        Raises:
            BusUnavailable: Redis could not be reached at the start. Later the board waits for it.
        """
        topic = bus.topic(DASHBOARD, DashboardEvent)
        async with Roster.watch(bus) as roster, topic.subscribe(buffer=_FEED) as feed:
            board = cls(bus, roster)
            board._sum_up()
            async with background(board._watch, lambda: board._listen(feed), board.sampler.run):
                yield board

    @property
    def redis(self) -> RedisStatus:
        """Whether Redis answers, as far as was seen. Nobody looks while there is no viewer."""
        return self._redis

    async def answers(self) -> bool:
        """Ask Redis for a sign of life, for at most two seconds."""
        with anyio.move_on_after(2):
            try:
                await self._bus.link.retrying(lambda: self._bus.link.call("PING"), patience=0)
            except BusError:
                return False
            return True
        return False

    @contextmanager
    def viewer(self) -> "Generator[Viewer]":
        """Collect changes for one page, for the length of the context.

        Raises:
            TooManyViewers: there are as many as are served.
        """
        if len(self._viewers) >= MOST_VIEWERS:
            raise TooManyViewers(f"{MOST_VIEWERS} pages are open already: close some of them")
        viewer = Viewer()
        self._viewers.add(viewer)
        try:
            with self.sampler.viewing():
                yield viewer
        finally:
            self._viewers.discard(viewer)

    def snapshot(self) -> Snapshot:
        """Everything, for a page that has just come."""
        now = time.time()
        self._history.forget(now)
        self._sum_up()
        return Snapshot(
            now=now,
            namespace=self._bus.namespace,
            server=f"Redis {self._bus.server_version} at {self._bus.link.address}",
            agents=self._rows(),
            gone=list(self._history.gone.values()),
            events=list(self._history.events),
            metrics=self._metrics,
            redis=self._redis,
        )

    # what arrives

    async def _watch(self) -> None:
        while True:
            try:
                async for change in self._roster.changes(buffer=10_000):
                    self._changed(change)
            except ChangesMissed as error:
                log.warning("the dashboard's feed was closed, and is opened anew", error=error)
                self._seen = dict(self._roster.agents)
                for viewer in self._viewers:
                    for row in self._rows():
                        viewer.agent(row.id, row)
            else:
                return

    async def _listen(self, feed: Feed[Event[DashboardEvent]]) -> None:
        async for event in feed:
            self._note(*told(event.body, now=time.time()))

    def _changed(self, change: Change) -> None:
        before = self._seen.get(change.agent)
        words = said(change, before)
        if change.kind in {"left", "expired"}:
            self._went(change)
        elif change.view is not None:
            self._seen[change.agent] = change.view
            self._back(change.agent, change.view)
            if change.agent in self._listed():
                row = agent_row(change.agent, change.view)
                self._tell(lambda viewer: viewer.agent(row.id, row))
        if words is not None:
            self._note(change.kind, shown_name(change.agent), words, change.at)
        if change.kind != "changed" or (change.view and change.view.presence.role == ROLE):
            self._sum_up()
            self._tell(lambda viewer: viewer.metrics(self._metrics))

    def _went(self, change: Change) -> None:
        self._seen.pop(change.agent, None)
        row = self._history.went(change)
        self._tell(lambda viewer: viewer.agent(shown_id(change.agent), None))
        if row is not None:
            self._tell(lambda viewer: viewer.gone(row.key, row))
        if len(self._seen) >= MOST_AGENTS:
            # Another agent moves up into the list.
            last = list(self._seen)[MOST_AGENTS - 1]
            moved_up = agent_row(last, self._seen[last])
            self._tell(lambda viewer: viewer.agent(moved_up.id, moved_up))

    def _back(self, agent: str, view: AgentView) -> None:
        """The same instance again: it was suspended or cut off, and is not gone after all."""
        key = self._history.back(agent, view)
        if key is not None:
            self._tell(lambda viewer: viewer.gone(key, None))

    def _note(self, kind: str, agent: str, detail: str, at: float) -> None:
        happening = self._history.note(kind, agent, detail, at)
        self._tell(lambda viewer: viewer.event(happening))

    def _sampled(self, sample: Sample) -> None:
        if not self._redis.up:
            self._set_redis(up=True)
        silent = {agent for agent in self._listed() if agent not in sample.beats}
        if silent - self._silent:
            # In the list, yet not known to Redis: events may have been lost.
            self._roster.check()
        self._silent = silent
        self._sum_up(sample)
        for key in self._history.forget(time.time()):
            for viewer in self._viewers:
                viewer.gone(key, None)
        self._tell(lambda viewer: viewer.metrics(self._metrics))

    def _unanswered(self, reason: str) -> None:
        if self._redis.up:
            self._set_redis(up=False, detail=reason)

    def _set_redis(self, *, up: bool, detail: str = "") -> None:
        self._redis = RedisStatus(up, time.time(), detail)
        words = "answers again" if up else f"does not answer: {detail}"
        self._note("redis_back" if up else "redis_lost", "Redis", words, time.time())
        self._tell(lambda viewer: viewer.redis(self._redis))
        if up:
            self._roster.check()

    # what is shown

    def _listed(self) -> list[str]:
        return list(self._seen)[:MOST_AGENTS]

    def _rows(self) -> list[AgentRow]:
        return [agent_row(agent, self._seen[agent]) for agent in self._listed()]

    def _sum_up(self, sample: Sample | None = None) -> None:
        agents = self._seen.values()
        here = {row.backend: row for row in databases(agents)}
        for backend, row in self._databases.items():
            if backend not in here:
                here[backend] = msgspec.structs.replace(row, gone=True)
        self._databases = here
        last = self._metrics
        self._metrics = Metrics(
            at=sample.at if sample else last.at,
            present=len(agents),
            services=sum(1 for view in agents if view.presence.role == ROLE),
            working=sum(
                1 for view in agents if view.state.status in WORKING and view.presence.role != ROLE
            ),
            stalled=sum(1 for view in agents if view.stalled),
            queues=shown_queues(sample) if sample else last.queues,
            queues_total=sample.queues_total if sample else last.queues_total,
            logs=sample.logs if sample else last.logs,
            beats=self._ages(sample) if sample else last.beats,
            databases=list(here.values()),
        )

    def _ages(self, sample: Sample) -> dict[str, float]:
        return {
            shown_id(agent): round(
                max(0.0, sample.at - (until - self._seen[agent].presence.ttl)), 1
            )
            for agent, until in sample.beats.items()
            if agent in self._seen
        }

    def _tell(self, say: Callable[[Viewer], None]) -> None:
        for viewer in self._viewers:
            say(viewer)
