"""Logs: append-only streams with one reader at a time, that keeps its own position.

A queue shares its messages among consumers and remembers what each has acknowledged. A log leaves
that to its reader, who can so store its position in the same transaction as what it made of the
entries, and apply each exactly once.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anyio
import msgspec

from bus.arguments import seconds_or_none, whole
from bus.errors import UndecodableMessage
from bus.keys import check_name
from bus.messages.envelope import Envelope, new_id, unwrap
from bus.servers.reader import StreamReader, check_entry_id, rows_of
from bus.servers.script import Script
from bus.telemetry import Destination

if TYPE_CHECKING:
    from bus.bus import Bus

_TRIM: Final = Script("logs/trim")
_BEHIND: Final = Script("logs/behind", "logs/order")
_REJECT: Final = Script("logs/reject")
_LAST: Final = Script("logs/last")

#: Dead letters kept for a log.
MOST_DEAD: Final = 10_000

#: Seconds for which a rejection is known, so that it is not repeated.
REMEMBER_REJECTION: Final = 86_400


class LogEntry(msgspec.Struct, frozen=True):
    """One entry of a log.

    Attributes:
        id: Entry id, `<ms>-<n>`, growing along the log.
        envelope: The message, or None where it is not one.
        raw: The bytes as they stand in the log.
        error: Why `envelope` is None.

    Example: See `Log`.
    """

    id: str
    envelope: Envelope | None
    raw: bytes
    error: str | None = None


class Place(NamedTuple):
    """Where an entry stands.

    Attributes:
        epoch: Of the stream: ids of two epochs do not compare.
        entry_id: Empty where a connection broke before the reply and the retry found that the
            entry had arrived: `Log.last_id` is then at or behind it.

    Example: See `Log`.
    """

    epoch: str
    entry_id: str


class Log:
    """One log of a namespace. Made by `Bus.log`.

    Attributes:
        name: Of the log.
        key: Key of its stream.
        destination: What telemetry calls it.

    Raises:
        BusUnavailable: out of every method: Redis could not be reached for as long as the bus is
            patient.
        ServerRefused: out of every method: Redis refused it.

    Example:
        log: Log = bus.log("audit")
        place: Place = await log.place({"task": 17, "done": True}, sender="scout")
        entries: list[LogEntry] = await log.read(after="0-0", limit=100)
        print(entries[0].id == place.entry_id, entries[0].envelope.sender)  #> True scout
        await log.trim(through=place.entry_id, epoch=place.epoch)
    """

    def __init__(self, bus: "Bus", name: str) -> None:
        self.name = check_name("log", name)
        self._bus = bus
        self.key: Final = bus.keys.log(name)
        self.destination: Final = Destination(name)
        self._epoch_key = f"{self.key}:epoch"
        self._reader = StreamReader(bus.link, self.key)
        self._reading = anyio.Lock()

    async def append(
        self,
        body: object,
        *,
        type: str | None = None,
        sender: str | None = None,
    ) -> str:
        """Append `body`; return its entry id, once Redis has it. See `place` for errors."""
        return (await self.place(body, type=type, sender=sender)).entry_id

    async def place(
        self,
        body: object,
        *,
        type: str | None = None,
        sender: str | None = None,
    ) -> Place:
        """Append `body`; return where it stands, once Redis has it.

        Raises:
            BusUnavailable: Redis could not be reached for as long as the bus is patient.
            ServerRefused: Redis refused it.
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        bus = self._bus
        with bus.telemetry.sending(self.destination, "append") as appending:
            message_id, message = bus.wrap(self.key, body, sender=sender or bus.instance, type=type)
            appending.message(message_id)
            bus.check_size(message)
            return Place(*await bus.appender.append(self.key, message, epoch_key=self._epoch_key))

    async def read(
        self, *, after: str = "0-0", limit: int = 1000, block: float | None = None
    ) -> list[LogEntry]:
        """Return up to `limit` entries behind the id `after`, in order.

        Args:
            after: Entry id; `0-0` is the beginning.
            limit: Most entries.
            block: Seconds to wait for an entry where there is none. None: do not wait.

        Garbled entries are returned with their `error`.

        Raises:
            ValueError, TypeError: `after` is no entry id, or a number is out of range.
        """
        check_entry_id("after", after)
        whole("limit", limit, least=1)
        seconds_or_none("block", block)
        if block is None:
            result = await self._call("XREAD", "COUNT", limit, "STREAMS", self.key, after)
            rows = rows_of(result)
        else:
            read = partial(self._reader.read, after, count=limit, block=block)
            async with self._reading:
                rows = await self._bus.link.retrying(read)
        return [_entry(row[0].decode(), row[1], self._unwrap) for row in rows]

    async def trim(self, *, through: str, epoch: str, before: str = "") -> int:
        """Drop the entries up to and including `through`; return how many were dropped.

        None is where the stream is of another epoch than `epoch` by now.

        Args:
            before: Up to where its reader has trimmed it before. Is there something again, the
                server lost the stream's tail, and what was appended since may stand where the
                reader has been: then nothing is dropped, the stream becomes one of another epoch,
                to be read from its beginning, and -1 is returned.
        """
        check_entry_id("through", through)
        if before:
            check_entry_id("before", before)
        keys = [self.key, self._epoch_key]
        return int(await self._bus.link.run(_TRIM, keys, [through, epoch, before, new_id()]))

    async def lost_tail(self, *, after: str, epoch: str) -> bool:
        """Whether the stream ends before the position `after` that its reader has reached.

        Then the server lost its tail (a failover to a replica that was behind, a crash between two
        fsyncs), and what is appended may get ids that the reader has passed. The stream becomes one
        of another epoch, to be read from its beginning: what it still has of what was read is read
        again.
        """
        check_entry_id("after", after)
        keys = [self.key, self._epoch_key]
        return bool(await self._bus.link.run(_BEHIND, keys, [after, epoch, new_id()]))

    @property
    def losses(self) -> int:
        """How often this bus has found that messages are gone which it had appended here."""
        return self._bus.appender.lane(self.key).losses

    async def verify(self) -> None:
        """Look whether the server still has what this bus has appended, or has had it read.

        Raises:
            BusUnavailable: Redis could not be reached.
        """
        await self._bus.appender.lane(self.key).verify()

    async def reject(self, entry: LogEntry, *, reason: str) -> None:
        """Copy `entry` to the log's dead letters, with the reason. Trimming it is another step.

        Rejecting an entry again changes nothing.
        """
        dead = f"{self.key}:dead"
        await self._bus.link.run(
            _REJECT,
            [dead, f"{dead}:{entry.id}"],
            [entry.id, reason, MOST_DEAD, entry.raw, REMEMBER_REJECTION],
        )

    async def dead_length(self) -> int:
        """How many dead letters there are."""
        return int(await self._call("XLEN", f"{self.key}:dead"))

    async def epoch(self) -> str:
        """An id made with the stream, or an empty string where there is no stream yet.

        Another epoch means that Redis lost the stream: entry ids of two epochs do not compare.
        """
        return (await self._call("GET", self._epoch_key) or b"").decode(errors="replace")

    async def length(self) -> int:
        """How many entries there are."""
        return int(await self._call("XLEN", self.key))

    async def last_id(self) -> str:
        """Id of the newest entry ever appended, also where it was trimmed; `0-0` if none was."""
        return str((await self._bus.link.run(_LAST, [self.key])).decode())

    def _unwrap(self, raw: bytes) -> Envelope:
        return self._bus.unwrap(self.key, raw)

    async def _call(self, command: str, *args: str | int) -> Any:
        return await self._bus.link.retrying(lambda: self._bus.link.call(command, *args))


def _entry(entry_id: str, fields: Any, read: Callable[[bytes], Envelope] = unwrap) -> LogEntry:
    raw = message_of(fields)
    if raw is None:
        return LogEntry(
            entry_id, None, msgspec.msgpack.encode(fields), "the entry has no field named e"
        )
    try:
        return LogEntry(entry_id, read(raw), raw)
    except UndecodableMessage as error:
        return LogEntry(entry_id, None, raw, str(error))


def message_of(fields: Any, field: bytes = b"e") -> bytes | None:
    """The encoded envelope (or another field) among a stream entry's fields, or None."""
    if isinstance(fields, dict):
        return next((value for name, value in fields.items() if name == field), None)
    if fields and fields[0] == field:
        return bytes(fields[1])
    for place in range(0, len(fields or ()), 2):
        if fields[place] == field:
            return bytes(fields[place + 1])
    return None
