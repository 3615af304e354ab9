"""Queues: streams whose messages are shared among the consumers of a group. At least once."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio

from bus.keys import QueueKeys, check_name
from bus.messages.codec import decode_body
from bus.messages.envelope import Envelope
from bus.telemetry import Destination

from . import schedule
from .consumer import Consumer
from .durability import Durability
from .inlet import Inlet, due_at
from .membership import Start
from .rules import Rules
from .schedule import Schedule
from .upkeep import Upkeep
from .worker import Handler, Worker, check_async, check_work

if TYPE_CHECKING:
    from bus.bus import Bus

T = TypeVar("T")


class Queue(Upkeep, Generic[T]):
    """A named queue of messages of one type. Made by `Bus.queue`.

    Each message goes to one consumer of each group, at least once. It leaves the stream when every
    group has acknowledged it or given it up; a group made later begins with what is there then.

    At least once: it is delivered again where its handler failed, its consumer died, or its process
    was suspended for longer than its TTL; so an effect should bear to be had twice (`Delivery.id`
    is the same). A put is repeated over a broken connection without doubling the message. Order is
    that of the puts, but for what is delivered again; where it has to hold, ask for it
    (`Rules.ordered`).

    Args:
        base: Key of its stream.
        decode: From envelope to body; raises `UndecodableMessage`.
        listed: Whether `Bus.queues` is to name it.
        template: What telemetry calls it, where it is one of many.

    Attributes:
        name: Of the queue.
        rules: How often its messages are tried, in what order, how many may wait.
        destination: What telemetry calls it.

    Raises:
        BusUnavailable: out of every method: Redis could not be reached for as long as the bus is
            patient.
        ServerRefused: out of every method: Redis refused it.
        InvalidName: a name that is not accepted, of a group, a schedule or a key.

    Example:
        reviews: Queue[Review] = bus.queue("reviews", Review, max_deliveries=5)
        await reviews.put(Review("parser.py"), dedupe="pr-17")
        await reviews.put(Review("parser.py"), dedupe="pr-17")  # within a day: the same one
        async with reviews.consume("reviewers") as deliveries:
            async with await anext(deliveries) as delivery:  # acknowledged at its end
                print(delivery.body.path, delivery.attempt)  #> parser.py 1
    """

    def __init__(
        self,
        bus: "Bus",
        name: str,
        base: str,
        decode: Callable[[Envelope], T],
        *,
        sender: str,
        rules: Rules | None = None,
        listed: bool = False,
        template: str | None = None,
    ) -> None:
        super().__init__(bus, name, QueueKeys(base))
        self.rules: Final = rules or Rules()
        self.destination: Final = Destination(name, template)
        self._decode = decode
        self._sender = sender
        self._announced = not listed
        self._sending = bus.telemetry.sending
        self._inlet = Inlet(bus, name, self._keys, self.rules)

    @property
    def base(self) -> str:
        """Key of its stream."""
        return self._keys.stream

    async def put(
        self,
        body: T,
        *,
        key: str | None = None,
        dedupe: str | None = None,
        delay: float = 0.0,
        at: datetime | None = None,
        durability: Durability | None = None,
    ) -> str:
        """Put a message; return its id (UUIDv7) once Redis has it.

        A put over a connection that breaks is repeated, which neither doubles the message nor
        changes its place among this bus's puts. A caller who is cancelled does not take it back.

        Args:
            key: In an ordered queue, what is to be handled one by one, in the order of the puts.
            dedupe: For a day, puts with the same `dedupe` are one: the first one's id is returned.
            delay: Seconds until it may be delivered.
            at: When it may be delivered, by the server's clock, instead of a delay.
            durability: How safe it has to be before this returns; by default as safe as Redis's
                own settings make it. See `FSYNCED` and `replicated`.

        Raises:
            BusUnavailable: Redis could not be reached for as long as the bus is patient; the
                message may have been put.
            ServerRefused: Redis refused it (out of memory, no permission).
            MessageTooLarge: the encoded message is larger than the bus, or the queue, carries.
            QueueFull: the queue is bounded, has no room, and does not wait; nothing was put.
            NotDurable: it was put, and was not as safe in time as asked for.
            UnsupportedServer: the server is too old for that durability; nothing was put.
            ValueError: a key in a queue without order, a delay beside `at`, one that is negative or
                longer than ten years, or an `at` without a time zone.
            TypeError: an argument is of another type.
        """
        plain = dedupe is None and key is None and at is None and delay == 0.0
        due = "" if plain else due_at(delay, at)
        with self._sending(self.destination) as sending:
            message_id, message = self._bus.wrap(self.base, body, sender=self._sender)
            sending.message(message_id)
            if not self._announced:
                await self._announce()
            if plain:
                await self._inlet.put(message, durability)
                return message_id
            return await self._inlet.put_specially(
                message,
                message_id,
                key=key,
                dedupe=dedupe,
                due=due,
                durability=durability,
            )

    async def put_message(self, message: bytes) -> None:
        """Put an encoded envelope."""
        if not self._announced:
            await self._announce()
        await self._inlet.put(message, None)

    @asynccontextmanager
    async def consume(
        self,
        group: str,
        *,
        prefetch: int = 100,
        ttl: float | None = None,
        handler_timeout: float | None = None,
        start: Start = "beginning",
    ) -> AsyncGenerator[Consumer[T]]:
        """Join the consumer group `group`, and leave it with the context.

        Each message goes to one consumer of each group. What was read ahead and not handled when
        the context ends goes back at once.

        Args:
            prefetch: Most deliveries read ahead of the handler. 0: none, for handlers that take
                long: a message never waits behind one of them while another consumer is idle.
            ttl: Seconds without a heartbeat after which this consumer's deliveries go to others;
                by default the bus's.
            handler_timeout: Seconds after which the block `async with delivery` is cancelled, which
                counts as a failed attempt. None: a handler may take as long as it likes.
            start: Where the group starts if this makes it: at the `beginning` of what is in the
                stream, or at its `end`.

        Raises:
            BusUnavailable: Redis could not be reached at the start. Later the consumer waits.
            WrongType: the stream's key is another program's; also later, out of the block.
            ValueError, TypeError: an argument is out of range, or of another type.
        """
        consumer = Consumer(
            self._bus,
            self._keys,
            check_name("consumer group", group),
            self._decode,
            source=self.destination,
            sender=self._sender,
            rules=self.rules,
            prefetch=prefetch,
            ttl=self._bus.ttl if ttl is None else ttl,
            handler_timeout=handler_timeout,
            start=start,
        )
        if not self._announced:
            await self._announce()
        async with consumer.consuming():
            yield consumer

    async def work(
        self,
        group: str,
        handler: Handler[T],
        *,
        concurrency: int = 10,
        drain: float = 30.0,
        stop: anyio.Event | None = None,
        prefetch: int | None = None,
        ttl: float | None = None,
        handler_timeout: float | None = None,
        start: Start = "beginning",
    ) -> None:
        """Run `handler(delivery)` for each message of the group, until cancelled or `stop` is set.

        Its return acknowledges, its exception has the message tried again, as in
        `async with delivery`. At the end it drains: what was read ahead goes back at once, handlers
        under way have `drain` seconds to finish and are then cancelled, their messages given back.
        A handler under way may go on using the bus meanwhile.

        Args:
            concurrency: Handlers at a time.
            drain: Seconds.
            prefetch: Most deliveries read ahead; by default as many as there are handlers.

        Raises:
            TypeError: `handler` is not an async function.

        For the rest, and errors, see `consume`.
        """
        check_work(handler, concurrency, drain)
        check_async(handler)
        async with self.consume(
            group,
            prefetch=concurrency if prefetch is None else prefetch,
            ttl=ttl,
            handler_timeout=handler_timeout,
            start=start,
        ) as consumer:
            await Worker(consumer, handler, concurrency=concurrency, drain=drain).run(stop)

    # by the clock

    async def schedule(
        self, name: str, cron: str, body: T, *, tz: str = "UTC", key: str | None = None
    ) -> None:
        """Put `body` at each slot of a cron expression, from now on, as long as Redis keeps it.

        Any live consumer of the queue sees to it; each slot is put once, whatever breaks. Slots
        that passed while there was none are put once, late, however many they were. Stating the
        same schedule again changes its body, and not when it is next due. Such messages enter a
        bounded queue also where it is full.

        Args:
            name: Of the schedule in this queue; one of the same name is replaced.
            cron: Such as `0 9 * * 1-5`; with six fields the first is the second.
            tz: Name of the time zone in which that is meant.
            key: As in `put`.

        Raises:
            InvalidSchedule: `cron` or `tz` is not one, or has no slot to come.
        """
        check_name("schedule", name)
        if key is not None:
            self._inlet.admission.check_key(key)
        if not self._announced:
            await self._announce()
        envelope = self._bus.wrap_schedule(self.base, body, sender=self._sender)
        await schedule.keep(self._bus.link, self._keys, name, cron, envelope, tz=tz, key=key)

    async def unschedule(self, name: str) -> bool:
        """Forget a schedule; return whether there was one."""
        return await schedule.drop(self._bus.link, self._keys, check_name("schedule", name))

    async def schedules(self) -> list[Schedule]:
        """The schedules of this queue, by name."""
        return await schedule.kept(self._bus.link, self._keys)

    async def _announce(self) -> None:
        await self._bus.announce_queue(self.name)
        self._announced = True


def body_decoder(body_type: type[T]) -> Callable[[Envelope], T]:
    """Decode every body as `body_type`."""
    return lambda envelope: decode_body(envelope, body_type)


def choosing_decoder(types: Mapping[str, Any]) -> Callable[[Envelope], Any]:
    """Decode each body as the type that `types` has for the envelope's type name.

    Bodies of other types are decoded as plain data.
    """
    return lambda envelope: decode_body(envelope, types.get(envelope.type, object))
