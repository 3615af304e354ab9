"""Locks and semaphores, for code that is not async."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bus.errors import LockLost
from bus.locks.lease import Lease as AsyncLease
from bus.locks.lock import Lock as AsyncLock

from .hold import Hold
from .through import Noun, through

if TYPE_CHECKING:
    from .bus import Bus


class Lease(Noun[AsyncLease]):
    """A lock, a permit or a run, while it is held. Renewed by the portal, whatever the thread does.

    Attributes:
        name: Of what is held, such as `lock heartbeat:scout`.
        fence: A number greater than that of every lease before: pass it to what is protected.
        ttl: Seconds that the lease lasts without renewal.

    Example: See `Lock`.
    """

    def __init__(self, bus: "Bus", hold: Hold[Any], over: AsyncLease) -> None:
        super().__init__(bus, over)
        self._hold = hold

    def __repr__(self) -> str:
        return f"<Lease {self.name} fence={self.fence}>"

    @property
    def name(self) -> str:
        return self.over.name

    @property
    def fence(self) -> int:
        return self.over.fence

    @property
    def ttl(self) -> float:
        return self.over.ttl

    @property
    def remaining(self) -> float:
        """Seconds until the lease runs out unless it is renewed, by this process's own clock; 0
        where it is lost or was given up, and in a child process, whose parent has it.
        """
        hold = self._hold
        return 0.0 if hold.lost or hold.left or hold.portal.foreign else self.over.remaining

    def check(self) -> None:
        """Return only if the lease is held, as far as this process knows by its own clock.

        That is true when this returns, and may not be a moment later: whatever the lease protects
        should check `fence`. It does not ask Redis, and costs next to nothing.

        Raises:
            LockLost: it is lost, may have run out, or was given up.
            BusError: this is a child process: the lease is its parent's.
        """
        self._hold.portal.check_process()
        failure = self._hold.failure
        if isinstance(failure, LockLost):
            raise failure
        self.over.check()
        if self._hold.lost:
            raise LockLost(
                f"{self.name} (fence {self.fence}) is lost: another may hold it now, so stop what "
                "it protected"
            )

    extend = through(AsyncLease.extend)


class Lock(Noun[AsyncLock]):
    """A named lock.

        with bus.lock("heartbeat:scout", ttl=30) as lease:
            lease.check()  # right before a side effect: raises LockLost if the lease ran out
            write(fence=lease.fence)  # and the resource refuses a lower one than it has seen

    What it guarantees, its arguments and its errors are those of the async `Lock`; but a thread
    cannot be cancelled: where the lease is lost, `Lease.check` raises `LockLost`, and so does
    leaving the block. May be used again after its block has ended, but is not reentrant.

    Example:
        report: Lock = bus.lock("report", ttl=30, wait=5)
        lease: Lease
        with report as lease:  # renewed, however long this thread is busy
            lease.check()  # right before a side effect: LockLost, if it is lost
            print(lease.name, lease.remaining > 20)  #> lock report True
    """

    _hold: Hold[AsyncLease] | None = None

    @property
    def name(self) -> str:
        return self.over.name

    def __enter__(self) -> Lease:
        hold = Hold(self._bus.portal, lambda: self.over)
        lease = Lease(self._bus, hold, hold.enter())
        self._hold = hold
        return lease

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        hold, self._hold = self._hold, None
        assert hold is not None, "left without having been entered"
        hold.leave(error)


class Semaphore(Lock):
    """A named semaphore: `with bus.semaphore("gpu", permits=5) as lease: ...`.

    As `Lock`, with up to `permits` holders at a time. See the async `Semaphore`.

    Example:
        gpu: Semaphore = bus.semaphore("gpu", permits=2, wait=0)
        with gpu, bus.semaphore("gpu", permits=2, wait=0):
            print("both permits are in use")  #> both permits are in use
    """


def leases(
    bus: "Bus", hold: Hold[Mapping[str, AsyncLease]], over: Mapping[str, AsyncLease]
) -> Mapping[str, Lease]:
    """The leases of several locks that are held together: if one is lost, each says so."""
    return {name: Lease(bus, hold, lease) for name, lease in over.items()}
