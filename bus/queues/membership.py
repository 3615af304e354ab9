"""A consumer's membership in its group: its heartbeat, and its share of a queue's upkeep."""

import math
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import anyio
import msgspec
from coredis.connection import BaseConnection

from bus.agents.heartbeat import GAP, GRACE
from bus.errors import ServerFull, ServerRefused, WrongType
from bus.keys import QueueKeys
from bus.keytypes import type_of
from bus.servers.link import Link
from bus.servers.reader import rows_of
from bus.servers.script import Script
from bus.telemetry.journal import Journal

log = Journal("argentbus.queue")

_ALIVE: Final = Script("queues/alive")
_TEND: Final = Script("queues/tend", "queues/entries")
_STARTED: Final = Script("queues/started")
_LEAVE: Final = Script("queues/leave")

#: What servers say (6.2, 7.0, 8.2; awaited, or found when asked) where a group is gone.
_GONE: Final = ("nogroup", "no such key", "no such consumer group", "no longer exists")

#: Seconds between two attempts while Redis has no room.
FULL: Final = 1.0

#: Deliveries listed in one call.
_PAGE: Final = 1000

#: Where a group that is made starts: at the beginning of what is there, or at its end.
Start = Literal["beginning", "end"]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An entry as it was read or claimed.

    Attributes:
        attempt: How often it was delivered, this time included.
        kills: Consumers that died with it; see `lua/tend.lua`.
    """

    id: str
    fields: Any
    attempt: int = 1
    kills: str = ""


class DueSchedule(NamedTuple):
    """A schedule whose slot has come.

    Attributes:
        value: As it is stored.
        slot: In ms since the epoch, as text.
        now: By the server's clock, in seconds since the epoch.
    """

    name: bytes
    value: bytes
    slot: bytes
    now: float


class Tended(NamedTuple):
    """What came of a look around.

    Attributes:
        due_in: Seconds until something is due, or None.
        garbled: What was no entry id where one belongs, and was passed over.
        wrong: Keys that are of another type than ours, and were left alone.
        reclaimed: How many of those claimed are of consumers that died.
        more: Whether there was more to be claimed than there was room for.
    """

    claimed: list[Entry]
    due_in: float | None
    schedules: list[DueSchedule]
    garbled: list[bytes]
    wrong: list[WrongType]
    reclaimed: int
    more: bool


class Membership:
    """One consumer in one group of a queue.

    Args:
        ttl: Seconds without a heartbeat after which the consumer counts as dead.
        start: Where the group starts if it does not exist yet.
    """

    def __init__(
        self, link: Link, keys: QueueKeys, group: str, consumer: str, *, ttl: float, start: Start
    ) -> None:
        self._link = link
        self._keys = keys
        self.group: Final = group
        self.consumer: Final = consumer
        self._ttl = ttl
        self._start = start

    async def ensure_group(self, *, start: Start = "beginning") -> bool:
        """Make the stream and the group where they do not exist; return whether they were made."""
        call = self._link.call

        async def create() -> bool:
            first = "0" if start == "beginning" else "$"
            try:
                await call("XGROUP", "CREATE", self._keys.stream, self.group, first, "MKSTREAM")
            except ServerRefused as error:
                # One that is full says so first, and whether there is a group only when asked.
                if "already exists" in str(error) or (
                    isinstance(error, ServerFull) and await self._has_group()
                ):
                    return False
                raise
            # A count of bytes would be that of a stream which is gone: it is counted anew.
            await call("HDEL", self._keys.counts, "bytes")
            return True

        return await self._link.retrying(create)

    async def _has_group(self) -> bool:
        try:
            await self._link.call("XINFO", "CONSUMERS", self._keys.stream, self.group)
        except ServerRefused:
            return False
        return True

    async def enter(self) -> None:
        """Become a member."""
        await self.ensure_group(start=self._start)
        await self._link.retrying(self.beat)

    async def leave(self) -> None:
        """Stop being one. Where deliveries are left in its name, others remove it with those."""
        keys = [self._keys.stream, self._keys.consumers(self.group)]
        await self._link.run_once(_LEAVE, keys, [self.group, self.consumer])

    async def heal(self, error: ServerRefused) -> None:
        """Make the group again where `error` says that it is gone; wait where Redis is full.

        Raises any other error.
        """
        if isinstance(error, ServerFull):
            # Consuming is what makes room: stay, and go on once there is some.
            log.warning(
                "a consumer waits for room", stream=self._keys.stream, group=self.group, error=error
            )
            await anyio.sleep(FULL)
            return
        # The driver takes the code off where it knows it, so that only the words are left.
        text = str(error).lower()
        if not any(sign in text for sign in _GONE):
            raise error
        # From the beginning, wherever it started: what was put since the loss was not delivered.
        if await self.ensure_group():
            log.error(
                "a queue or its group was gone (flushed, deleted or evicted): made again; "
                "what it held is lost",
                stream=self._keys.stream,
                group=self.group,
            )

    async def beat(self) -> bool:
        """Send a heartbeat; return whether the consumer counted as alive until now."""
        alive = await self._link.run_once(
            _ALIVE, [self._keys.consumers(self.group)], [self.consumer, int(self._ttl * 1000)]
        )
        return bool(alive)

    async def started(self, entry_id: str) -> bool:
        """Note that a delivery which consumers died of is handed to a handler. May be repeated.

        Returns:
            Whether it is still this consumer's.
        """
        keys = [self._keys.stream, self._keys.kills(self.group)]
        args = [self.group, self.consumer, entry_id]
        return bool(await self._link.run_once(_STARTED, keys, args))

    async def read(self, connection: BaseConnection, count: int, *, block: float) -> list[Entry]:
        """Read up to `count` new messages; wait for one up to `block` s. Raises one of `TRANSIENT`
        when the connection breaks.
        """
        result = await self._link.ask(
            connection,
            b"XREADGROUP",
            b"GROUP",
            self.group,
            self.consumer,
            b"COUNT",
            count,
            b"BLOCK",
            max(1, math.ceil(block * 1000)),  # 0 would be for ever
            b"STREAMS",
            self._keys.stream,
            b">",
            timeout=block + self._link.reply_timeout,
            blocking=True,
        )
        return [Entry(row[0].decode(), row[1]) for row in rows_of(result)]

    async def tend(self, room: int) -> Tended:
        """Move what is due into the stream; claim up to `room` deliveries that are free to take."""
        keys, group = self._keys, self.group
        reply = await self._link.run_once(
            _TEND,
            [
                keys.stream,
                keys.delayed,
                keys.retry(group),
                keys.consumers(group),
                keys.watch(group),
                keys.kills(group),
                keys.counts,
                keys.lanes,
                keys.schedules,
                keys.scheduled,
            ],
            [
                group,
                self.consumer,
                room,
                int(self._ttl * 1000),
                int(GAP * 1000),
                int(GRACE * 1000),
                keys.lane,
            ],
        )
        claimed, wait, schedules, now, garbled, wrong, reclaimed, more = reply
        return Tended(
            [
                Entry(row[0].decode(), row[1], int(row[2]), row[3].decode(errors="replace"))
                for row in claimed
            ],
            wait / 1000 if wait >= 0 else None,
            [DueSchedule(name, value, slot, now / 1000) for name, value, slot in schedules],
            garbled,
            [self._wrong(key.decode(errors="replace"), found.decode()) for key, found in wrong],
            reclaimed,
            bool(more),
        )

    def _wrong(self, key: str, found: str) -> WrongType:
        return WrongType(str(self._link.address), key, found, type_of(key) or "key of its own")

    async def pending(self) -> list[str]:
        """Ids of the deliveries that the server holds to be this consumer's."""
        ids: list[str] = []
        while True:
            after = f"({ids[-1]}" if ids else "-"
            rows = await self._link.retrying(
                partial(
                    self._link.call,
                    "XPENDING",
                    self._keys.stream,
                    self.group,
                    after,
                    "+",
                    _PAGE,
                    self.consumer,
                )
            )
            ids += [row[0].decode() for row in rows]
            if len(rows) < _PAGE:
                return ids
