"""Locks, for code that is not async."""

from types import TracebackType
from typing import TYPE_CHECKING

from bus.errors import LockLost
from bus.keys import check_name
from bus.locks.lease import Lease as AsyncLease

from .portal import Hold

if TYPE_CHECKING:
    from .bus import Bus


class Lease:
    """A lock while it is held.

    Attributes:
        name: Of the lock.
        fence: A number greater than that of every lease before: pass it to what is protected.
        ttl: Seconds that the lease lasts without renewal.
    """

    def __init__(self, hold: Hold[AsyncLease], over: AsyncLease) -> None:
        self.name = over.name
        self.fence = over.fence
        self.ttl = over.ttl
        self._hold = hold
        self._over = over

    @property
    def remaining(self) -> float:
        """Seconds until the lease runs out unless it is renewed, by this process's own clock."""
        if self._hold.lost or self._hold.failure is not None:
            return 0.0
        return self._hold.portal.call(self._remaining)

    async def _remaining(self) -> float:
        return self._over.remaining  # by the clock of the event loop

    def check(self) -> None:
        """Raise `LockLost` where the lease is lost, or has run out by this process's own clock.

        That it is held is true when this returns, and may not be a moment later: whatever the lock
        protects should check `fence`.
        """
        failure = self._hold.failure
        if isinstance(failure, LockLost):
            raise failure
        if self.remaining <= 0:
            raise LockLost(
                f"lock {self.name} (fence {self.fence}) is lost: another may hold it now, so stop "
                "what it protected"
            )

    def __repr__(self) -> str:
        return f"<Lease {self.name} fence={self.fence}>"


class Lock:
    """A named lock: `with bus.lock("heartbeat:scout", ttl=30) as lease: ...`.

    It is renewed by the portal, whatever the thread does. A thread cannot be cancelled: where the
    lease is lost, `Lease.check` raises `LockLost`, and so does leaving the block. Arguments and
    errors are those of the async `Lock`.
    """

    def __init__(
        self, bus: "Bus", name: str, *, ttl: float, wait: float | None, above: int
    ) -> None:
        self.name = check_name("lock", name)
        self._hold: Hold[AsyncLease] = Hold(
            bus.portal, lambda: bus.over.lock(name, ttl=ttl, wait=wait, above=above)
        )

    def __enter__(self) -> Lease:
        return Lease(self._hold, self._hold.enter())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._hold.leave(error)
