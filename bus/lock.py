"""Locks: leases with a fencing token, in the order of arrival, that notice their own loss.

What a lock guarantees: while Redis keeps its data, at most one holder has a live lease, and each
lease's fence is greater than all before it. What it does not: that a holder which was suspended
stops in time. No lock service can; so whatever the lock protects should refuse a fence lower than
one it has seen (M. Kleppmann, "How to do distributed locking", 2016). Where Redis loses the lock
itself (a failover to a replica that had not got it), two holders can overlap, and again the fence
tells them apart: it is at least the server's time in microseconds.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio

from .envelope import new_id
from .errors import BusUnavailable, LockLost, LockNotAcquired, ServerRefused
from .holdings import gives_up
from .keys import check_name
from .link import TRANSIENT
from .scope import background
from .script import Script

if TYPE_CHECKING:
    from .bus import Bus

log = logging.getLogger("argentbus.lock")

_ACQUIRE: Final = Script("acquire")
_RENEW: Final = Script("renew")
_RELEASE: Final = gives_up(Script("release"))

#: Seconds for which a waiter keeps its place in line without a sign of life.
WAITER_TTL: Final = 3.0


class Lease:
    """A lock while it is held.

    Attributes:
        name: Of the lock.
        fence: A number greater than that of every lease before: pass it to what is protected.
        ttl: Seconds that the lease lasts without renewal.
    """

    def __init__(self, name: str, fence: int, ttl: float, expires_at: float) -> None:
        self.name = name
        self.fence = fence
        self.ttl = ttl
        self._expires_at = expires_at

    @property
    def remaining(self) -> float:
        """Seconds until the lease runs out unless it is renewed, by this process's own clock."""
        return max(0.0, self._expires_at - anyio.current_time())

    def extend(self, sent_at: float) -> None:
        """Note a renewal that was sent at `sent_at`."""
        self._expires_at = sent_at + self.ttl

    def __repr__(self) -> str:
        return f"<Lease {self.name} fence={self.fence}>"


class Lock:
    """A named lock: `async with bus.lock("heartbeat:scout", ttl=30) as lease: ...`.

    The block is cancelled, and `LockLost` raised, when the lease is lost: when it is another's, or
    could not be renewed before it may have run out by this process's own clock.

    Args:
        ttl: Seconds that a lease lasts; it is renewed every third of it.
        wait: Seconds to wait for the lock. None: as long as it takes. 0: do not wait.
        above: A fence that was seen where it is checked: the lease's own is greater.

    Raises:
        LockNotAcquired: it was not free in time.
        BusUnavailable: Redis could not be reached.
    """

    def __init__(
        self, bus: "Bus", name: str, *, ttl: float, wait: float | None, above: int = 0
    ) -> None:
        self.name = check_name("lock", name)
        if ttl < 0.05:
            raise ValueError(f"a lease of {ttl:g} s cannot be renewed in time: use 0.05 or more")
        self._bus = bus
        self._ttl = ttl
        self._wait = wait
        self._above = above
        self._key = bus.keys.lock(name)
        self._cm = self._hold()

    async def __aenter__(self) -> Lease:
        return await self._cm.__aenter__()

    async def __aexit__(self, *exc: object) -> bool | None:
        return await self._cm.__aexit__(*exc)  # type: ignore[arg-type]

    @asynccontextmanager
    async def _hold(self) -> AsyncGenerator[Lease]:
        token = f"{self._bus.instance}:{new_id()}"
        try:
            holding = await self._bus.holdings.add(
                token, f"lock {self.name}", _RELEASE, *self._release_call(token)
            )
            lease = await self._acquire(token)
            async with background(lambda: self._keep(lease, token), holding.watch):
                yield lease
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(min(self._ttl, 5.0)):
                await self._release(token)
            self._bus.holdings.remove(token)

    async def _acquire(self, token: str) -> Lease:
        give_up = None if self._wait is None else anyio.current_time() + self._wait
        woken = None
        try:
            while True:
                if woken is None or woken.is_set():
                    woken = self._bus.mailbox.waiter(token)
                sent_at = anyio.current_time()
                lease, again = await self._try(token, sent_at)
                if lease is not None:
                    return lease
                if give_up is not None and anyio.current_time() >= give_up:
                    raise LockNotAcquired(
                        f"lock {self.name} is held by somebody else, and was not free within "
                        f"{self._wait:g} s: wait longer, or see who holds it (`argentbus agents`)"
                    )
                if await self._bus.mailbox.open():
                    continue  # the lock may have been freed before we could hear of it
                pause = min(again, WAITER_TTL / 3)
                if give_up is not None:
                    pause = min(pause, max(0.0, give_up - anyio.current_time()))
                with anyio.move_on_after(pause):
                    await woken.wait()
        finally:
            self._bus.mailbox.forget(token)

    async def _try(self, token: str, sent_at: float) -> tuple[Lease | None, float]:
        waits = self._wait is None or self._wait > 0
        won, answer = await self._bus.link.run(
            _ACQUIRE,
            [self._key, f"{self._key}:fence", f"{self._key}:waiters", f"{self._key}:alive"],
            [
                token,
                int(self._ttl * 1000),
                int(WAITER_TTL * 1000) if waits else 0,
                self._above,
            ],
        )
        if not won:
            return None, max(0.001, int(answer) / 1000)
        lease = Lease(self.name, int(answer), self._ttl, sent_at + self._ttl)
        if lease.remaining <= self._ttl / 10:
            # The reply took almost as long as the lease lasts: what came is not to be trusted.
            await self._release(token)
            return None, 0.001
        return lease, 0.0

    async def _keep(self, lease: Lease, token: str) -> None:
        # A little earlier than the lease can end, for clocks that do not run at the same pace.
        margin = self._ttl * 0.02
        while True:
            await anyio.sleep(self._ttl / 3)
            held = None
            with anyio.move_on_after(max(0.0, lease.remaining - margin)):
                held = await self._renew(lease, token)
            if held is None:
                raise LockLost(
                    f"lock {self.name} (fence {lease.fence}) could not be renewed within its "
                    f"{self._ttl:g} s: another may hold it now, so stop what it protected"
                )
            if not held:
                raise LockLost(
                    f"lock {self.name} (fence {lease.fence}) is no longer held by this holder: it "
                    "ran out, or Redis lost it; stop what it protected"
                )

    async def _renew(self, lease: Lease, token: str) -> bool:
        while True:
            sent_at = anyio.current_time()
            try:
                held = await self._bus.link.run_once(
                    _RENEW, [self._key], [token, int(self._ttl * 1000)]
                )
            except TRANSIENT as error:
                log.debug("renewing %s: %r", self.name, error)
                await anyio.sleep(min(0.1, self._ttl / 20))
            else:
                if held:
                    lease.extend(sent_at)
                return bool(held)

    async def _release(self, token: str) -> None:
        try:
            await self._bus.link.run(_RELEASE, *self._release_call(token))
        except (BusUnavailable, ServerRefused) as error:
            log.warning("lock %s not released, its lease will run out: %s", self.name, error)

    def _release_call(self, token: str) -> tuple[list[str], list[str | int]]:
        keys = [self._key, f"{self._key}:waiters", f"{self._key}:alive"]
        return keys, [token, self._bus.keys.instance("")]
