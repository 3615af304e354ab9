"""The registry of present agents: joining, leaving, beating, finding, and its events.

An agent is present while its key lives, and its key lives while its process beats. Redis's own
`expired` notifications come late and are lost on a reconnect, so deaths are found with an index by
expiry time: any process may run the reaper, which turns each overdue agent into exactly one event.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from bus.errors import AgentAlreadyPresent, PresenceLost, ServerRefused
from bus.keys import check_name, check_names
from bus.servers.reader import check_entry_id
from bus.servers.script import Script
from bus.telemetry.journal import Journal

from .events import PresenceEvents
from .presence import Presence, read_presence
from .state import AgentState, state_from_hash

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.presence")

_JOIN: Final = Script("agents/join", "agents/members")
_LEAVE: Final = Script("agents/leave", "agents/members")
_BEAT: Final = Script("agents/beat")
_FIND: Final = Script("agents/find")
_PATCH: Final = Script("agents/patch")
_RETIRE: Final = Script("agents/retire")
_SNAPSHOT: Final = Script("agents/snapshot")
_STATE: Final = Script("agents/state")

#: Presence events kept for watchers that were away.
MOST_EVENTS: Final = 10_000

#: Agents in one heartbeat call.
BEATS_PER_CALL: Final = 500

#: Seconds for which the state of an agent that is gone is kept, and that of one instance of
#: several, which never comes back.
KEEP_STATE: Final = 86_400
KEEP_STATE_SHARED: Final = 600


class Snapshot(msgspec.Struct, frozen=True):
    """Everybody who is present, by member: an agent's id, or `<id>#<instance>` where several
    instances share it.

    Attributes:
        agents: The records of presence.
        states: What they say of themselves; missing where one has said nothing.
        after: The event up to which that is true.

    Example: See `Registry`.
    """

    agents: dict[str, Presence]
    states: dict[str, AgentState]
    after: str


class Registry:
    """Presence in one namespace. Made by `Bus`.

    Attributes:
        refused: Records in Redis that were not read, because they are none.

    Raises:
        BusUnavailable: out of every method: Redis could not be reached for as long as the bus is
            patient.

    Example:
        registry: Registry = bus.registry
        now: Snapshot = await registry.snapshot()
        scout: Presence = now.agents["scout"]
        print(scout.agent, now.states["scout"].status)  #> scout idle
        events: PresenceEvents = registry.events(after=now.after)
        async with bus.join("writer"):
            event: PresenceEvent = await anext(events)
            print(event.agent, event.kind)  #> writer joined
    """

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus
        self._keys = bus.keys
        self._records = f"{bus.keys.presence_index}:records"
        self.refused = 0
        self._without_inbox: set[str] = set()

    # being present

    async def join(self, presence: Presence, *, takeover: bool) -> bool:
        """Make `presence` the one of its agent, or one of several where they are shared.

        Returns:
            Whether it was not present before.

        Raises:
            AgentAlreadyPresent: another instance is, and `takeover` is False.
        """
        won, existing, was_absent = await self._bus.link.run(
            _JOIN,
            self._of(presence),
            [
                self._keys.presences,
                MOST_EVENTS,
                presence.agent,
                presence.member,
                presence.beginning,
                msgspec.json.encode(presence),
                int(presence.ttl * 1000),
                int(takeover),
            ],
        )
        if not won:
            other = read_presence(existing)
            where = f" on {other.host}, process {other.pid}" if other else ""
            raise AgentAlreadyPresent(
                f"agent {presence.agent} is already present{where}: choose another id, wait until "
                "it is gone, join with takeover=True, or have every instance join with shared=True"
            )
        self._bus.reaper.wake()
        return bool(was_absent)

    async def leave(self, presence: Presence, cause: str) -> None:
        """End `presence`, if it still is its agent's."""
        await self._bus.link.run(
            _LEAVE,
            self._of(presence),
            [self._keys.presences, MOST_EVENTS, presence.member, presence.beginning, cause],
        )

    async def was_declared_dead(self, estate: str) -> bool:
        """Whether an agent with this estate has expired, so that what it held is given up."""
        dead = f"{self._keys.presence_index}:dead"
        return await self._bus.link.call("ZSCORE", dead, estate) is not None

    async def beat(self, presences: Sequence[Presence]) -> list[int]:
        """Refresh many presences; for each: 1 alive, 0 gone, 2 another instance's."""
        results: list[int] = []
        for start in range(0, len(presences), BEATS_PER_CALL):
            some = presences[start : start + BEATS_PER_CALL]
            args: list[str | int] = []
            for presence in some:
                args += [presence.member, presence.beginning, int(presence.ttl * 1000)]
            keys = [self._keys.presence_index, *(self._keys.presence(p.member) for p in some)]
            results += await self._bus.link.run_once(_BEAT, keys, args)
        return results

    async def write_state(self, presence: Presence, state: AgentState) -> None:
        """Write the whole of an agent's state, and tell those who watch."""
        pairs = [text for pair in state.to_hash().items() for text in pair]
        await self._bus.link.run(_STATE, [self._keys.state(presence.member)], pairs)
        await self._announce(presence, state)

    async def change_state(self, presence: Presence, old: AgentState, new: AgentState) -> None:
        """Write what differs between two states of an agent, and tell those who watch.

        Raises:
            PresenceLost: another instance has written its own state since.
        """
        before, after = old.to_hash(), new.to_hash()
        pairs = [text for pair in after.items() if before.get(pair[0]) != pair[1] for text in pair]
        removed = before.keys() - after.keys()
        done = await self._bus.link.run(
            _PATCH,
            [self._keys.state(presence.member)],
            [presence.instance, len(pairs) // 2, *pairs, *removed],
        )
        if done == 0:
            await self.write_state(presence, new)
        elif done == 2:
            raise PresenceLost(
                f"agent {presence.agent} was taken over by another instance, and its state is that "
                "one's: this one must stop"
            )
        else:
            await self._announce(presence, new)

    async def _announce(self, presence: Presence, state: AgentState) -> None:
        said = msgspec.json.encode(state)
        event = ("kind", "changed", "agent", presence.member, "state", said)
        events = self._keys.presence_events
        await self._bus.link.retrying(
            lambda: self._bus.link.call("XADD", events, "MAXLEN", "~", MOST_EVENTS, "*", *event)
        )

    async def retire(self, presence: Presence) -> None:
        """Mark the state that an instance wrote as offline; it is forgotten some time later."""
        keep = KEEP_STATE_SHARED if presence.shared else KEEP_STATE
        key = self._keys.state(presence.member)
        try:
            await self._bus.link.run(_RETIRE, [key], [presence.instance, keep])
        except ServerRefused as error:
            log.warning(
                "the state of an agent cannot be retired", agent=presence.agent, error=error
            )

    # watching

    async def snapshot(self) -> Snapshot:
        """Everybody who is present, with their states."""
        after, agents = await self._snapshot()
        return Snapshot(agents, await self.states(list(agents)), after)

    async def _snapshot(self) -> tuple[str, dict[str, Presence]]:
        self._bus.reaper.wake()
        after, records, gone = await self._bus.link.run(
            _SNAPSHOT,
            [self._records, self._keys.presence_events, self._keys.presence_index],
            [self._keys.presence("")],
        )
        dead = set(gone)
        agents: dict[str, Presence] = {}
        for name, raw in zip(records[::2], records[1::2], strict=True):
            presence = None if name in dead else self._read(raw)
            if presence is not None:
                agents[name.decode(errors="replace")] = presence
        return after.decode(), agents

    async def find(
        self, *, role: str | None = None, capabilities: Iterable[str] = ()
    ) -> list[Presence]:
        """Those who are present and have the role and all the capabilities; each instance of an
        agent by itself. Without either: everybody.

        It takes time in proportion to the smallest of the sets that are asked for.

        Raises:
            InvalidName: the role, or a capability, cannot be one.
            BusUnavailable: Redis could not be reached.
        """
        sets = [self._keys.capability(name) for name in check_names("capability", capabilities)]
        if role is not None:
            sets.append(self._keys.role(check_name("role", role)))
        if not sets:
            return list((await self._snapshot())[1].values())
        records = await self._bus.link.run(_FIND, [self._records, *sets], [self._keys.presence("")])
        return [found for raw in records if (found := self._read(raw)) is not None]

    def _read(self, raw: bytes) -> Presence | None:
        presence = read_presence(raw)
        if presence is None:
            self.refused += 1
        elif presence.inbox:
            self._without_inbox.discard(presence.agent)
        else:
            self._without_inbox.add(presence.agent)
        return presence

    async def takes_messages(self, agent: str, *, ask: bool = False) -> bool:
        """Whether the agent reads what it is sent, as far as is known.

        Args:
            ask: Ask Redis also where this process has heard nothing of it.
        """
        if not ask and agent not in self._without_inbox:
            return True
        raw = await self._bus.link.retrying(
            lambda: self._bus.link.call("GET", self._keys.presence(agent))
        )
        presence = None if raw is None else self._read(raw)
        if presence is None:
            self._without_inbox.discard(agent)
        return presence is None or presence.inbox

    async def states(self, agents: Sequence[str]) -> dict[str, AgentState]:
        """The states of members (see `Snapshot`); those that have none are left out."""
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
                log.warning("the state of an agent cannot be read", agent=agent, error=error)
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
        """Every event behind the id `after`, endlessly. See `PresenceEvents`.

        Raises:
            ValueError, TypeError: `after` is no entry id.
        """
        check_entry_id("after", after)
        self._bus.reaper.wake()
        return PresenceEvents(self._bus.link, self._keys.presence_events, after)

    def _of(self, presence: Presence) -> list[str]:
        return [self._keys.presence(presence.member), self._keys.presence_index]
