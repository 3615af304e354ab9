"""Queues: streams whose messages are shared among the consumers of a group. At least once."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from .codec import decode_body
from .consumer import Consumer
from .deadletter import DeadLetter, dead_letter
from .envelope import Envelope, wrap
from .errors import ServerRefused
from .keys import check_name
from .script import Script

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")

_PUT: Final = Script("put")
_REPLAY: Final = Script("replay")

#: Seconds for which a queue remembers a dedupe id.
DEDUPE_TTL: Final = 86_400.0


class GroupStatistics(msgspec.Struct, frozen=True):
    """One consumer group of a queue.

    Attributes:
        pending: Deliveries that are not settled.
        lag: Messages not delivered yet; None where the server cannot tell (before Redis 7).
        consumers: Members of the group.
    """

    name: str
    pending: int
    lag: int | None
    consumers: int


class QueueStatistics(msgspec.Struct, frozen=True):
    """A queue at one moment.

    Attributes:
        length: Messages in the stream, unhandled or not trimmed yet.
        dead: Dead letters.
        delayed: Messages whose time has not come.
    """

    name: str
    length: int
    dead: int
    delayed: int
    groups: list[GroupStatistics]


class Queue(Generic[T]):
    """A named queue of messages of one type. Made by `Bus.queue`.

    Args:
        base: Key of its stream.
        decode: From envelope to body; raises `UndecodableMessage`.
        max_deliveries: A message that failed so often becomes a dead letter.
        listed: Whether `Bus.queues` is to name it.
    """

    def __init__(
        self,
        bus: "Bus",
        name: str,
        base: str,
        decode: Callable[[Envelope], T],
        *,
        sender: str,
        max_deliveries: int = 5,
        listed: bool = False,
    ) -> None:
        if max_deliveries < 1:
            raise ValueError(f"max_deliveries is {max_deliveries}: it must be at least 1")
        self.name = name
        self._bus = bus
        self._base = base
        self._decode = decode
        self._sender = sender
        self._max_deliveries = max_deliveries
        self._listed = listed

    @property
    def base(self) -> str:
        """Key of its stream."""
        return self._base

    async def put(self, body: T, *, dedupe: str | None = None, delay: float = 0.0) -> str:
        """Put a message; return its id (UUIDv7) once Redis has it.

        A put over a connection that breaks is repeated, without doubling the message.

        Args:
            dedupe: For a day, puts with the same `dedupe` are one: the first one's id is returned.
            delay: Seconds until it may be delivered.

        Raises:
            BusUnavailable: Redis could not be reached for as long as the bus is patient; the
                message may have been put.
            ServerRefused: Redis refused it (out of memory, no permission).
            MessageTooLarge: the encoded message is larger than the bus carries.
        """
        message_id, message = wrap(body, sender=self._sender)
        if dedupe is None and delay <= 0:
            await self.put_message(message)
            return message_id
        self._bus.check_size(message)
        await self._announce()
        if dedupe is not None:
            check_name("dedupe id", dedupe)
        standing = await self._bus.link.run(
            _PUT,
            [self._base, f"{self._base}:delayed", f"{self._base}:dedupe:{dedupe or ''}"],
            [message, message_id, int(delay * 1000), int(DEDUPE_TTL * 1000) if dedupe else 0],
        )
        return str(standing.decode())

    async def put_message(self, message: bytes) -> None:
        """Put an encoded envelope."""
        self._bus.check_size(message)
        await self._announce()
        await self._bus.appender.append(self._base, message)

    @asynccontextmanager
    async def consume(
        self, group: str, *, prefetch: int = 100, ttl: float | None = None
    ) -> AsyncGenerator[Consumer[T]]:
        """Join the consumer group `group`, and leave it with the context.

        Each message goes to one consumer of each group. What was read ahead and not handled when
        the context ends goes back at once.

        Args:
            prefetch: Most deliveries read ahead of the handler. 0: none, for handlers that take
                long: a message never waits behind one of them while another consumer is idle.
            ttl: Seconds without a heartbeat after which this consumer's deliveries go to others;
                by default the bus's.

        Raises:
            BusUnavailable: Redis could not be reached at the start. Later the consumer waits.
        """
        consumer = Consumer(
            self._bus,
            self._base,
            check_name("consumer group", group),
            self._decode,
            sender=self._sender,
            prefetch=prefetch,
            max_deliveries=self._max_deliveries,
            ttl=self._bus.ttl if ttl is None else ttl,
        )
        await self._announce()
        async with consumer.consuming():
            yield consumer

    async def statistics(self) -> QueueStatistics:
        """Count what is in the queue now."""
        call = self._bus.link.call

        async def groups() -> Any:
            try:
                return await self._bus.link.retrying(lambda: call("XINFO", "GROUPS", self._base))
            except ServerRefused as error:
                if "no such key" in str(error):
                    return []
                raise

        async def count(command: str, key: str) -> int:
            return int(await self._bus.link.retrying(lambda: call(command, key)))

        return QueueStatistics(
            name=self.name,
            length=await count("XLEN", self._base),
            dead=await count("XLEN", f"{self._base}:dead"),
            delayed=await count("ZCARD", f"{self._base}:delayed"),
            groups=[_group(row) for row in await groups()],
        )

    async def dead_letters(self, *, limit: int = 100, after: str = "-") -> list[DeadLetter]:
        """List dead letters, the oldest first.

        Args:
            limit: Most of them.
            after: Id of the last one seen, for the next page.
        """
        start = after if after == "-" else f"({after}"
        rows = await self._bus.link.retrying(
            lambda: self._bus.link.call("XRANGE", f"{self._base}:dead", start, "+", "COUNT", limit)
        )
        return [dead_letter(row) for row in rows]

    async def replay(self, *dead_ids: str) -> int:
        """Put dead letters back into the queue, for every group; return how many there were."""
        if not dead_ids:
            return 0
        return int(await self._bus.link.run(_REPLAY, [f"{self._base}:dead", self._base], dead_ids))

    async def _announce(self) -> None:
        if self._listed:
            await self._bus.announce_queue(self.name)


def _group(row: Any) -> GroupStatistics:
    fields = row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True))
    lag = fields.get(b"lag")
    return GroupStatistics(
        name=fields[b"name"].decode(errors="replace"),
        pending=int(fields[b"pending"]),
        lag=None if lag is None else int(lag),
        consumers=int(fields[b"consumers"]),
    )


def body_decoder(body_type: type[T]) -> Callable[[Envelope], T]:
    """Decode every body as `body_type`."""
    return lambda envelope: decode_body(envelope, body_type)


def choosing_decoder(types: Mapping[str, Any]) -> Callable[[Envelope], Any]:
    """Decode each body as the type that `types` has for the envelope's type name.

    Bodies of other types are decoded as plain data.
    """
    return lambda envelope: decode_body(envelope, types.get(envelope.type, object))
