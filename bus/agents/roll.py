"""The roll: the agents joined in this process, refreshed together, one call a beat."""

from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from bus.errors import AgentAlreadyPresent, BusError
from bus.telemetry.journal import Journal

from .heartbeat import Beat

if TYPE_CHECKING:
    from bus.bus import Bus

    from .agent import Agent

log = Journal("argentbus.presence")

#: Agents that join again, or say that they are stalled, at the same time.
_AT_ONCE: Final = 100

#: Most seconds, and least, between two looks at who makes no progress.
_LOOK_MOST: Final = 1.0
_LOOK_LEAST: Final = 0.05


class _Group:
    """The agents of one TTL: one with a short one does not make all others beat as often."""

    def __init__(self, roll: "Roll", ttl: float) -> None:
        self.members: dict[str, Agent] = {}
        self.beat = Beat(ttl / 3, lambda: roll.beat(list(self.members.values())))


class Roll:
    """The agents joined in this process. Made by `Bus`."""

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus
        self._groups: dict[float, _Group] = {}
        self._watched: dict[str, Agent] = {}
        self._look = Beat(_LOOK_MOST, self._look_at_progress)

    def enter(self, agent: "Agent") -> None:
        """Refresh `agent` from now on; set its `lost` when another is present in its place."""
        group = self._groups.setdefault(agent.presence.ttl, _Group(self, agent.presence.ttl))
        group.members[agent.instance] = agent
        self._bus.pump.add(group.beat)
        if agent.presence.stall_after is not None:
            self.watch(agent)

    def exit(self, instance: str) -> None:
        """Stop refreshing."""
        self._watched.pop(instance, None)
        if not self._watched:
            self._bus.pump.remove(self._look)
        for ttl, group in list(self._groups.items()):
            if group.members.pop(instance, None) is not None and not group.members:
                self._bus.pump.remove(group.beat)
                del self._groups[ttl]

    def watch(self, agent: "Agent") -> None:
        """Look at its progress now and then."""
        if agent.instance not in self._watched:
            self._watched[agent.instance] = agent
            every = (agent.presence.stall_after or _LOOK_MOST) / 4
            if len(self._watched) == 1 or every < self._look.interval:
                self._look.interval = min(_LOOK_MOST, max(_LOOK_LEAST, every))
            self._bus.pump.add(self._look)

    async def beat(self, agents: list["Agent"]) -> None:
        """Refresh `agents`; have those whose key is gone join again, and those leave that could
        not when they wanted to.
        """
        results = await self._bus.registry.beat([agent.presence for agent in agents])
        if any(result != 1 for result in results):
            estate = self._bus.holdings.estate
            if await self._bus.registry.was_declared_dead(estate):
                self._bus.holdings.declared_dead()
        gone: list[Agent] = []
        for agent, result in zip(agents, results, strict=True):
            if result == 2:
                agent.lost.set()
            elif result == 0 or agent.presence.estate != self._bus.holdings.estate:
                gone.append(agent)
        if gone:
            await self._join_again(gone)
        for agent in agents:
            if agent.leaving:
                await self.leave(agent)

    async def leave(self, agent: "Agent") -> None:
        """Have `agent` leave, which is marked as leaving.

        Raises:
            BusError: Redis could not be told. It goes on beating, and the next beat tries again:
                its death would be taken for that of its process.
        """
        await self._bus.registry.leave(agent.presence, "left")
        await self._bus.registry.retire(agent.presence)
        if agent.left:
            return  # the other one who tried was quicker
        agent.left = True
        self.exit(agent.instance)
        await self._bus.holdings.close()

    async def _join_again(self, agents: list["Agent"]) -> None:
        limiter = anyio.CapacityLimiter(_AT_ONCE)
        absent: list[str] = []

        async def join(agent: "Agent") -> None:
            async with limiter:
                if agent.leaving:
                    return
                presence = msgspec.structs.replace(agent.presence, estate=self._bus.holdings.estate)
                try:
                    was_absent = await self._bus.registry.join(presence, takeover=False)
                except AgentAlreadyPresent:
                    agent.lost.set()
                    return
                agent.presence = presence
                if was_absent:
                    absent.append(agent.id)
                    await self._bus.registry.write_state(presence, agent.state)

        async with anyio.create_task_group() as tasks:
            for agent in agents:
                tasks.start_soon(join, agent)
        if absent:
            log.warning(
                "agents were not present any more (suspended, or Redis lost data): joined again",
                count=len(absent),
                agents=", ".join(absent[:3]) + (", ..." if len(absent) > 3 else ""),
            )
        await self._bus.holdings.note_all()

    async def _look_at_progress(self) -> None:
        due = [agent for agent in self._watched.values() if agent.progress_marks.due]
        limiter = anyio.CapacityLimiter(_AT_ONCE)

        async def tell(agent: "Agent") -> None:
            async with limiter:
                try:
                    await agent.progress_marks.tell()
                except BusError as error:
                    log.debug("the progress of an agent was not told", agent=agent.id, error=error)

        if due:
            async with anyio.create_task_group() as tasks:
                for agent in due:
                    tasks.start_soon(tell, agent)
