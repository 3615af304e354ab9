"""Leases: what is held for a while, renewed in time, and given up before it can be another's.

The holder's clock counts from before a renewal is sent, the server's from when it arrives: by the
time that the server lets go, the holder has been told to. It is the clock that also runs while the
machine sleeps (CLOCK_BOOTTIME on Linux), so that a laptop that was closed past the TTL knows.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

from bus.arguments import seconds
from bus.errors import LockLost, ServerRefused
from bus.scope import background
from bus.servers.link import TRANSIENT
from bus.telemetry.journal import Journal

log = Journal("argentbus.lock")

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

#: The part of its TTL that a lease ends early, for clocks that do not run at the same pace.
MARGIN: Final = 0.02

#: Most seconds between two looks at the clock: timers stand still while the machine sleeps.
LOOK_EVERY: Final = 1.0

#: Asks the server to let the lease last so many seconds more; says whether it is still held.
Renewal = Callable[[float], Awaitable[bool]]


def lease_clock() -> float:
    """Seconds, growing also while the machine sleeps; for differences only."""
    return time.clock_gettime(_CLOCK)


def check_ttl(ttl: float) -> float:
    """Return `ttl` when a lease of so many seconds can be renewed in time: 0.05, up to a year."""
    return seconds("ttl", ttl, least=0.05)


class Lease:
    """A lock, a permit or a run, while it is held. Renewed by itself every third of its TTL.

    Attributes:
        name: Of what is held, such as `lock heartbeat:scout`.
        fence: A number greater than that of every lease before: pass it to what is protected.
        ttl: Seconds that the lease lasts without renewal.

    Example:
        async with bus.lock("report", ttl=30) as lease:
            assert isinstance(lease, Lease)
            await lease.extend(ttl=600)  # before something that blocks the event loop
            print(lease.name, lease.remaining > 500)  #> lock report True
    """

    def __init__(
        self, name: str, fence: int, ttl: float, *, sent_at: float, renewal: Renewal
    ) -> None:
        self.name = name
        self.fence = fence
        self.ttl = ttl
        self._renewal = renewal
        self._renewing = anyio.Lock()
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()
        self._lost: str | None = None
        self._ended = False
        self._trouble: BaseException | None = None
        self._expires_at = 0.0
        self._until(sent_at + ttl)

    def __repr__(self) -> str:
        return f"<Lease {self.name} fence={self.fence}>"

    @property
    def remaining(self) -> float:
        """Seconds until the lease runs out unless it is renewed, by this process's own clock; 0
        where it is lost, or was given up.
        """
        if self._ended or self._lost is not None:
            return 0.0
        return max(0.0, self._expires_at - lease_clock())

    def check(self) -> None:
        """Return only if the lease has not run out by this process's own clock.

        To be called before a side effect that must not happen without the lease. It does not ask
        Redis; and between its answer and the effect the process can still be suspended, which only
        a fence that is checked where the effect happens can make harmless.

        Raises:
            LockLost: the lease may have run out, is known to be lost, or was given up.
        """
        if self._lost is None and self._ended:
            raise LockLost(f"{self.name} (fence {self.fence}) was given up: its block has ended")
        if self._lost is None and self.remaining <= self.ttl * MARGIN:
            self._run_out()
        if self._lost is not None:
            raise LockLost(self._lost) from self._trouble

    async def extend(self, *, ttl: float | None = None) -> None:
        """Renew at once, so that the lease lasts `ttl` seconds from now without another renewal.

        For a holder that is about to block the event loop for longer than its TTL.

        Args:
            ttl: Seconds; also for the renewals to come. None: as long as before.

        Raises:
            LockLost: it is no longer held.
            ValueError: a TTL that is too short to be renewed in time.
        """
        if ttl is not None:
            check_ttl(ttl)
        await self._renew(ttl)
        self._changed.set()

    async def _renew(self, ttl: float | None = None) -> None:
        async with self._renewing:
            while True:
                self.check()
                asked = self.ttl if ttl is None else ttl
                sent_at = lease_clock()
                try:
                    held = await self._renewal(asked)
                except (*TRANSIENT, ServerRefused) as error:
                    # Refused or not: it lasts as long as it lasts, and may be renewed till then.
                    if isinstance(error, ServerRefused) and self._trouble is None:
                        log.warning(
                            "a lease could not be renewed, which is tried again while it lasts",
                            lease=self.name,
                            seconds=round(self.remaining, 3),
                            error=error,
                        )
                    log.debug("renewing a lease was interrupted", lease=self.name, error=error)
                    self._trouble = error
                    await anyio.sleep(min(0.1, self.ttl / 20))
                    continue
                if not held and not self._ended:
                    self.lose(
                        f"{self.name} (fence {self.fence}) is no longer held by this holder: it "
                        "ran out, or Redis lost it; stop what it protected"
                    )
                self.check()  # it may have been given up while the reply was on its way
                self._trouble = None
                self.ttl = asked
                self._until(sent_at + asked)
                return

    def lose(self, why: str) -> None:
        """Note that the lease is lost, whatever the clock says."""
        self._lost = self._lost or why

    def _run_out(self) -> None:
        why = "" if self._trouble is None else f" ({str(self._trouble) or repr(self._trouble)})"
        self.lose(
            f"{self.name} (fence {self.fence}) could not be renewed within its {self.ttl:g} s"
            f"{why}: another may hold it now, so stop what it protected"
        )

    def _until(self, expires_at: float) -> None:
        self._expires_at = expires_at
        # The scope's own deadline: on waking from a suspension nothing has to be awaited for it.
        left = expires_at - self.ttl * MARGIN - lease_clock()
        self._scope.deadline = anyio.current_time() + left

    async def _keep(self) -> None:
        while True:
            self.check()
            pause = min(LOOK_EVERY, self.remaining - self.ttl * 2 / 3)
            if pause <= 0:
                await self._renew()
                continue
            self._changed = anyio.Event()
            with anyio.move_on_after(pause):
                await self._changed.wait()

    @asynccontextmanager
    async def kept(self, watch: Callable[[], Coroutine[Any, Any, None]]) -> "AsyncGenerator[Lease]":
        """Renew the lease while the body runs, and cancel the body when it is lost.

        Args:
            watch: Raises once it is lost for another reason.

        Raises:
            LockLost: it was lost before the body ended, also if the body has not noticed.
        """
        try:
            async with background(self._keep, watch):
                with self._scope:
                    yield self
            if self._scope.cancelled_caught:
                self._run_out()
            # It may also have run out while the body was not awaiting anything.
            self.check()
        except LockLost as error:
            self.lose(str(error))
            raise
        finally:
            self._ended = True
