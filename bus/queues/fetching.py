"""Fetching: what a consumer reads ahead, claims and gives up, in the background."""

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
from coredis.connection import BaseConnection

from bus.errors import BusError, ServerFull, ServerRefused, WrongType
from bus.keys import QueueKeys
from bus.scope import background
from bus.seldom import Seldom
from bus.servers.link import AWAY, backoff
from bus.telemetry import Destination
from bus.telemetry.journal import Journal

from .membership import Entry, Membership
from .prefetch import Prefetch
from .schedule import fire
from .settlement import Settlements
from .strays import Strays

if TYPE_CHECKING:
    from bus.bus import Bus

T = TypeVar("T")
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
        self._strays = Strays(membership, prefetch, settlements, late=bus.link.reply_timeout)
        # Held by whoever claims or gives back, so that neither sees the other's work half done.
        self._claiming = anyio.Lock(fast_acquire=True)
        self._reading = False
        self._look_at = float("-inf")
        self._more = False
        self._rest = anyio.CancelScope()
        self._may_say = Seldom()

    async def stop(self) -> None:
        """Fetch no more, and hand what was read ahead back at once."""
        self._scope.cancel()
        await self._over.wait()
        self._prefetch.drop()
        self._prefetch.close()
        try:
            await self._strays.give_back_but(self._prefetch.held)
        except BusError as error:
            log.warning(
                "deliveries could not be handed back yet",
                queue=self._source.name,
                consumer=self._membership.consumer,
                error=error,
            )

    async def give_back_all(self) -> None:
        """Hand back whatever the server holds to be this consumer's, as nothing is at work here."""
        await self._strays.give_back_but(set())

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
                    self._strays.suspect()
                    while True:
                        if self._strays.suspected:
                            # Before waiting for room: a handler may be long at work.
                            async with self._claiming:
                                await self._attempt(self._strays.give_back)
                        await self._prefetch.need()
                        if await self._may_read():
                            await self._read_once(connection)
                        delays = backoff()
            except AWAY as error:
                self._strays.lost_reply()
                log.debug("reading a queue was interrupted", queue=self._source.name, error=error)
                await anyio.sleep(next(delays))
            except ServerRefused as error:
                await self._membership.heal(error)

    async def _may_read(self) -> bool:
        """Take what is due before what is new; return whether there is still need of that."""
        async with self._claiming:
            due = self._more or self._strays.found or self._strays.suspected
            if due or anyio.current_time() >= self._look_at:
                await self._look()
            self._reading = self._prefetch.needs
            return self._reading

    async def _read_once(self, connection: BaseConnection) -> None:
        lapses = self._lapses
        block = BLOCK
        if self._prefetch.on_demand:
            # Only between two reads is it known how many are waited for.
            block = max(0.001, min(BLOCK, self._look_at - anyio.current_time()))
        try:
            room = max(1, self._prefetch.room)
            self._take(await self._membership.read(connection, room, block=block), lapses)
        finally:
            self._reading = False

    def _take(self, entries: list[Entry], lapses: int) -> None:
        """Take what was read or claimed, when this consumer had lapsed so often."""
        # Of before this process was suspended, and arrived after it found out: others have it. Or
        # whoever asked was cancelled: behind the handler at work it would wait for nothing.
        if entries and (lapses != self._lapses or not self._prefetch.receive(entries)):
            self._strays.suspect()

    async def _tend(self) -> None:
        while True:
            with anyio.CancelScope(deadline=self._look_at) as self._rest:
                await self._bus.reaper.gave_up.wait()
            async with self._claiming:
                # The reader may have looked meanwhile.
                called = not self._rest.cancelled_caught
                if called or anyio.current_time() >= self._look_at:
                    await self._look()

    async def _look(self) -> None:
        """Tend, and give back what nobody here has."""
        self._more = self._strays.found = False
        wait = await self._attempt(self._tend_once)
        self._look_at = anyio.current_time() + (TEND if wait is None else wait)
        self._rest.deadline = self._look_at
        if not self._reading:
            await self._attempt(self._strays.give_back)

    async def _attempt(self, step: Callable[[], Awaitable[T]]) -> T | None:
        """Await `step()`; return None where it failed, and is to be tried again."""
        try:
            return await step()
        except AWAY as error:
            log.debug("tending a queue was interrupted", queue=self._source.name, error=error)
        except ServerFull as error:
            await self._make_room(error)
        except WrongType as error:
            # Reading goes on, if it can: that raises where it is the stream itself.
            self._report(error)
        except ServerRefused as error:
            await self._membership.heal(error)
        return None

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
        lapses = self._lapses
        # What comes while a read is under way for the same asker makes the read's one too many.
        room = 0 if self._reading and self._prefetch.on_demand else self._prefetch.room
        try:
            tended = await self._membership.tend(room)
        except BaseException:
            self._strays.lost_reply()
            raise
        self._more = tended.more
        self._take(tended.claimed, lapses)
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
        self._strays.suspect()  # until it is known that they went back
        log.warning(
            "a consumer was without heartbeat for too long: what it had read ahead goes back",
            queue=self._source.name,
            consumer=self._membership.consumer,
            seconds=self._ttl,
            count=len(stale),
        )
        await self._settlements.give_back(stale, handled=False)

    def _report(self, error: WrongType) -> None:
        if self._may_say(error.key):
            log.error(
                "a key of a queue is of another type: the queue goes on without it",
                queue=self._source.name,
                error=error,
            )
