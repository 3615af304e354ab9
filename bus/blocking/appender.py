"""Appending from threads: what waits at the same time travels in one call, as in `queues.appender`.

The first thread that comes to a lane carries what others bring while the call before is under way;
nobody else runs for it. Messages are numbered like those of the async appender, by the same
scripts: a call that is repeated over a broken connection neither loses a message nor doubles one.
So where the thread that carries is interrupted, another one of the batch repeats its call; and
where it was interrupted before it carried anything, whoever waits takes its place within
`LOOK_EVERY`.
"""

import threading
from collections import OrderedDict
from itertools import count
from typing import Any, Final
from weakref import WeakValueDictionary

from bus.errors import BusError
from bus.messages.envelope import new_id
from bus.queues.appender import MOST_LANES, Batch, Form, append_form, appended, producer_key
from bus.servers.script import Argument

from .direct import Direct

#: Seconds after which whoever waits for a batch looks whether anybody carries at all.
LOOK_EVERY: Final = 0.1


class _Batch(Batch):
    """Messages of one form, and the threads that wait for them.

    Attributes:
        number: Of its first message, once it was sent.
        finished: Whether it is known what became of it.
        woken: Set then, and when nobody carries it any more.
    """

    __slots__ = ("finished", "number", "width", "woken")

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.number: int | None = None
        self.finished = False
        self.woken = threading.Event()
        self.width = 1

    def add(self, size: int, values: tuple[Argument, ...]) -> int:
        # An interruption comes before a message is in, or after: what is in decides the count.
        self.width = len(values)
        place = len(self.values) // self.width
        self.values.extend(values)
        self.count = place + 1
        self.size += size
        return place

    def close(self) -> None:
        """Count what is in, as nothing more will be."""
        self.count = len(self.values) // self.width


class _Lane:
    """The messages on their way to one stream.

    Attributes:
        number: Of the next message.
        gathering: The batch that others may still join.
        underway: The batch whose call was begun, and not finished where its thread was interrupted:
            it is to be repeated before the next one is sent, whose numbers are higher.
        sending: Held by the thread whose call is under way.
        guard: Held, shortly, by whoever adds to the batch that gathers, or takes it.
    """

    __slots__ = ("__weakref__", "gathering", "guard", "number", "producer", "sending", "underway")

    def __init__(self, producer: str) -> None:
        self.producer = producer
        self.number = 1
        self.gathering: _Batch | None = None
        self.underway: _Batch | None = None
        self.guard = threading.Lock()
        self.sending = threading.Lock()


class Appender:
    """Appends messages to streams, each once, those of one thread in the order of its calls."""

    def __init__(self, direct: Direct) -> None:
        self._direct = direct
        self._producer = new_id()
        self._numbers = count(1)
        # All that some thread uses, and the last ones used by any, as in the async appender.
        self._lanes: WeakValueDictionary[str, _Lane] = WeakValueDictionary()
        self._kept: OrderedDict[str, _Lane] = OrderedDict()
        self._guard = threading.Lock()

    def append(
        self, stream: str, message: bytes, *, epoch_key: str | None = None
    ) -> tuple[str, str]:
        """Append `message`; return the stream's epoch and the entry's id, once Redis has it.

        Raises what the async `Appender.append` does. Interrupted (Ctrl-C), it may be appended.
        """
        form = append_form(stream, epoch_key)
        return appended(*self.send(stream, form, len(message), message))

    def send(self, stream: str, form: Form, size: int, *values: Argument) -> tuple[Any, int]:
        """Send one message of `size` bytes; return the script's reply, and its place in the call.

        Raises:
            BusUnavailable: Redis could not be reached for as long as the bus is patient; the
                message may be in the stream all the same.
            ServerRefused: Redis refused it, and it is not in the stream.
        """
        lane = self._lane(stream)
        with lane.guard:
            batch = lane.gathering
            leads = batch is None or not batch.takes(form)
            if batch is None or leads:
                batch = _Batch(form)
                place = batch.add(size, values)
                lane.gathering = batch
            else:
                place = batch.add(size, values)
        # From here to the `try`, Ctrl-C leaves a batch behind that nobody carries: see below.
        try:
            if leads:
                self._carry(lane, batch)
            while not batch.finished:
                woken = batch.woken.wait(LOOK_EVERY)
                if (woken or not lane.sending.locked()) and not batch.finished:
                    self._carry(lane, batch)
        except BaseException:
            batch.woken.set()
            raise
        if batch.error is not None:
            raise batch.error
        return batch.reply, place

    def _lane(self, stream: str) -> _Lane:
        with self._guard:
            lane = self._lanes.get(stream)
            if lane is None:
                # One that is made anew begins to count anew: it must not pass for the one before.
                lane = _Lane(producer_key(stream, f"{self._producer}.{next(self._numbers)}"))
                self._lanes[stream] = lane
            self._kept[stream] = lane
            self._kept.move_to_end(stream)
            if len(self._kept) > MOST_LANES:
                self._kept.popitem(last=False)
            return lane

    def _carry(self, lane: _Lane, batch: _Batch) -> None:
        with lane.sending:
            if lane.underway is not None and lane.underway.count > 1:
                self._send(lane, lane.underway)
            if batch.finished:
                return
            with lane.guard:
                if lane.gathering is batch:
                    lane.gathering = None
                batch.close()
            batch.number = lane.number
            lane.number += batch.count
            lane.underway = batch
            self._send(lane, batch)

    def _send(self, lane: _Lane, batch: _Batch) -> None:
        assert batch.number is not None, "sent without a number"
        keys, args = batch.call(lane.producer, batch.number)
        try:
            batch.reply = self._direct.run(batch.form.script, keys, args)
        except BusError as error:
            batch.error = error
        lane.underway = None
        batch.finished = True
        batch.woken.set()
