"""Appending to streams: what waits at the same time travels in one script call, without a timer.

While one call is under way, messages for the same stream gather; the next call takes them all. A
lone message pays nothing for it, and under load the round trip is shared by hundreds. One call at
a time keeps the order, and numbered messages (`lua/append.lua`, `lua/put.lua`) make a repeated call
harmless, so a connection that breaks before the reply neither loses a message nor doubles one.

The numbers are the stream's: they survive a restart of Redis as its data does, and a failover as
the replica has them (a message and its number are written together, or neither). They do not
survive what the caller does: one that was told `BusUnavailable`, or was started anew, and puts its
message again, doubles it, unless it gave a dedupe id. Nor do they survive a day of silence of the
producer, or an eviction, in the midst of a retry.
"""

from collections import OrderedDict, deque
from itertools import count
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import anyio
from anyio.abc import TaskGroup
from coredis.connection import BaseConnection

from bus.errors import BusError, BusUnavailable, NotDurable
from bus.messages.envelope import new_id
from bus.servers.link import Link
from bus.servers.script import Argument, Script

from .bounds import FULL, WaitingLine
from .durability import Durability

_APPEND: Final = Script("queues/append")

#: One call takes at most so many messages and (about) so many bytes.
MOST_MESSAGES: Final = 500
MOST_BYTES: Final = 1 << 20

#: Lanes that are kept although nobody uses them now.
MOST_LANES: Final = 1000

#: Seconds for which a stream remembers a producer that is silent.
REMEMBER: Final = 86_400


class Form(NamedTuple):
    """How messages are appended: only those of one form share a call.

    Attributes:
        script: Takes the number of the first message, the seconds to remember the producer, the
            options, and the messages' values.
        keys: Of the script, without the producer's, which comes second.
        options: None: a candidate epoch, a new one for each call.
    """

    script: Script
    keys: tuple[str, ...]
    options: tuple[Argument, ...] | None


class Batch:
    """Messages of one form that travel in one call: gathered here, whoever carries them."""

    __slots__ = ("count", "error", "form", "reply", "size", "values")

    def __init__(self, form: Form) -> None:
        self.form = form
        self.values: list[Argument] = []
        self.count = 0
        self.size = 0
        self.reply: Any = ()
        self.error: BusError | None = None

    def takes(self, form: Form) -> bool:
        """Whether another message of that form may still travel along."""
        return (
            self.count < MOST_MESSAGES
            and self.size < MOST_BYTES
            and (self.form is form or self.form == form)
        )

    def add(self, size: int, values: tuple[Argument, ...]) -> int:
        """Add a message of `size` bytes; return its place in the call."""
        place = self.count
        self.values.extend(values)
        self.count += 1
        self.size += size
        return place

    def call(self, producer: str, number: int) -> tuple[tuple[str, ...], tuple[Argument, ...]]:
        """Keys and arguments of the script, where its first message is `number` of `producer`."""
        form = self.form
        options = (new_id(),) if form.options is None else form.options
        keys = (form.keys[0], producer, *form.keys[1:])
        return keys, (number, REMEMBER, *options, *self.values)


class _Batch(Batch):
    __slots__ = ("done",)

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.done = anyio.Event()


class Lane:
    """The messages on their way to one stream, with the same durability. Made by `Appender.lane`.

    Attributes:
        line: Those who wait for room in the stream.
        losses: How often it was found that the server had lost messages that it had acknowledged.
    """

    def __init__(
        self, link: Link, tasks: TaskGroup, producer: str, durability: Durability | None
    ) -> None:
        self._link = link
        self._tasks = tasks
        self._producer = producer
        self._durability = durability
        self._own: BaseConnection | None = None
        self._number = 1
        self._waiting: deque[_Batch] = deque()
        self._busy = False
        self._resting = False
        self._on_its_way: _Batch | None = None
        self._acknowledged = 0
        self._heard_at = 0.0
        self.losses = 0
        self.line = WaitingLine()

    async def send(self, form: Form, size: int, *values: Argument) -> tuple[Any, int]:
        """Append one message of `size` bytes; return the script's reply and its place in the call.

        Whoever is cancelled while waiting does not take the message back.

        Raises:
            BusUnavailable: Redis could not be reached for as long as the bus is patient; the
                message may be in the stream all the same.
            ServerRefused: Redis refused it, and it is not in the stream.
            NotDurable: it is in the stream, and not as safe as was asked for.
        """
        waiting = self._waiting
        batch = waiting[-1] if waiting else None
        if batch is None or not batch.takes(form):
            batch = _Batch(form)
            waiting.append(batch)
        place = batch.add(size, values)
        if not self._busy:
            self._begin()
        await batch.done.wait()
        if batch.error is not None and not (
            isinstance(batch.error, NotDurable) and batch.reply and batch.reply[place] == FULL
        ):
            raise batch.error
        return batch.reply, place

    def rest(self) -> None:
        """Give the connection up, if there is one; the next message makes another."""
        self._resting = True
        if self._own is not None and not self._busy:
            self._own.invalidate("done with it")
            self._own = None

    def _begin(self) -> None:
        try:
            self._link.tasks  # noqa: B018 (raises where the bus is closed)
            self._tasks.start_soon(self._drain)
        except BaseException:
            self._waiting.clear()  # nobody else is in it: they would have begun
            raise
        self._busy = True

    async def _drain(self) -> None:
        self._resting = False
        try:
            while self._waiting:
                await self._send(self._waiting.popleft())
        finally:
            self._busy = False
            while self._waiting:  # only where this was cancelled: the bus is closing
                left = self._waiting.popleft()
                left.error = BusUnavailable("the bus is closed: the message was not put")
                left.done.set()
            if self._resting:
                self.rest()

    async def _send(self, batch: _Batch) -> None:
        script = batch.form.script
        keys, args = batch.call(self._producer, self._number)
        self._number += batch.count
        first = self._number - batch.count
        self._on_its_way = batch
        try:
            if self._durability is None:
                batch.reply = await self._link.run(script, keys, args)
            else:
                durability = self._durability
                batch.reply, batch.error = await self._link.retrying(
                    lambda: self._run_and_wait(script, keys, args, durability)
                )
            if batch.form.options is None:
                self._compare(int(batch.reply[1]), self._acknowledged)
                self._acknowledged = first + batch.count - 1
        except BusError as error:
            batch.error = error
        except BaseException:
            batch.error = BusUnavailable(
                "the bus is closed, and was while the message was on its way: it may have been put"
            )
            raise
        finally:
            self._on_its_way = None
            batch.done.set()

    async def verify(self) -> None:
        """Count a loss where the server no longer knows what it has acknowledged.

        For streams that are appended to without options (`Appender.append`).

        Raises:
            BusUnavailable: Redis could not be reached.
        """
        if self._on_its_way is not None:
            # Its reply tells as well, and after it nothing would.
            await self._on_its_way.done.wait()
        acknowledged, link = self._acknowledged, self._link
        if acknowledged:
            seen = await link.retrying(lambda: link.call("GET", self._producer)) or b"0"
            number = seen.partition(b" ")[0]
            self._compare(int(number) if number.isdigit() else 0, acknowledged)

    def _compare(self, number: int, acknowledged: int) -> None:
        """Compare the last number that the server knows with the last one it has acknowledged.

        They are written together with the messages: where the number is lost, so are these.
        """
        now = anyio.current_time()
        if number < acknowledged and now - self._heard_at < REMEMBER / 2:
            self.losses += 1
            if self._acknowledged == acknowledged:
                self._acknowledged = number
        self._heard_at = now

    async def _run_and_wait(
        self,
        script: Script,
        keys: tuple[str, ...],
        args: tuple[Argument, ...],
        durability: Durability,
    ) -> tuple[Any, NotDurable | None]:
        # WAIT is about what this very connection wrote: the script and it must share one.
        if self._own is None or not self._own.usable:
            self._own = await self._link.open_connection(keys[0])
        reply = await self._link.ask(
            self._own, b"EVAL", script.text, len(keys), *keys, *args, blocking=True
        )
        return reply, await durability.wait(self._link, self._own)


#: A stream, and how safe what goes there has to be.
_Way = tuple[str, Durability | None]


class Appender:
    """Appends messages to streams, each once, in the order of the calls.

    Args:
        link: To the server.
        tasks: Where the sending runs: a caller that is cancelled does not take others along.
        producer: Name of this producer, never used by another.
    """

    def __init__(self, link: Link, tasks: TaskGroup, producer: str) -> None:
        self._link = link
        self._tasks = tasks
        self._producer = producer
        self._numbers = count(1)
        # All that somebody uses, and the last ones used by anybody: who writes to ever new streams
        # does not keep a lane to each.
        self._lanes: WeakValueDictionary[_Way, Lane] = WeakValueDictionary()
        self._kept: OrderedDict[_Way, Lane] = OrderedDict()

    def lane(self, stream: str, durability: Durability | None = None) -> Lane:
        """The lane to `stream`: one for each durability, each with numbers of its own."""
        way = (stream, durability)
        lane = self._lanes.get(way)
        if lane is None:
            # One that is made anew begins to count anew, and must not pass for the one before.
            key = producer_key(stream, f"{self._producer}.{next(self._numbers)}")
            lane = Lane(self._link, self._tasks, key, durability)
            self._lanes[way] = lane
        self._kept[way] = lane
        self._kept.move_to_end(way)
        if len(self._kept) > MOST_LANES:
            self._kept.popitem(last=False)[1].rest()
        return lane

    async def append(
        self, stream: str, message: bytes, *, epoch_key: str | None = None
    ) -> tuple[str, str]:
        """Append `message`; return the stream's epoch and the entry's id, once Redis has it.

        The id is empty where a retry found that the message had arrived already. For errors see
        `Lane.send`.
        """
        form = append_form(stream, epoch_key)
        return appended(*await self.lane(stream).send(form, len(message), message))


def append_form(stream: str, epoch_key: str | None) -> Form:
    """The form of messages that are only appended to `stream`."""
    return Form(_APPEND, (stream, epoch_key) if epoch_key else (stream,), None)


def appended(reply: Any, place: int) -> tuple[str, str]:
    """The stream's epoch, and the id of the message at `place` of a call in `append_form`."""
    return reply[0].decode(errors="replace"), reply[2 + place].decode()


def producer_key(stream: str, producer: str) -> str:
    """Where `stream` keeps what it has seen of a producer: the same for every form."""
    return f"{stream}:producer:{producer}"
