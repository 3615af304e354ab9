"""The roster: everybody who is present, and what becomes of them, as it happens."""

import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final
from weakref import WeakSet

import anyio

from bus import AgentState, Bus, BusError, EventsMissed, PresenceEvent, Snapshot
from bus.telemetry.journal import Journal

from .changes import BUFFER, AgentView, Change, Changes, Kind
from .doubts import Doubts

__all__ = ["AgentView", "Change", "Changes", "Roster"]

log = Journal("argentbus.roster")

#: Seconds between attempts to take a snapshot while Redis is away.
PAUSE: Final = 0.5


class Roster:
    """Everybody who is present in a namespace. Made by `Roster.watch`.

    It follows the stream of presence events from a snapshot on, also over broken connections. Where
    events were lost it takes another snapshot, and reports the difference as changes: whoever is
    missing then, and does not come back within its TTL, is reported as expired, so that no death
    goes unseen, and a Redis that lost its data is not taken for the death of all.

    Example:
        changes: Changes = roster.changes(buffer=1000)
        async with bus.join("scout", role="researcher"):
            change: Change = await anext(changes)
            view: AgentView = roster.agents["scout"]
            print(change.kind, view.presence.role)  #> joined researcher
            print(len(roster.find(role="researcher", stalled=False)))  #> 1
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._agents: dict[str, AgentView] = {}
        self._readers: WeakSet[Changes] = WeakSet()
        self._check_wanted = anyio.Event()
        self._doubts = Doubts()

    @classmethod
    @asynccontextmanager
    async def watch(cls, bus: Bus) -> "AsyncGenerator[Roster]":
        """Watch the namespace of `bus` until the context ends.

        Raises:
            BusUnavailable: Redis could not be reached at the start. Later the roster waits for it.
        """
        roster = cls(bus)
        snapshot = await bus.registry.snapshot()
        roster._agents = _views(snapshot)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(roster._follow, snapshot.after)
            tasks.start_soon(roster._check)
            try:
                yield roster
            except Exception as error:  # noqa: BLE001 (raised again below, out of the group)
                failure = error
            finally:
                for reader in list(roster._readers):
                    reader.close()
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    @property
    def agents(self) -> Mapping[str, AgentView]:
        """Everybody who is present, by id, and where several instances share an id, by
        `<id>#<instance>`. A live view: it changes as they come and go.
        """
        return MappingProxyType(self._agents)

    def find(
        self,
        agent: str | None = None,
        *,
        role: str | None = None,
        capabilities: Iterable[str] = (),
        stalled: bool | None = None,
    ) -> list[AgentView]:
        """Those who are present and fit all that is given.

        Args:
            agent: An id: every instance of that agent.
            capabilities: They have all of these.
            stalled: Whether they are.
        """
        wanted = set(capabilities)
        return [
            view
            for view in self._agents.values()
            if agent in {None, view.presence.agent}
            and role in {None, view.presence.role}
            and wanted.issubset(view.presence.capabilities)
            and stalled in {None, view.stalled}
        ]

    def changes(self, *, buffer: int = BUFFER) -> Changes:
        """Iterate over what happens from now on. Each call gives an independent reader.

        Args:
            buffer: Changes kept for a slow reader. When they are more, the reader gets
                `ChangesMissed`. An agent's state that was overtaken by its next one is dropped.
        """
        reader = Changes(buffer)
        self._readers.add(reader)
        return reader

    def check(self) -> None:
        """Have the roster compared with Redis soon, as after a time when Redis was away."""
        self._check_wanted.set()

    # following the events

    async def _follow(self, after: str) -> None:
        while True:
            try:
                async for event in self._bus.registry.events(after=after):
                    after = event.id
                    self._take(event)
            except EventsMissed as error:
                log.warning("events were missed: comparing with a new snapshot", error=error)
                snapshot = await self._snapshot()
                after = snapshot.after
                self._compare(_views(snapshot))
                self.check()
            except BusError as error:
                log.warning("following presence was interrupted", error=error)
                await anyio.sleep(PAUSE)

    async def _snapshot(self) -> Snapshot:
        while True:
            snapshot: Snapshot | None = None
            try:
                snapshot = await self._bus.registry.snapshot()
            except* BusError as errors:
                # Those of several agents at once come as a group.
                log.warning("there is no snapshot of who is present", error=errors.exceptions[0])
            if snapshot is not None:
                return snapshot
            await anyio.sleep(PAUSE)

    def _take(self, event: PresenceEvent) -> None:
        known = self._agents.get(event.member)
        if event.kind == "joined" and known and known.presence.instance == event.instance:
            # It had to join again: its key was lost, and perhaps those of others who are dead.
            self.check()
        for change in changes_of(known, event):
            self._publish(change)

    # comparing with Redis

    async def _check(self) -> None:
        while True:
            with anyio.move_on_after(self._doubts.due_in()):
                await self._check_wanted.wait()
            self._check_wanted = anyio.Event()
            views = _views(await self._snapshot())
            # Who is new or changed is reported by an event; a death may have none.
            self._compare(views, only_missing=True)

    def _compare(self, views: Mapping[str, AgentView], *, only_missing: bool = False) -> None:
        missing: list[str] = []
        for change in differences(self._agents, views, now=time.time()):
            if change.view is None:
                continue
            if change.kind == "expired" and change.agent not in views:
                missing.append(change.view.presence.instance)
                if not self._doubts.confirmed(change.view.presence):
                    continue
            elif only_missing:
                continue
            self._publish(change)
        self._doubts.keep(missing)

    def _publish(self, change: Change) -> None:
        if change.kind in {"left", "expired"}:
            self._agents.pop(change.agent, None)
        elif change.view is not None:
            self._agents[change.agent] = change.view
        for reader in list(self._readers):
            if not reader.deliver(change):
                self._readers.discard(reader)


def changes_of(known: AgentView | None, event: PresenceEvent) -> Iterator[Change]:
    """What `event` changes for a watcher that has `known` of the agent.

    An event of an instance that another has replaced since does not touch the newer one.
    """
    name = event.member
    another = known is not None and event.instance not in {"", known.presence.instance}
    if event.kind in {"left", "expired"}:
        if another:
            return
        gone = known
        if gone is None and event.presence is not None:
            gone = AgentView(event.presence, event.state or AgentState())
        yield Change(event.kind, name, gone, event.at, event.cause)
    elif event.kind == "joined" and event.presence is not None:
        if known is not None and another:
            yield Change("left", name, known, event.at, "replaced by another instance")
        view = AgentView(event.presence, event.state or AgentState())
        again = known is not None and not another
        if again and event.state is None and known is not None:
            view = AgentView(event.presence, known.state)
        yield Change("changed" if again else "joined", name, view, event.at, event.cause)
    elif event.kind == "changed" and known is not None and event.state is not None:
        view = AgentView(known.presence, event.state)
        yield Change(kind_of_change(known, view), name, view, event.at)


def kind_of_change(old: AgentView, new: AgentView) -> Kind:
    """What the change from one view of an instance to the next is called."""
    if old.stalled == new.stalled:
        return "changed"
    return "stalled" if new.stalled else "resumed"


def differences(
    old: Mapping[str, AgentView], new: Mapping[str, AgentView], *, now: float
) -> list[Change]:
    """The changes that lead from one snapshot to another."""
    changes: list[Change] = []
    for agent, view in old.items():
        found = new.get(agent)
        if found is None or found.presence.instance != view.presence.instance:
            cause = "gone when events had been missed"
            changes.append(Change("expired", agent, view, now, cause))
    for agent, view in new.items():
        known = old.get(agent)
        if known is None or known.presence.instance != view.presence.instance:
            changes.append(Change("joined", agent, view, now))
        elif known != view:
            changes.append(Change(kind_of_change(known, view), agent, view, now))
    return changes


def _views(snapshot: Snapshot) -> dict[str, AgentView]:
    return {
        agent: AgentView(presence, snapshot.states.get(agent) or AgentState())
        for agent, presence in snapshot.agents.items()
    }
