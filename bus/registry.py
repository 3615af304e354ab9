"""The registry of present agents: joining, leaving, beating, reaping, and its events.

An agent is present while its key lives, and its key lives while its process beats. Redis's own
`expired` notifications come late and are lost on a reconnect, so deaths are found with an index by
expiry time: any process may run the reaper, which turns each overdue agent into exactly one event.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from .errors import AgentAlreadyPresent, BusError, ServerRefused
from .events import PresenceEvents
from .heartbeat import GAP, GRACE
from .link import AWAY
from .presence import AgentState, Presence, read_presence, state_from_hash
from .script import Script

if TYPE_CHECKING:
    from .bus import Bus

log = logging.getLogger("argentbus.presence")

_JOIN: Final = Script("join")
_LEAVE: Final = Script("leave")
_BEAT: Final = Script("beat")
_REAP: Final = Script("reap")
_RETIRE: Final = Script("retire")
_SNAPSHOT: Final = Script("snapshot")
_STATE: Final = Script("state")

#: Presence events kept for watchers that were away.
MOST_EVENTS: Final = 10_000

#: Agents in one heartbeat call.
BEATS_PER_CALL: Final = 500

#: Seconds for which the state of an agent that is gone is kept.
KEEP_STATE: Final = 86_400

#: Most seconds between two runs of the reaper in a process that has a reason to run it.
REAP_EVERY: Final = 0.5


class Snapshot(msgspec.Struct, frozen=True):
    """Everybody who is present, and the event up to which that is true."""

    agents: dict[str, Presence]
    states: dict[str, AgentState]
    after: str


class Registry:
    """Presence in one namespace. Made by `Bus`."""

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus
        self._keys = bus.keys
        self._records = f"{bus.keys.presence_index}:records"
        self._reaping = anyio.Event()

    # being present

    async def join(self, presence: Presence, *, takeover: bool) -> None:
        """Make `presence` the one of its agent.

        Raises:
            AgentAlreadyPresent: another instance is, and `takeover` is False.
        """
        won, existing = await self._bus.link.run(
            _JOIN,
            self._of(presence.agent),
            [
                presence.agent,
                presence.beginning,
                msgspec.json.encode(presence),
                int(presence.ttl * 1000),
                int(takeover),
                MOST_EVENTS,
            ],
        )
        if not won:
            other = read_presence(existing)
            where = f" on {other.host}, process {other.pid}" if other else ""
            raise AgentAlreadyPresent(
                f"agent {presence.agent} is already present{where}: choose another id, wait until "
                "it is gone, or join with takeover=True"
            )
        self._reaping.set()

    async def leave(self, presence: Presence, cause: str) -> None:
        """End `presence`, if it still is its agent's."""
        await self._bus.link.run(
            _LEAVE,
            self._of(presence.agent),
            [presence.agent, presence.beginning, cause, MOST_EVENTS],
        )

    async def beat(self, presences: Sequence[Presence]) -> list[int]:
        """Refresh many presences; for each: 1 alive, 0 gone, 2 another instance's."""
        results: list[int] = []
        for start in range(0, len(presences), BEATS_PER_CALL):
            some = presences[start : start + BEATS_PER_CALL]
            args: list[str | int] = []
            for presence in some:
                args += [presence.agent, presence.beginning, int(presence.ttl * 1000)]
            keys = [self._keys.presence_index, *(self._keys.presence(p.agent) for p in some)]
            results += await self._bus.link.run_once(_BEAT, keys, args)
        return results

    async def set_state(self, agent: str, state: AgentState) -> None:
        """Write an agent's whole state, and tell those who watch."""
        pairs = [text for pair in state.to_hash().items() for text in pair]
        await self._bus.link.run(_STATE, [self._keys.state(agent)], pairs)
        await self._bus.link.retrying(
            lambda: self._bus.link.call(
                "XADD",
                self._keys.presence_events,
                "MAXLEN",
                "~",
                MOST_EVENTS,
                "*",
                "kind",
                "changed",
                "agent",
                agent,
                "state",
                msgspec.json.encode(state),
            )
        )

    async def retire(self, agent: str, instance: str) -> None:
        """Mark the state that `instance` wrote as offline; it is forgotten after a day."""
        await self._bus.link.run(_RETIRE, [self._keys.state(agent)], [instance, KEEP_STATE])

    # watching

    async def snapshot(self) -> Snapshot:
        """Everybody who is present, with their states."""
        self._reaping.set()
        after, records, gone = await self._bus.link.run(
            _SNAPSHOT,
            [self._records, self._keys.presence_events, self._keys.presence_index],
            [self._keys.presence("")],
        )
        dead = set(gone)
        agents = {
            name.decode(errors="replace"): presence
            for name, raw in zip(records[::2], records[1::2], strict=True)
            if name not in dead and (presence := read_presence(raw)) is not None
        }
        return Snapshot(agents, await self.states(list(agents)), after.decode())

    async def states(self, agents: Sequence[str]) -> dict[str, AgentState]:
        """The states of `agents`; those that have none are left out."""
        found: dict[str, AgentState] = {}
        limiter = anyio.CapacityLimiter(200)

        async def read(agent: str) -> None:
            try:
                async with limiter:
                    pairs = await self._bus.link.retrying(
                        lambda: self._bus.link.call("HGETALL", self._keys.state(agent))
                    )
            except ServerRefused as error:
                # Something else stands at the key of one agent: the others are still shown.
                log.warning("the state of agent %s cannot be read: %s", agent, error)
                return
            if not isinstance(pairs, dict):
                pairs = dict(zip(pairs[::2], pairs[1::2], strict=True))
            if pairs:
                found[agent] = state_from_hash(pairs)

        async with anyio.create_task_group() as tasks:
            for agent in agents:
                tasks.start_soon(read, agent)
        return found

    def events(self, *, after: str) -> PresenceEvents:
        """Every event behind the id `after`, endlessly. See `PresenceEvents`."""
        self._reaping.set()
        return PresenceEvents(self._bus.link, self._keys.presence_events, after)

    # reaping

    async def run(self) -> None:
        """Reap, from the first join or snapshot of this process on. A task of the bus."""
        await self._reaping.wait()
        while True:
            wait = REAP_EVERY
            try:
                due = await self.reap()
                if due >= 0:
                    wait = min(REAP_EVERY, max(0.02, due))
            except AWAY as error:
                log.debug("reaping interrupted: %r", error)
            except BusError as error:
                log.warning("reaping failed: %s", error)
            await anyio.sleep(wait)

    async def reap(self) -> float:
        """Turn agents that are overdue into `expired` events.

        Returns:
            Seconds until the next one is due, or -1 where nobody is present.
        """
        expired, wait = await self._bus.link.run_once(
            _REAP,
            [
                self._keys.presence_index,
                self._records,
                self._keys.presence_events,
                f"{self._keys.presence_index}:watch",
            ],
            [self._keys.presence(""), MOST_EVENTS, int(GAP * 1000), int(GRACE * 1000)],
        )
        for agent, raw in expired:
            presence = read_presence(raw)
            if presence is not None:
                await self.retire(agent.decode(errors="replace"), presence.instance)
        return float(wait) / 1000 if wait >= 0 else -1.0

    def _of(self, agent: str) -> list[str]:
        return [
            self._keys.presence(agent),
            self._keys.presence_index,
            self._records,
            self._keys.presence_events,
        ]
