"""Consuming a stream as a member of a group: read ahead, reclaim, retry, settle."""

import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio
from coredis.connection import BaseConnection

from .delivery import Delivery
from .envelope import Envelope, unwrap
from .errors import BusError, ServerFull, ServerRefused, UndecodableMessage
from .handling import Cancellations
from .heartbeat import GAP, GRACE, Beat
from .link import AWAY, backoff
from .log import message_of
from .request import answer, answer_error, expired
from .scope import background
from .script import Script
from .settlement import Settlements

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
log = logging.getLogger("argentbus.queue")

_ALIVE: Final = Script("alive")
_TEND: Final = Script("tend")

#: Seconds for which one read waits at the server.
BLOCK: Final = 2.0

#: Most seconds between two looks for retries that are due and consumers that are gone.
TEND: Final = 0.5

#: Seconds between two attempts while Redis has no room.
FULL: Final = 1.0

_Entry = tuple[str, Any, int]


class Consumer(Generic[T]):
    """The deliveries of one consumer: iterate over it. Made by `Queue.consume`.

    A message is delivered again when its handler fails, or when this consumer is dead (its
    heartbeat is gone for its TTL); never because its handler is slow.

    Args:
        base: Key of the stream.
        decode: From envelope to body; raises `UndecodableMessage`.
        prefetch: Most deliveries read ahead of the handler. 0: one is read when it is asked for, so
            that none waits here while another consumer is idle.
        ttl: Seconds without a heartbeat after which the consumer counts as dead.
    """

    def __init__(
        self,
        bus: "Bus",
        base: str,
        group: str,
        decode: Callable[[Envelope], T],
        *,
        sender: str,
        prefetch: int,
        max_deliveries: int,
        ttl: float,
    ) -> None:
        if prefetch < 0 or max_deliveries < 1 or ttl <= 0:
            raise ValueError("prefetch must be at least 0, max_deliveries 1, and ttl above 0")
        self._bus = bus
        self._base = base
        self._group = group
        self._decode = decode
        self._sender = sender
        self._prefetch = prefetch
        self._max_deliveries = max_deliveries
        self._ttl = ttl
        self.name: Final = bus.new_consumer_name()
        self._buffer: deque[_Entry] = deque()
        self._held: set[str] = set()
        self._asking = 0
        self._arrived = anyio.Event()
        self._room = anyio.Event()
        self._lapsed = False
        self._full = False
        self.cancellations = Cancellations(bus, base)
        self.settlements = Settlements(bus.link, base, group, self.name, max_deliveries, self._held)

    # the caller's side

    def __aiter__(self) -> "Consumer[T]":
        return self

    async def __anext__(self) -> Delivery[T]:
        while True:
            while not self._buffer:
                if self._arrived.is_set():
                    self._arrived = anyio.Event()
                self._asking += 1
                self._room.set()
                try:
                    await self._arrived.wait()
                finally:
                    self._asking -= 1
            entry_id, fields, attempt = self._buffer.popleft()
            if self._has_room:
                self._room.set()
            delivery = self._deliver(entry_id, fields, attempt)
            if delivery is not None:
                return delivery

    def _deliver(self, entry_id: str, fields: Any, attempt: int) -> Delivery[T] | None:
        if attempt > self._max_deliveries:
            reason = f"delivered {attempt - 1} times, and none of its consumers lived to settle it"
            self.settlements.bury_later(entry_id, attempt, reason)
            return None
        raw = message_of(fields)
        try:
            if raw is None:
                raise UndecodableMessage("the entry has no field named e")
            envelope = unwrap(raw)
            body = self._decode(envelope)
        except UndecodableMessage as error:
            log.warning("buried entry %s of %s: %s", entry_id, self._base, error)
            self.settlements.bury_later(entry_id, attempt, str(error))
            return None
        if expired(envelope) or self.cancellations.cancelled(envelope):
            self.settlements.ack_later(entry_id)
            return None
        return Delivery(self, envelope, body, entry_id, attempt)

    async def answer(self, request: Envelope, body: object) -> None:
        """Reply to a request, in this consumer's name."""
        await answer(self._bus, request, self._sender, body)

    async def answer_error(self, request: Envelope, error: Exception) -> None:
        """Reply to a request with an error."""
        await answer_error(self._bus, request, self._sender, error)

    async def failed(self, delivery: Delivery[T], envelope: Envelope, error: Exception) -> None:
        """Deal with a handler that raised: tell who waits, or have it tried again."""
        reason = f"{error.__class__.__name__}: {error}"
        log.warning("handling %r failed: %s", delivery, reason, exc_info=error)
        if envelope.reply_to is not None:
            # Whoever asked is told, and decides; a retry would answer nobody.
            self.settlements.ack_later(delivery.entry_id)
            try:
                await self.answer_error(envelope, error)
            except BusError as unsent:
                log.warning("the error was not sent to %s: %s", delivery.sender, unsent)
        else:
            self.settlements.retry_later(delivery.entry_id, delivery.attempt, None, reason)

    # the tasks

    @asynccontextmanager
    async def consuming(self) -> "AsyncGenerator[Consumer[T]]":
        """Be a member of the group until the context ends; then hand back what is unhandled."""
        await self._ensure_group()
        beat = Beat(self._ttl / 3, self._beat)
        await self._bus.link.retrying(self._beat)
        await self._bus.holdings.add_consumer(self.name, f"{self._base}:consumers:{self._group}")
        self._bus.pump.add(beat)
        try:
            async with background(self._read, self._tend, self.settlements.run):
                yield self
        finally:
            self._bus.pump.remove(beat)
            self._bus.holdings.remove(self.name)
            self.cancellations.close()
            with anyio.CancelScope(shield=True), anyio.move_on_after(self._bus.link.reply_timeout):
                await self._close()

    async def _close(self) -> None:
        try:
            await self.settlements.flush()
            await self._give_back_unheld(set())
            await self.settlements.trim()
            await self._bus.link.call("ZREM", f"{self._base}:consumers:{self._group}", self.name)
        except (*AWAY, BusError) as error:
            log.warning(
                "%s could not hand back its deliveries of %s (%s): they go to others in %g s",
                self.name,
                self._base,
                error,
                self._ttl,
            )

    async def _beat(self) -> None:
        alive = await self._bus.link.run_once(
            _ALIVE, [f"{self._base}:consumers:{self._group}"], [self.name, int(self._ttl * 1000)]
        )
        self._lapsed = self._lapsed or (not alive and bool(self._buffer))

    async def _read(self) -> None:
        delays = backoff()
        while True:
            try:
                async with self._bus.link.dedicated(self._base) as connection:
                    # A reply that was lost with a connection left entries that nobody holds.
                    await self._give_back_unheld(self._held)
                    while True:
                        await self._have_room()
                        await self._read_once(connection)
                        delays = backoff()
            except AWAY as error:
                log.debug("reading %s interrupted: %r", self._base, error)
                await anyio.sleep(next(delays))

    @property
    def _has_room(self) -> bool:
        if self._prefetch == 0:
            return self._asking > len(self._buffer)
        return len(self._buffer) <= self._prefetch // 2

    @property
    def _room_for(self) -> int:
        """How many deliveries are to be read now."""
        return max(0, (self._prefetch or self._asking) - len(self._buffer))

    async def _have_room(self) -> None:
        while not self._has_room:
            self._room = anyio.Event()
            await self._room.wait()

    async def _read_once(self, connection: BaseConnection) -> None:
        try:
            result = await self._bus.link.ask(
                connection,
                b"XREADGROUP",
                b"GROUP",
                self._group,
                self.name,
                b"COUNT",
                max(1, self._room_for),
                b"BLOCK",
                int(BLOCK * 1000),
                b"STREAMS",
                self._base,
                b">",
                timeout=BLOCK + self._bus.link.reply_timeout,
                blocking=True,
            )
        except ServerRefused as error:
            await self._heal(error)
            return
        if result:
            rows = result.values() if isinstance(result, dict) else [pair[1] for pair in result]
            for entries in rows:
                self._receive((entry[0].decode(), entry[1], 1) for entry in entries)

    def _receive(self, entries: Any) -> None:
        for entry in entries:
            self._buffer.append(entry)
            self._held.add(entry[0])
        self._arrived.set()

    async def _tend(self) -> None:
        while True:
            wait = TEND
            try:
                wait = await self._tend_once()
            except AWAY as error:
                log.debug("tending %s interrupted: %r", self._base, error)
            except ServerFull as error:
                await self._make_room(error)
            except ServerRefused as error:
                await self._heal(error)
            await anyio.sleep(wait)

    async def _make_room(self, error: ServerFull) -> None:
        """Drop what is done with: while there is no room, nothing else of tending can be done."""
        if not self._full:
            log.warning("retries and delayed messages of %s have to wait: %s", self._base, error)
        self._full = True
        with contextlib.suppress(*AWAY):
            await self.settlements.trim()

    async def _tend_once(self) -> float:
        """Take over what is due; return the seconds until the next look."""
        if self._lapsed:
            await self._start_over()
        claimed, due = await self._bus.link.run_once(
            _TEND,
            [
                self._base,
                f"{self._base}:delayed",
                f"{self._base}:retry:{self._group}",
                f"{self._base}:consumers:{self._group}",
                f"{self._base}:watch:{self._group}",
            ],
            [
                self._group,
                self.name,
                self._room_for,
                int(self._ttl * 1000),
                int(GAP * 1000),
                int(GRACE * 1000),
            ],
        )
        if claimed:
            self._receive((row[0].decode(), row[1], int(row[2])) for row in claimed)
        self._full = False
        await self.settlements.trim()
        return min(TEND, max(0.01, due / 1000)) if due >= 0 else TEND

    async def _start_over(self) -> None:
        """Forget what was read ahead: while this process was suspended, it counted as dead."""
        self._lapsed = False
        stale = [entry[0] for entry in self._buffer]
        self._buffer.clear()
        self._room.set()
        log.warning(
            "%s was without heartbeat for over %g s: gave %d deliveries of %s back",
            self.name,
            self._ttl,
            len(stale),
            self._base,
        )
        await self.settlements.give_back(stale, handled=False)
        self._held.difference_update(stale)

    async def _give_back_unheld(self, held: set[str]) -> None:
        """Return to the group what is pending here and not in `held`."""
        after = "-"
        while True:
            rows = await self._bus.link.retrying(
                lambda after=after: self._bus.link.call(  # type: ignore[misc]
                    "XPENDING", self._base, self._group, after, "+", 1000, self.name
                )
            )
            ids = [row[0].decode() for row in rows]
            lost = [entry_id for entry_id in ids if entry_id not in held]
            if lost:
                await self.settlements.give_back(lost, handled=False)
            if len(ids) < 1000:
                return
            after = f"({ids[-1]}"

    async def _ensure_group(self) -> bool:
        """Make the stream and the group where they do not exist; return whether they were made."""

        async def create() -> bool:
            try:
                await self._bus.link.call(
                    "XGROUP", "CREATE", self._base, self._group, "0", "MKSTREAM"
                )
            except ServerRefused as error:
                # One that is full says so first, and whether there is a group only when asked.
                if "already exists" in str(error) or (
                    isinstance(error, ServerFull) and await self._has_group()
                ):
                    return False
                raise
            return True

        return await self._bus.link.retrying(create)

    async def _has_group(self) -> bool:
        try:
            await self._bus.link.call("XINFO", "CONSUMERS", self._base, self._group)
        except ServerRefused:
            return False
        return True

    async def _heal(self, error: ServerRefused) -> None:
        if isinstance(error, ServerFull):
            # Consuming is what makes room: stay, and go on once there is some.
            log.warning("%s waits: %s", self._base, error)
            await anyio.sleep(FULL)
            return
        text = str(error)
        # The driver drops the error's code, and the server writes it now so, now so.
        if "NOGROUP" in text or "no such key" in text.lower() or "no such consumer" in text.lower():
            if await self._ensure_group():
                log.error(
                    "%s or its group %s was gone (flushed, deleted or evicted): made again; "
                    "what it held is lost",
                    self._base,
                    self._group,
                )
            return
        raise error
