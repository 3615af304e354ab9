"""Locks: leases with a fencing token, in the order of arrival, that notice their own loss.

What a lock guarantees, while Redis keeps its data: at most one exclusive holder, or any number of
shared ones, has a live lease; whoever waits is served in order of arrival, so that neither readers
nor writers starve; a waiter that died is passed over within `WAITER_TTL`, a holder that died
within its TTL; each lease's fence is greater than all before it. The holder's block is cancelled
before its lease can have run out by its own clock.

What it does not: that a holder which was suspended stops in time. A process can be stopped between
its last look at the clock and the write that follows, for longer than any TTL. No lock service can
prevent that; so whatever the lock protects should refuse a fence lower than one it has seen
(M. Kleppmann, "How to do distributed locking", 2016). What is done: on waking, the block is
cancelled in the event loop's first turn, so that it gets no further than to its next await (on
asyncio, what was ready to go on goes on once before the loop looks at the clock); and
`Lease.check`, called right before a side effect, narrows the gap to that one call. A machine that
slept (not only the process) is noticed within a second of waking, by `check` at once.

Where Redis loses the lock itself (FLUSHALL; a failover to a replica that had not got it), two
holders can overlap until the first one's next renewal, and the waiters stand in line anew. Ask
for `replicated=n` to get a lock that n replicas have: a failover to one of these keeps it, one to
another does not. This is what Redisson does, and it is no consensus. The fence still tells the
holders apart: it is max(last + 1, server time in us), so it grows while either the counter or the
clock is kept. Where Redis lost its data and its clock went back as well, it could fall: give the
highest fence that the protected resource has seen as `above`.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio

from bus.agents.giveup import GiveUp, gives_up, name_in
from bus.arguments import seconds_or_none, whole
from bus.errors import BusUnavailable, LockNotAcquired, NotReplicated, ServerRefused
from bus.keys import Keys, check_name
from bus.messages.envelope import new_id
from bus.servers.link import TRANSIENT
from bus.servers.script import Script
from bus.telemetry.journal import Journal

from .lease import Lease, check_ttl, lease_clock

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.lock")

#: The functions that the scripts of locks use.
LINE: Final = ("servers/growing", "locks/line")
_ACQUIRE: Final = Script("locks/acquire", *LINE)
_RENEW: Final = Script("locks/renew", *LINE)


def _keys_of(base: str) -> list[str]:
    parts = ("fence", "waiters", "alive", "sharers", "note")
    return [base, *(f"{base}:{part}" for part in parts)]


def _is_release(keys: Keys, call: GiveUp) -> bool:
    """Whether the keys are those of one lock, and nobody is told of it but who would be."""
    base = call.keys[0] if call.keys else ""
    elected = name_in(keys.election("*"), base)
    named = elected or name_in(keys.lock("*"), base) or name_in(keys.semaphore("*"), base)
    if named is None or call.keys != _keys_of(base) or len(call.args) != 4:
        return False
    _, channels, limit, channel = call.args
    told = keys.election_channel(elected) if elected else ""
    return channels == keys.instance("") and isinstance(limit, int) and channel == told


_RELEASE: Final = gives_up(Script("locks/release", *LINE), _is_release)

#: Seconds for which a waiter keeps its place in line without a sign of life.
WAITER_TTL: Final = 3.0

#: The highest fence to exceed: the scripts count up to 2**53, and have to go on from there.
_MOST_ABOVE: Final = 2**52

#: How many may share: nobody, or everybody.
EXCLUSIVE: Final = 0
ANY_NUMBER: Final = -1


class Lock:
    """A named lock: `async with bus.lock("heartbeat:scout", ttl=30) as lease: ...`.

    The block is cancelled, and `LockLost` raised, when the lease is lost: when it is another's, or
    could not be renewed before it may have run out by this process's own clock. May be used again
    after its block has ended, but is not reentrant: who asks twice waits for himself.

    While Redis keeps its data there is one holder (or any number of shared ones) with a live lease,
    in order of arrival. That a holder which was suspended stops in time, no lock can guarantee:
    whatever it protects should refuse a fence lower than one it has seen (M. Kleppmann, "How to do
    distributed locking", 2016). The module says more.

    Args:
        ttl: Seconds that a lease lasts; it is renewed every third of it.
        wait: Seconds to wait for the lock. None: as long as it takes. 0: do not wait.
        shared: Hold it together with others who share it, and not beside an exclusive holder.
        replicated: Have it only once so many replicas have it too.
        above: A fence that was seen where it is checked: the lease's own is greater.

    Attributes:
        name: Of the lock.
        noun: What it is called in messages.

    Raises:
        LockNotAcquired: it was not free in time.
        NotReplicated: too few replicas had it within a third of the TTL; it was released again.
        LockLost: out of the block, when the lease was lost before it ended.
        BusUnavailable: Redis could not be reached.
        ValueError, TypeError: an argument is out of range (the TTL is from 0.05 s to a year), or of
            another type.

    Example:
        report: Lock = bus.lock("report", ttl=30, wait=5)
        async with report as lease:
            lease.check()  # right before a side effect
            try:
                async with bus.lock("report", wait=0):
                    print("never")
            except LockNotAcquired:
                print(f"held for {lease.ttl:g} s at a time")  #> held for 30 s at a time
    """

    #: What it is called in messages.
    noun = "lock"

    def __init__(
        self,
        bus: "Bus",
        name: str,
        *,
        ttl: float,
        wait: float | None,
        shared: bool = False,
        replicated: int = 0,
        above: int = 0,
    ) -> None:
        self.name = check_name(self.noun, name)
        self._bus = bus
        self._ttl = check_ttl(ttl)
        self._wait = seconds_or_none("wait", wait)
        self._replicated = whole("replicated", replicated, most=1000)
        self._above = whole("above", above, most=_MOST_ABOVE)
        self._limit = ANY_NUMBER if shared else EXCLUSIVE
        self._base = bus.keys.lock(name)
        self._note = ""
        self._channel = ""
        self._cm: AbstractAsyncContextManager[Lease] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    async def __aenter__(self) -> Lease:
        if self._cm is not None:
            raise RuntimeError(f"{self!r} is in use: make another to wait for it once more")
        self._cm = self._hold()
        try:
            return await self._cm.__aenter__()
        except BaseException:
            self._cm = None
            raise

    async def __aexit__(self, *exc: object) -> bool | None:
        cm, self._cm = self._cm, None
        assert cm is not None, "left without having been entered"
        return await cm.__aexit__(*exc)  # type: ignore[arg-type]

    @asynccontextmanager
    async def _hold(self) -> AsyncGenerator[Lease]:
        token = f"{self._bus.instance}:{new_id()}:{'s' if self._limit else 'x'}"
        lease: Lease | None = None
        try:
            holding = await self._bus.holdings.add(
                token, f"{self.noun} {self.name}", _RELEASE, *self._release_call(token)
            )
            with self._bus.telemetry.waiting(self.noun, self.name):
                lease = await self._acquire(token)
                if self._replicated:
                    await self._replicate(lease, token)
            with self._bus.telemetry.holding(self.noun, self.name, lease.fence):
                async with lease.kept(holding.watch):
                    yield lease
        except BaseException:
            await self._leave(token)
            raise
        if not await self._leave(token):
            lease.lose(
                f"{lease.name} (fence {lease.fence}) was no longer held when it was released: it "
                "ran out, or Redis lost it, while what it protected was going on"
            )
            lease.check()

    # taking it

    async def _acquire(self, token: str) -> Lease:
        give_up = None if self._wait is None else anyio.current_time() + self._wait
        woken = None
        try:
            while True:
                if woken is None or woken.is_set():
                    woken = self._bus.mailbox.waiter(token)
                lease, again = await self._try(token)
                if lease is not None:
                    return lease
                # Its holder may be dead, and nobody else there to find it out.
                self._bus.reaper.wake()
                if give_up is not None and anyio.current_time() >= give_up:
                    raise LockNotAcquired(
                        f"{self.noun} {self.name} is held by somebody else, and was not free "
                        f"within {self._wait:g} s: wait longer, or see who holds it (`argentbus "
                        "agents`)"
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

    async def _try(self, token: str) -> tuple[Lease | None, float]:
        sent_at = 0.0

        async def attempt() -> Any:
            nonlocal sent_at
            sent_at = lease_clock()
            return await self._bus.link.run_once(_ACQUIRE, self.keys(), self._request(token))

        won, answer = await self._bus.link.retrying(attempt)
        if not won:
            return None, max(0.001, int(answer) / 1000)

        async def renewal(ttl: float) -> bool:
            return bool(
                await self._bus.link.run_once(_RENEW, self.keys(), [token, int(ttl * 1000)])
            )

        lease = Lease(
            f"{self.noun} {self.name}", int(answer), self._ttl, sent_at=sent_at, renewal=renewal
        )
        if lease.remaining <= self._ttl / 10:
            # The reply took almost as long as the lease lasts: what came is not to be trusted.
            await self._release(token)
            return None, 0.001
        return lease, 0.0

    async def _replicate(self, lease: Lease, token: str) -> None:
        """Return once enough replicas have the lock.

        WAIT speaks of what its own connection wrote: the lock is taken once more on one that
        nobody else waits behind.
        """
        wanted, link = self._replicated, self._bus.link
        within = self._ttl / 3

        async def ask() -> int:
            async with link.dedicated(self._base) as connection:
                keys, request = self.keys(), self._request(token)
                won, fence = await link.ask(
                    connection, b"EVAL", _ACQUIRE.text, len(keys), *keys, *request
                )
                if not won:
                    return 0
                lease.fence = int(fence)
                timeout = within + link.reply_timeout
                return int(
                    await link.ask(
                        connection, b"WAIT", wanted, max(1, int(within * 1000)), timeout=timeout
                    )
                )

        had = await link.retrying(ask, patience=within)
        if had < wanted:
            raise NotReplicated(
                f"{lease.name} was to be on {wanted} replicas, and within {within:g} s {had} had "
                "it: it was released again; see that the replicas follow (INFO replication), or "
                "ask for fewer",
                wanted=wanted,
                had=had,
            )
        lease.check()

    # giving it up

    async def _leave(self, token: str) -> bool:
        """Release; return False where it was surely not held any more."""
        held = True
        with anyio.CancelScope(shield=True), anyio.move_on_after(min(self._ttl, 5.0)):
            held = await self._release(token)
        self._bus.holdings.remove(token)
        return held

    async def _release(self, token: str) -> bool:
        call = self._release_call(token)
        try:
            try:
                return bool(await self._bus.link.run_once(_RELEASE, *call))
            except TRANSIENT as error:
                log.debug(
                    "releasing a lock was interrupted", kind=self.noun, lock=self.name, error=error
                )
            # The first call may have done it, so what the second one finds says nothing.
            await self._bus.link.run(_RELEASE, *call)
        except (BusUnavailable, ServerRefused) as error:
            log.warning(
                "a lock was not released: its lease will run out",
                kind=self.noun,
                lock=self.name,
                error=error,
            )
        return True

    # the scripts' view of it

    def keys(self) -> list[str]:
        """The keys of the lock, as its scripts take them."""
        return _keys_of(self._base)

    def _release_call(self, token: str) -> tuple[list[str], list[str | int]]:
        return self.keys(), [token, self._bus.keys.instance(""), self._limit, self._channel]

    def _request(self, token: str) -> list[str | int]:
        waits = self._wait is None or self._wait > 0
        return [
            token,
            int(self._ttl * 1000),
            int(WAITER_TTL * 1000) if waits else 0,
            self._limit,
            self._bus.keys.instance(""),
            self._note,
            self._channel,
            self._above,
        ]
