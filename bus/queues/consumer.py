"""Consuming a stream as a member of a group: read ahead, reclaim, retry, settle."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import anyio

from bus.agents.heartbeat import Beat
from bus.arguments import one_of, seconds, seconds_or_none
from bus.errors import BusError, UndecodableMessage
from bus.keys import QueueKeys
from bus.logs.log import message_of
from bus.messages.envelope import Envelope
from bus.requests.handling import Cancellations
from bus.requests.request import answer, answer_error, expired
from bus.scope import background
from bus.servers.link import AWAY
from bus.telemetry import Destination
from bus.telemetry.journal import Journal

from .deadletter import read_kills
from .delivery import Delivery
from .fetching import TEND, Fetching
from .membership import Entry, Membership, Start
from .prefetch import Prefetch
from .rules import Rules
from .settlement import Settlements

if TYPE_CHECKING:
    from bus.bus import Bus

T = TypeVar("T")
log = Journal("argentbus.queue")

#: Seconds that noting the start of a delivery may take, before it is tried again.
_NOTING: Final = 2.0


class Consumer(Generic[T]):
    """The deliveries of one consumer: iterate over it. Made by `Queue.consume`.

    A message is delivered again when its handler fails, or when this consumer is dead (its
    heartbeat is gone for its TTL); never because its handler is slow. The iteration ends after
    `stop`.

    Args:
        decode: From envelope to body; raises `UndecodableMessage`.
        source: What telemetry calls the queue.
        prefetch: Most deliveries read ahead of the handler. 0: one is read when it is asked for, so
            that none waits here while another consumer is idle.
        ttl: Seconds without a heartbeat after which the consumer counts as dead.
        handler_timeout: Seconds after which the block of a delivery is cancelled, or None.
        start: Where the group starts if it does not exist yet.

    Attributes:
        name: Its name in the group, `<bus instance>.<number>`.
        cancellations, settlements: Its parts, for deliveries: requests that nobody waits for any
            more, what is settled.
        group, telemetry: Name of its group; whom it tells of what goes on.
        over: Whether its block has ended: what it had not settled went back to the group.

    Example:
        reviews = bus.queue("reviews", Review)
        await reviews.put(Review("parser.py"))
        consumer: Consumer[Review]
        async with reviews.consume("reviewers", prefetch=0, ttl=10) as consumer:
            async for delivery in consumer:
                async with delivery:
                    print(delivery.body.path)  #> parser.py
                await consumer.stop()  # ends the iteration
    """

    def __init__(
        self,
        bus: "Bus",
        keys: QueueKeys,
        group: str,
        decode: Callable[[Envelope], T],
        *,
        source: Destination,
        sender: str,
        rules: Rules,
        prefetch: int,
        ttl: float,
        handler_timeout: float | None = None,
        start: Start = "beginning",
    ) -> None:
        seconds("ttl", ttl, least=0.001)
        seconds_or_none("handler_timeout", handler_timeout, least=0.001)
        one_of("start", start, ("beginning", "end"))
        self._bus = bus
        self.telemetry: Final = bus.telemetry
        self.source: Final = source
        self.group: Final = group
        self._keys = keys
        self._group = group.encode()
        self._decode = decode
        self._sender = sender
        self._rules = rules
        self.over = False
        self._prefetch = Prefetch(prefetch)
        self._ttl = ttl
        self.name: Final = bus.new_consumer_name()
        self.handler_timeout: Final = handler_timeout
        self._membership = Membership(bus.link, keys, group, self.name, ttl=ttl, start=start)
        self.cancellations = Cancellations(bus, keys.stream)
        self.settlements = Settlements(
            bus.link, keys, group, self.name, rules.max_deliveries, self._prefetch.held, source
        )
        self._fetching = Fetching(
            bus, keys, source, self._membership, self._prefetch, self.settlements, ttl=ttl
        )

    @property
    def put_off(self) -> int:
        """How many of its deliveries are dealt with, and not settled because Redis refuses that.

        It is tried again until Redis does not, after 0.1 to 30 s; they go to nobody else meanwhile.
        """
        return self.settlements.put_off

    # the caller's side

    def __aiter__(self) -> "Consumer[T]":
        return self

    async def __anext__(self) -> Delivery[T]:
        prefetch = self._prefetch
        while prefetch.entries or await prefetch.arrival():
            if self._fetching.in_doubt:
                await self._fetching.confirm()
                continue
            entry = prefetch.pop()
            if entry.kills and not await self._may_start(entry):
                continue
            delivery = self._deliver(entry)
            if delivery is not None:
                return delivery
        raise StopAsyncIteration

    async def _may_start(self, entry: Entry) -> bool:
        """Note that what consumers died of is handled again, so that the next death counts."""
        started = None
        try:
            while started is None:
                # Shielded: once it is noted, the delivery has to be handed over.
                with anyio.move_on_after(_NOTING, shield=True):
                    try:
                        started = await self._membership.started(entry.id)
                    except AWAY as error:
                        log.debug(
                            "a delivery has to wait",
                            queue=self.source.name,
                            entry=entry.id,
                            error=error,
                        )
                if started is None:
                    await anyio.sleep(TEND)
        finally:
            if started is None:
                self._prefetch.put_back(entry)
        if not started:
            self._prefetch.held.discard(entry.id)
        return started

    def _deliver(self, entry: Entry) -> Delivery[T] | None:
        if len(entry.fields) > 2 and not self._is_ours(entry):
            self.settlements.ack_later(entry.id)
            return None
        if entry.kills and len(read_kills(entry.kills)) >= self._rules.max_kills:
            named = ", ".join(map(str, read_kills(entry.kills)))
            reason = f"these consumers died with it, one after another: {named}"
            log.error(
                "a message was buried unhandled",
                queue=self.source.name,
                entry=entry.id,
                attempt=entry.attempt,
                reason=reason,
            )
            self.settlements.bury_later(entry.id, entry.attempt - 1, reason, kills=entry.kills)
            return None
        raw = message_of(entry.fields)
        try:
            if raw is None:
                raise UndecodableMessage("the entry has no field named e")
            envelope = self._bus.unwrap(self._keys.stream, raw)
            body = self._decode(envelope)
        except UndecodableMessage as error:
            log.warning(
                "a message was buried unhandled",
                queue=self.source.name,
                entry=entry.id,
                attempt=entry.attempt,
                error=error,
            )
            self.settlements.bury_later(
                entry.id, entry.attempt, str(error), kills=entry.kills, refused=True
            )
            return None
        if expired(envelope) or self.cancellations.cancelled(envelope):
            self.settlements.ack_later(entry.id)
            return None
        return Delivery(self, envelope, body, entry.id, entry.attempt, entry.kills)

    def _is_ours(self, entry: Entry) -> bool:
        """Whether the entry is for every group, or was replayed for this one."""
        group = message_of(entry.fields, b"g")
        return group is None or group == self._group

    async def answer(self, request: Envelope, body: object) -> None:
        """Reply to a request, in this consumer's name."""
        await answer(self._bus, request, self._sender, body)

    async def answer_error(self, request: Envelope, error: Exception) -> None:
        """Reply to a request with an error."""
        await answer_error(self._bus, request, self._sender, error)

    async def failed(self, delivery: Delivery[T], envelope: Envelope, error: Exception) -> str:
        """Deal with a handler that raised: tell who waits, or have it tried again.

        Returns:
            The outcome, as telemetry has it.
        """
        reason = f"{error.__class__.__name__}: {error}"
        log.warning("a handler failed", **delivery.facts, error=error, exc_info=error)
        if envelope.reply_to is not None:
            # Whoever asked is told, and decides; a retry would answer nobody.
            self.settlements.ack_later(delivery.entry_id)
            try:
                await self.answer_error(envelope, error)
            except BusError as unsent:
                log.warning("the error was not sent to who asked", **delivery.facts, error=unsent)
            return "failed"
        return self.settlements.retry_later(delivery, None, reason)

    async def stop(self) -> None:
        """Take no more deliveries, and hand those that were read ahead back at once.

        Those in the hands of handlers are still to be settled; the consumer lives on for them.
        """
        await self._fetching.stop()

    async def keep_alive(self) -> None:
        """Beat and settle, where the tasks that otherwise do were cancelled with the caller."""

        async def beat() -> None:
            while True:
                try:
                    await self._fetching.beat()
                except (*AWAY, BusError) as error:
                    log.debug("a heartbeat failed", error=error)
                await anyio.sleep(self._ttl / 3)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            tasks.start_soon(self.settlements.run)

    # the tasks

    @asynccontextmanager
    async def consuming(self) -> "AsyncGenerator[Consumer[T]]":
        """Be a member of the group until the context ends; then hand back what is unhandled."""
        await self._fetching.enter()
        beat = Beat(self._ttl / 3, self._fetching.beat)
        consumers = self._keys.consumers(self._membership.group)
        await self._bus.holdings.add_consumer(self.name, consumers)
        self._bus.pump.add(beat)
        self._bus.reaper.wake()  # what the dead hold of the queue is to come here
        try:
            async with background(self._fetching.run, self.settlements.run):
                yield self
        finally:
            # Who waits, or comes later, gets nothing: what is unsettled goes back to the group.
            self.over = True
            self._prefetch.drop()
            self._prefetch.close()
            self._bus.pump.remove(beat)
            self._bus.holdings.remove(self.name)
            self.cancellations.close()
            with anyio.CancelScope(shield=True), anyio.move_on_after(self._bus.link.reply_timeout):
                await self._close()

    async def _close(self) -> None:
        try:
            await self.settlements.flush(all=True)
            await self._fetching.give_back_all()
            await self.settlements.trim()
            await self._membership.leave()
        except (*AWAY, BusError) as error:
            log.warning(
                "deliveries could not be handed back: they go to others within the TTL",
                queue=self.source.name,
                consumer=self.name,
                seconds=self._ttl,
                error=error,
            )
