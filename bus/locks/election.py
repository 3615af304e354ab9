"""Leader election: a lock, a note of who holds it, and word of every change.

It guarantees what `Lock` does, no more: a leader that was suspended can believe in its office for
as long as it takes to wake, so what leaders write should carry the lease's fence.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from bus.keys import check_name
from bus.scope import background
from bus.servers.link import AWAY
from bus.servers.script import Script
from bus.telemetry.journal import Journal

from .lock import LINE, Lock

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.election")

_LEADER: Final = Script("locks/leader", *LINE)

#: Most seconds between two looks at who leads, should word of a change be lost.
LOOK_EVERY: Final = 10.0


class Leader(msgspec.Struct, frozen=True):
    """Who leads.

    Attributes:
        candidate: The name under which it stood.
        instance: Id of its bus connection.
        fence: Of its lease; grows from leader to leader.

    Example: See `Election`.
    """

    candidate: str
    instance: str
    fence: int


class LeaderChange(msgspec.Struct, frozen=True):
    """A change of leaders; None where nobody leads.

    Attributes:
        leader: Who leads from now on.
        previous: Who led before.

    Example: See `Election`.
    """

    leader: Leader | None
    previous: Leader | None


class _Moment:
    """A point between two changes: who reads them holds on to the one behind the last that was
    read.
    """

    __slots__ = ("over", "then")

    def __init__(self) -> None:
        self.over = anyio.Event()
        self.then: tuple[LeaderChange, _Moment] | None = None


class LeaderChanges:
    """The changes from a moment on, endlessly: iterate over it. Made by `Election.changes`.

    Example: See `Election`.
    """

    def __init__(self, since: _Moment) -> None:
        self._since = since

    def __aiter__(self) -> "LeaderChanges":
        return self

    async def __anext__(self) -> LeaderChange:
        await self._since.over.wait()
        assert self._since.then is not None, "over, and nothing came"
        change, self._since = self._since.then
        return change


class Election:
    """An election that this process follows, and can stand in. Made by `Bus.election`.

    It guarantees what `Lock` does: a leader that was suspended may believe in its office until it
    wakes, so what leaders write should carry the fence of their lease.

    Attributes:
        name: Of the election.
        candidate: The name under which this process stands.
        leader: Who leads, as last heard; None: nobody.

    Example:
        election: Election
        async with bus.election("planner", candidate="scout", ttl=10) as election:
            changes: LeaderChanges = election.changes()
            async with election.lead() as lease:
                change: LeaderChange = await anext(changes)
                leader: Leader | None = change.leader
                print(leader.candidate, leader.fence == lease.fence)  #> scout True
    """

    def __init__(self, bus: "Bus", name: str, candidate: str, ttl: float) -> None:
        self.name = check_name("election", name)
        self.candidate = check_name("candidate", candidate)
        self.leader: Leader | None = None
        self._bus = bus
        self._ttl = ttl
        self._now = _Moment()
        self._news = anyio.Event()

    def __repr__(self) -> str:
        return f"<Election {self.name} leader={self.leader and self.leader.candidate}>"

    @property
    def leading(self) -> bool:
        """Whether this process leads, as last heard. To act on it, be inside `lead`."""
        mine = (self.candidate, self._bus.instance)
        return self.leader is not None and (self.leader.candidate, self.leader.instance) == mine

    def lead(self, *, wait: float | None = None) -> Lock:
        """Lead, while the context lasts: `async with election.lead() as lease: ...`.

        Candidates come to lead in the order in which they stood.

        Args:
            wait: Seconds to wait to be elected. None: as long as it takes. 0: only if nobody leads.

        Raises:
            LockNotAcquired: another led all the while.
            LockLost: out of the block, which is cancelled, when the office is lost.
        """
        return _Office(self._bus, self.name, self.candidate, ttl=self._ttl, wait=wait)

    def changes(self) -> LeaderChanges:
        """Every change of the leader from now on; several at once may be seen as one."""
        return LeaderChanges(self._now)

    # a sink of the channel

    def deliver(self, payload: bytes) -> None:
        """Hear that somebody was elected, or resigned."""
        self._news.set()

    def gap(self) -> None:
        """Learn that this may have been missed."""
        self._news.set()

    async def look(self) -> float:
        """See who leads; return the seconds until that may have changed without a word.

        Raises:
            BusUnavailable: Redis could not be reached.
        """
        self._news = anyio.Event()
        answer = await self._bus.link.run(_LEADER, _Office(self._bus, self.name, "-").keys())
        leader = _read(answer[0]) if answer else None
        if leader != self.leader:
            change = LeaderChange(leader, self.leader)
            self.leader = leader
            before, self._now = self._now, _Moment()
            before.then = change, self._now
            before.over.set()
        # A leader that dies says nothing: its lease runs out.
        return min(LOOK_EVERY, int(answer[1]) / 1000 + 0.005) if answer else LOOK_EVERY

    async def follow(self) -> None:
        """Keep `leader` up to date, until cancelled."""
        while True:
            try:
                pause = await self.look()
            except AWAY as error:
                log.debug("looking who leads was interrupted", election=self.name, error=error)
                pause = 0.5
            with anyio.move_on_after(pause):
                await self._news.wait()


class _Office(Lock):
    """The lock whose holder leads; it leaves a note of who that is."""

    noun = "election"

    def __init__(
        self, bus: "Bus", name: str, candidate: str, *, ttl: float = 30.0, wait: float | None = None
    ) -> None:
        super().__init__(bus, name, ttl=ttl, wait=wait)
        self._base = bus.keys.election(name)
        self._channel = bus.keys.election_channel(name)
        self._note = msgspec.json.encode(
            {"candidate": candidate, "instance": bus.instance}
        ).decode()


@asynccontextmanager
async def following(bus: "Bus", name: str, candidate: str, ttl: float) -> AsyncGenerator[Election]:
    """Follow an election until the context ends. See `Bus.election`."""
    election = Election(bus, name, candidate, ttl)
    channel = bus.keys.election_channel(name)
    await bus.subscriber.add(channel, election)
    try:
        await election.look()
        async with background(election.follow):
            yield election
    finally:
        bus.subscriber.remove(channel, election)


def _read(note: bytes) -> Leader | None:
    fence, _, who = note.partition(b" ")
    try:
        said = msgspec.json.decode(who, type=dict[str, str])
        return Leader(said["candidate"], said["instance"], int(fence))
    except (msgspec.MsgspecError, ValueError, KeyError):
        log.warning("the note of who leads is garbled", note=ascii(note[:80]))
        return None
