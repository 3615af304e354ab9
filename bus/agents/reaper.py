"""The reaper: whoever is overdue is declared dead, once, and what it held is given up.

Any process may run it. What one reaper began and did not end, because it died as well, the next one
ends: the dead are listed until their holdings are given up and their states say offline.
"""

from typing import TYPE_CHECKING, Final

import anyio

from bus.errors import BusError, ServerRefused
from bus.seldom import Seldom
from bus.servers.link import AWAY
from bus.servers.script import Script
from bus.telemetry.journal import Journal

from .heartbeat import GAP, GRACE
from .holdings import settle
from .presence import Presence, read_presence
from .registry import MOST_EVENTS

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.presence")

_REAP: Final = Script("agents/reap", "agents/members")

#: Most seconds between two looks, in a process that has a reason to look.
REAP_EVERY: Final = 0.5

#: Seconds after which the dead of another reaper, who should settle them, are settled here.
_OVERDUE: Final = 2.0

#: The dead settled together.
_SETTLE: Final = 500


class Reaper:
    """Declares the dead of one namespace dead. Made by `Bus`."""

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus
        index = bus.keys.presence_index
        self._unsettled = f"{index}:unsettled"
        self._keys = [index, f"{index}:records", f"{index}:watch", self._unsettled]
        self._wanted = anyio.Event()
        self._settling = anyio.Event()
        self._unsettled_since: float | None = None
        self._may_say = Seldom()
        #: Set, and made anew, each time that something was given up here on behalf of the dead.
        self.gave_up = anyio.Event()

    def wake(self) -> None:
        """Reap from now on: there is an agent to be watched, or somebody who watches, or who waits
        for what the dead may hold.
        """
        self._wanted.set()

    def settle_soon(self) -> None:
        """Somebody was declared dead by another script."""
        self._settling.set()

    async def run(self) -> None:
        """Reap, from when this process first has a reason to. A task of the bus."""
        await self._wanted.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._settle_those_who_died)
            while True:
                wait = REAP_EVERY
                try:
                    due = await self.reap()
                    if due >= 0:
                        wait = min(REAP_EVERY, max(0.02, due))
                except AWAY as error:
                    log.debug("reaping was interrupted", error=error)
                except BusError as error:
                    if isinstance(error, ServerRefused) and _forbidden(error):
                        log.info("this user may not reap (`bus.acl`): others do")
                        tasks.cancel_scope.cancel()
                        return
                    if self._may_say(str(error)):
                        log.warning("reaping failed, and is tried again", error=error)
                await anyio.sleep(wait)

    async def reap(self) -> float:
        """Turn everybody who is overdue into `expired` events.

        Returns:
            Seconds until the next one is due, or -1 where nobody is present.
        """
        while True:
            expired, wait, unsettled = await self._bus.link.run_once(
                _REAP,
                self._keys,
                [self._bus.keys.presences, MOST_EVENTS, int(GAP * 1000), int(GRACE * 1000)],
            )
            self._consider(expired, unsettled)
            if expired < _SETTLE:
                return float(wait) / 1000 if wait >= 0 else -1.0

    def _consider(self, expired: int, unsettled: int) -> None:
        """Settle at once whom this reaper declared dead; leave those of others to them at first."""
        now = anyio.current_time()
        if not unsettled:
            self._unsettled_since = None
        elif self._unsettled_since is None:
            self._unsettled_since = now
        since = self._unsettled_since
        if expired or (since is not None and now - since > _OVERDUE):
            self._unsettled_since = None
            self._settling.set()

    # settling

    async def _settle_those_who_died(self) -> None:
        while True:
            await self._settling.wait()
            self._settling = anyio.Event()
            try:
                while await self._settle_some():
                    pass
            except* AWAY as errors:
                log.debug("settling the dead was interrupted", error=errors.exceptions[0])
            except* BusError as errors:
                log.warning("settling the dead failed", error=errors.exceptions[0])

    async def _settle_some(self) -> bool:
        """Settle some of the dead; return whether there may be more."""
        call = self._bus.link.call
        rows = await self._bus.link.retrying(
            lambda: call("HRANDFIELD", self._unsettled, _SETTLE, "WITHVALUES")
        )
        pairs = [(row[0], row[1]) for row in rows] if rows and isinstance(rows[0], list) else None
        if pairs is None:
            pairs = list(zip(rows[::2], rows[1::2], strict=True))
        dead = {instance: read_presence(raw) for instance, raw in pairs}
        # Consumers and locks first: somebody waits for those.
        for estate in {presence.estate for presence in dead.values() if presence is not None}:
            if estate:
                await self._settle_estate(estate)
        limiter = anyio.CapacityLimiter(100)

        async def retire(presence: Presence) -> None:
            async with limiter:
                await self._bus.registry.retire(presence)

        async with anyio.create_task_group() as tasks:
            for presence in dead.values():
                if presence is not None:
                    tasks.start_soon(retire, presence)
        if dead:
            await self._bus.link.retrying(lambda: call("HDEL", self._unsettled, *dead))
        return len(dead) >= _SETTLE

    async def _settle_estate(self, estate: str) -> None:
        given_up = await settle(self._bus, estate)
        if given_up:
            self.gave_up.set()
            self.gave_up = anyio.Event()
            log.info("the holdings of a process that died were given up", count=len(given_up))


def _forbidden(error: ServerRefused) -> bool:
    # The driver drops the error's code, and Redis 7.0 writes it otherwise than those after it.
    return any(words in str(error) for words in ("permission", "can't access at least one"))
