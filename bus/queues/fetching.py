"""Fetching: what a consumer reads ahead, claims and gives up, in the background."""

import contextlib
import time
from typing import TYPE_CHECKING, Final

import anyio
from coredis.connection import BaseConnection

from bus.errors import BusError, ServerFull, ServerRefused, WrongType
from bus.keys import QueueKeys
from bus.scope import background
from bus.seldom import Seldom
from bus.servers.link import AWAY, backoff
from bus.servers.reader import rows_of
from bus.telemetry import Destination
from bus.telemetry.journal import Journal

from .membership import Entry, Membership
from .prefetch import Prefetch
from .schedule import fire
from .settlement import Settlements

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.queue")

#: Seconds for which one read waits at the server.
BLOCK: Final = 2.0

#: Most seconds between two looks for retries that are due and consumers that are gone.
TEND: Final = 0.5


class Fetching:
    """Fills what a consumer has read ahead, until `stop`.

    Args:
        source: What telemetry calls the queue.
        ttl: Seconds without a heartbeat after which the consumer counts as dead.
    """

    def __init__(
        self,
        bus: "Bus",
        keys: QueueKeys,
        source: Destination,
        membership: Membership,
        prefetch: Prefetch,
        settlements: Settlements,
        *,
        ttl: float,
    ) -> None:
        self._bus = bus
        self._keys = keys
        self._source = source
        self._membership = membership
        self._prefetch = prefetch
        self._settlements = settlements
        self._ttl = ttl
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()
        self._lapsed = False
        # By this process's own clock: until then nobody else can have taken its deliveries over.
        self._alive_until = float("-inf")
        self._lapses = 0
        self._confirming = anyio.Lock()
        self._full = False
        self._unreturned = False
        self._may_say = Seldom()

    async def stop(self) -> None:
        """Fetch no more, and hand what was read ahead back at once."""
        self._scope.cancel()
        await self._over.wait()
        self._prefetch.drop()
        self._prefetch.close()
        try:
            await self.give_back_unheld(self._prefetch.held)
        except BusError as error:
            log.warning(
                "deliveries could not be handed back yet",
                queue=self._source.name,
                consumer=self._membership.consumer,
                error=error,
            )

    async def enter(self) -> None:
        """Become a member of the group."""
        began = time.monotonic()
        await self._membership.enter()
        self._alive_until = began + self._ttl

    async def beat(self) -> None:
        """Send the consumer's heartbeat."""
        began = time.monotonic()
        alive = await self._membership.beat()
        self._alive_until = began + self._ttl
        self._lapses += not alive
        self._lapsed = self._lapsed or (not alive and bool(self._prefetch.entries))

    @property
    def in_doubt(self) -> bool:
        """Whether what was read ahead may be others' by now: this process was suspended, or its
        heartbeats did not arrive.
        """
        return self._lapsed or time.monotonic() >= self._alive_until

    async def confirm(self) -> None:
        """Return once what is read ahead is this consumer's; what may be another's is forgotten."""
        delays = backoff()
        async with self._confirming:
            while self.in_doubt:
                try:
                    if not self._lapsed:
                        await self.beat()
                    if self._lapsed:
                        await self._start_over()
                except AWAY as error:
                    log.debug("a heartbeat failed", queue=self._source.name, error=error)
                    await anyio.sleep(next(delays))
                except ServerFull as error:
                    log.debug("a heartbeat was refused", queue=self._source.name, error=error)
                    await anyio.sleep(next(delays))
                except WrongType as error:
                    # Without that key nobody finds out who is dead, and nobody takes over.
                    self._report(error)
                    self._alive_until = time.monotonic() + self._ttl

    async def run(self) -> None:
        """Read and tend, until `stop`, or cancelled."""
        try:
            with self._scope:
                async with background(self._read, self._tend):
                    await anyio.sleep_forever()
        finally:
            self._over.set()

    async def _read(self) -> None:
        delays = backoff()
        while True:
            try:
                async with self._bus.link.dedicated(self._keys.stream) as connection:
                    # A reply that was lost with a connection left entries that nobody holds.
                    self._unreturned = True
                    while True:
                        # Here, where no reply is on its way: what it brings is not held yet.
                        await self._give_back_if_need_be()
                        await self._prefetch.need()
                        await self._read_once(connection)
                        delays = backoff()
            except AWAY as error:
                log.debug("reading a queue was interrupted", queue=self._source.name, error=error)
                await anyio.sleep(next(delays))
            except ServerRefused as error:
                await self._membership.heal(error)

    async def _read_once(self, connection: BaseConnection) -> None:
        lapses = self._lapses
        result = await self._bus.link.ask(
            connection,
            b"XREADGROUP",
            b"GROUP",
            self._membership.group,
            self._membership.consumer,
            b"COUNT",
            max(1, self._prefetch.room),
            b"BLOCK",
            int(BLOCK * 1000),
            b"STREAMS",
            self._keys.stream,
            b">",
            timeout=BLOCK + self._bus.link.reply_timeout,
            blocking=True,
        )
        rows = rows_of(result)
        if rows and lapses != self._lapses:
            # Of before this process was suspended, and read after it found out: they went back.
            self._unreturned = True
        elif rows:
            self._prefetch.receive(Entry(row[0].decode(), row[1]) for row in rows)

    async def _tend(self) -> None:
        while True:
            wait = TEND
            try:
                wait = await self._tend_once()
            except AWAY as error:
                log.debug("tending a queue was interrupted", queue=self._source.name, error=error)
            except ServerFull as error:
                await self._make_room(error)
            except WrongType as error:
                # Reading goes on, if it can: that raises where it is the stream itself.
                self._report(error)
            except ServerRefused as error:
                await self._membership.heal(error)
            with anyio.move_on_after(wait):
                await self._bus.reaper.gave_up.wait()

    async def _make_room(self, error: ServerFull) -> None:
        """Drop what is done with: while there is no room, nothing else of tending can be done."""
        if not self._full:
            log.warning("retries and delays have to wait", queue=self._source.name, error=error)
        self._full = True
        with contextlib.suppress(*AWAY):
            await self._settlements.trim()

    async def _tend_once(self) -> float:
        """Take over what is due; return the seconds until the next look."""
        if self._lapsed:
            await self._start_over()
        tended = await self._membership.tend(self._prefetch.room)
        if tended.claimed:
            self._prefetch.receive(tended.claimed)
        if tended.reclaimed:
            self._bus.telemetry.reclaimed(self._source, self._membership.group, tended.reclaimed)
        for due in tended.schedules:
            await fire(self._bus.link, self._keys, due, self._source)
        for member in tended.garbled:
            log.error(
                "what is no entry id stands among a queue's: passed over",
                queue=self._source.name,
                member=member,
            )
        for error in tended.wrong:
            self._report(error)
        self._full = False
        await self._settlements.trim()
        return TEND if tended.due_in is None else min(TEND, max(0.01, tended.due_in))

    async def _start_over(self) -> None:
        """Forget what was read ahead: while this process was suspended, it counted as dead."""
        self._lapsed = False
        stale = self._prefetch.drop()
        self._unreturned = True  # until it is known that they went back
        log.warning(
            "a consumer was without heartbeat for too long: what it had read ahead goes back",
            queue=self._source.name,
            consumer=self._membership.consumer,
            seconds=self._ttl,
            count=len(stale),
        )
        await self._settlements.give_back(stale, handled=False)

    async def _give_back_if_need_be(self) -> None:
        if not self._unreturned:
            return
        self._unreturned = False
        try:
            await self.give_back_unheld(self._prefetch.held)
        except WrongType as error:
            if error.key == self._keys.stream:
                raise
            self._unreturned = True
            self._report(error)
        except BaseException:
            self._unreturned = True
            raise

    def _report(self, error: WrongType) -> None:
        if self._may_say(error.key):
            log.error(
                "a key of a queue is of another type: the queue goes on without it",
                queue=self._source.name,
                error=error,
            )

    async def give_back_unheld(self, held: set[str]) -> None:
        """Return to the group what is pending here and not in `held`."""
        pending = await self._membership.pending()
        lost = [entry_id for entry_id in pending if entry_id not in held]
        await self._settlements.give_back(lost, handled=False)
