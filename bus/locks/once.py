"""Jobs that a fleet runs once a period.

While the lock service is up and keeps its data, each period has at most one run (with `attempts`,
at most so many, one after the other), and exactly one if anybody asks for it in that period and no
earlier run is still going on. Periods are those of the server's clock: slot n begins n periods
after the epoch. Periods in which nobody asked, or whose time a longer run took, are not made up
for. As with locks, a runner that was suspended past its TTL can overlap with the next one; its
block is cancelled on waking, and the fence tells the two apart.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio

from bus.agents.giveup import GiveUp, gives_up, name_in
from bus.agents.holdings import Holding
from bus.arguments import seconds, whole
from bus.errors import BusUnavailable, ServerRefused
from bus.keys import Keys, check_name
from bus.messages.envelope import new_id
from bus.servers.link import AWAY, backoff
from bus.servers.script import Script
from bus.telemetry.journal import Journal

from .lease import Lease, check_ttl, lease_clock

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.once")

_CLAIM: Final = Script("locks/once_claim", "servers/growing")
_RENEW: Final = Script("locks/once_renew", "servers/growing")


def _keys_of(base: str) -> list[str]:
    return [base, f"{base}:fence"]


def _is_end(keys: Keys, call: GiveUp) -> bool:
    """Whether it ends a run of one job, as one whose runner died."""
    named = bool(call.keys) and name_in(keys.once("*"), call.keys[0]) is not None
    return named and call.keys == _keys_of(call.keys[0]) and call.args[1:] == ["failed", 0]


_END: Final = gives_up(Script("locks/once_end", "servers/growing"), _is_end)

#: Most seconds between two looks at the server's clock, which may have been set.
LOOK_EVERY: Final = 60.0

#: Seconds after a failed attempt before the next one, times two to the power of those before.
RETRY_AFTER: Final = 1.0


class Run:
    """The run of one period, which is this runner's: `async with run as lease: ...`.

    The block is cancelled, and `LockLost` raised, when the claim is lost. A block that raises has
    failed; one that is not entered counts as run.

    Attributes:
        slot: Number of the period since the epoch.
        due: When the period began, by the server's clock, in seconds since the epoch.
        attempt: Which attempt it is, from 1.
        lease: Of the run, with its fence.

    Example:
        run: Run | None = await bus.once_per("summary", 3600).claim()
        if run is not None:  # None: another has this hour's
            async with run as lease:
                lease.check()
                print("summarized")  #> summarized
    """

    def __init__(self, once: "OncePer", token: str, slot: int, attempt: int, lease: Lease) -> None:
        self.slot = slot
        self.due = slot * once.period
        self.attempt = attempt
        self.lease = lease
        self._once = once
        self._token = token
        self._cm: AbstractAsyncContextManager[Lease] | None = None

    def __repr__(self) -> str:
        return f"<Run {self._once.name} slot={self.slot} attempt={self.attempt}>"

    async def __aenter__(self) -> Lease:
        assert self._cm is None, "a run is entered once"
        self._cm = self._hold()
        return await self._cm.__aenter__()

    async def __aexit__(self, *exc: object) -> bool | None:
        assert self._cm is not None, "left without having been entered"
        return await self._cm.__aexit__(*exc)  # type: ignore[arg-type]

    @asynccontextmanager
    async def _hold(self) -> AsyncGenerator[Lease]:
        once, token = self._once, self._token
        try:
            holding = await once.hold(token)
            async with self.lease.kept(holding.watch):
                yield self.lease
        except Exception:
            await once.end(token, "failed", RETRY_AFTER * 2 ** (self.attempt - 1))
            raise
        except BaseException:
            # Cancelled: nothing was wrong with the job, so another may try at once.
            await once.end(token, "failed", 0.0)
            raise
        await once.end(token, "done", 0.0)


class OncePer:
    """The runs of a job that fall to this runner, endlessly: iterate over it.

    `async for run in bus.once_per("heartbeat:scout", 60):` / `    async with run: ...`

    Any number of runners iterate; each period's run comes to one of them. It goes on by itself over
    an outage of Redis.

    While Redis is up and keeps its data, a period has at most one run (with `attempts`, one after
    the other), and one if anybody asks in it and no earlier run still goes on. Periods that nobody
    asked in are not made up for. A runner that was suspended for longer than `ttl` can overlap with
    the next
    one: the fences of their leases tell them apart.

    Args:
        period: Seconds.
        attempts: Most attempts in a period. 1: a run that failed, or whose runner died, is not
            tried again before the next period. More: by any runner, once the claim of a dead one
            has run out (or its agent was declared dead), or after a pause of 1 s, 2 s, 4 s...
        ttl: Seconds that a claim lasts; it is renewed every third of it. None: half a period, at
            most 30. The run of the next period waits for so long where a runner died.

    Attributes:
        name: Of the job.

    Example:
        summaries: OncePer = bus.once_per("summary", 3600, attempts=3)
        async for run in summaries:  # wherever in the fleet: one of them has this hour's
            async with run as lease:
                print(run.attempt, lease.fence > 0)  #> 1 True
            break
    """

    def __init__(
        self, bus: "Bus", name: str, period: float, *, attempts: int, ttl: float | None
    ) -> None:
        self.name = check_name("job", name)
        seconds("period", period, least=0.1)
        whole("attempts", attempts, least=1)
        self.period = int(period * 1000) / 1000
        self._bus = bus
        self._attempts = attempts
        self._ttl = check_ttl(min(30.0, period / 2) if ttl is None else ttl)
        self._keys = _keys_of(bus.keys.once(name))

    def __repr__(self) -> str:
        return f"<OncePer {self.name} {self.period:g} s>"

    def __aiter__(self) -> "OncePer":
        return self

    async def __anext__(self) -> Run:
        delays = backoff()
        while True:
            try:
                run, wait = await self._claim()
            except AWAY as error:
                log.debug("claiming a run was interrupted", job=self.name, error=error)
                await anyio.sleep(next(delays))
                continue
            if run is not None:
                return run
            self._bus.reaper.wake()  # its runner may be dead, and nobody else there to find it out
            await anyio.sleep(min(wait, LOOK_EVERY))

    async def claim(self) -> Run | None:
        """The run of the period that it is now, or None where it is another's: does not wait.

        Raises:
            BusUnavailable: Redis could not be reached.
        """
        return (await self._claim())[0]

    async def _claim(self) -> tuple[Run | None, float]:
        token = f"{self._bus.instance}:{new_id()}"
        sent_at = 0.0
        period, claim = int(self.period * 1000), int(self._ttl * 1000)

        async def send() -> Any:
            nonlocal sent_at
            sent_at = lease_clock()
            return await self._bus.link.run_once(
                _CLAIM, self._keys, [token, period, claim, self._attempts]
            )

        try:
            won, *answer = await self._bus.link.retrying(send)
        except BaseException:
            # It may have been claimed for somebody who will not run it.
            await self.end(token, "unclaimed", 0.0)
            raise
        if not won:
            return None, max(0.001, int(answer[0]) / 1000)

        async def renewal(ttl: float) -> bool:
            return bool(await self._bus.link.run_once(_RENEW, self._keys, [token, int(ttl * 1000)]))

        slot, fence, attempt = (int(number) for number in answer)
        lease = Lease(f"run of {self.name}", fence, self._ttl, sent_at=sent_at, renewal=renewal)
        return Run(self, token, slot, attempt, lease), 0.0

    async def hold(self, token: str) -> Holding:
        """Note that this process is at the run, for whoever declares it dead."""
        return await self._bus.holdings.add(
            token, f"run of {self.name}", _END, self._keys, [token, "failed", 0]
        )

    async def end(self, token: str, how: str, pause: float) -> None:
        """Say how a run ended: `done`, `failed` or `unclaimed`.

        Args:
            pause: Seconds until another attempt may begin.
        """
        with anyio.CancelScope(shield=True), anyio.move_on_after(min(self._ttl, 5.0)):
            try:
                await self._bus.link.run(_END, self._keys, [token, how, int(pause * 1000)])
            except (BusUnavailable, ServerRefused) as error:
                log.warning("the end of a run was not noted", job=self.name, error=error)
        self._bus.holdings.remove(token)
