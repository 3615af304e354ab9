"""Leader election, for code that is not async."""

from typing import TYPE_CHECKING, Any

from bus.locks.election import Election as AsyncElection
from bus.locks.election import Leader, LeaderChange
from bus.locks.election import LeaderChanges as AsyncLeaderChanges

from .hold import Hold
from .lock import Lock
from .pull import Pull
from .through import Noun, making

if TYPE_CHECKING:
    from .bus import Bus


class LeaderChanges(Pull[LeaderChange]):
    """The changes of a leader from a moment on, until the election's block ends: iterate over it.

    Made by `Election.changes`.

    Example: See `Election`.
    """

    def __init__(self, bus: "Bus", hold: Hold[Any], over: AsyncLeaderChanges) -> None:
        super().__init__(bus.portal, over.__anext__, hold)


class Election(Noun[AsyncElection]):
    """An election that this process follows, and can stand in. Made by `Bus.election`.

        with bus.election("planner", candidate="scout") as election:
            with election.lead() as lease:  # waits until this process is elected
                lease.check()

    Attributes:
        name: Of the election.
        candidate: The name under which this process stands.
        leader: Who leads, as last heard; None: nobody.
        leading: Whether this process leads, as last heard. To act on it, be inside `lead`.

    Example:
        election: Election
        with bus.election("planner", candidate="scout", ttl=10) as election:
            changes: LeaderChanges = election.changes()
            with election.lead() as lease:
                change: LeaderChange = changes.receive(timeout=5)
                print(change.leader.candidate, change.leader.fence == lease.fence)  #> scout True
    """

    def __init__(self, bus: "Bus", hold: Hold[AsyncElection], over: AsyncElection) -> None:
        super().__init__(bus, over)
        self._hold = hold

    @property
    def name(self) -> str:
        return self.over.name

    @property
    def candidate(self) -> str:
        return self.over.candidate

    @property
    def leader(self) -> Leader | None:
        return self.over.leader

    @property
    def leading(self) -> bool:
        return self.over.leading

    lead = making(AsyncElection.lead, Lock)

    def changes(self) -> LeaderChanges:
        """Every change of the leader from now on; several at once may be seen as one.

        Wait for one so long: `changes.receive(timeout=5)`, which raises `TimeoutError`.
        """
        return LeaderChanges(self._bus, self._hold, self.over.changes())
