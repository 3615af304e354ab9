"""Jobs that a fleet runs once a period, for code that is not async."""

from types import TracebackType
from typing import TYPE_CHECKING

from bus.locks.lease import Lease as AsyncLease
from bus.locks.once import OncePer as AsyncOncePer
from bus.locks.once import Run as AsyncRun

from .hold import Hold, Telling
from .lock import Lease
from .through import Noun

if TYPE_CHECKING:
    from .bus import Bus


class Run(Noun[AsyncRun]):
    """The run of one period, which is this runner's: `with run as lease: ...`.

    A block that raises has failed; one that is not entered counts as run. A thread cannot be
    cancelled: where the claim is lost, `Lease.check` raises `LockLost`, and so does leaving the
    block.

    Attributes:
        slot: Number of the period since the epoch.
        due: When the period began, by the server's clock, in seconds since the epoch.
        attempt: Which attempt it is, from 1.
        lease: Of the run, with its fence.

    Example:
        run: Run | None = bus.once_per("summary", 3600).claim()
        if run is not None:  # None: another has this hour's
            with run as lease:
                lease.check()
                print("summarized")  #> summarized
    """

    def __init__(self, bus: "Bus", over: AsyncRun) -> None:
        super().__init__(bus, over)
        self.slot = over.slot
        self.due = over.due
        self.attempt = over.attempt
        self._block: Telling[AsyncLease] = Telling(over)
        self._hold: Hold[AsyncLease] = Hold(bus.portal, lambda: self._block)
        self.lease = Lease(bus, self._hold, over.lease)

    def __enter__(self) -> Lease:
        self._hold.enter()
        return self.lease

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._block.outcome = (kind, error, traceback)
        self._hold.leave(error)


class OncePer(Noun[AsyncOncePer]):
    """The runs of a job that fall to this runner, endlessly: iterate over it, in one thread.

    `for run in bus.once_per("heartbeat:scout", 60):` / `    with run: ...`

    Any number of runners iterate; each period's run comes to one of them. Ctrl-C while it waits
    leaves no run claimed. See the async `OncePer` for the arguments.

    Example:
        summaries: OncePer = bus.once_per("summary", 3600, attempts=3)
        for run in summaries:  # wherever in the fleet: one of them has this hour's
            with run as lease:
                print(run.attempt, lease.fence > 0)  #> 1 True
            break
    """

    @property
    def name(self) -> str:
        return self.over.name

    @property
    def period(self) -> float:
        """Seconds."""
        return self.over.period

    def __iter__(self) -> "OncePer":
        return self

    def __next__(self) -> Run:
        return Run(self._bus, self._bus.portal.call(self.over.__anext__))

    def claim(self) -> Run | None:
        """The run of the period that it is now, or None where it is another's: does not wait.

        Raises:
            BusUnavailable: Redis could not be reached.
        """
        run = self._bus.portal.call(self.over.claim)
        return None if run is None else Run(self._bus, run)
