"""Appending to streams: what waits at the same time travels in one script call, without a timer.

While one call is under way, messages for the same stream gather; the next call takes them all. A
lone message pays nothing for it, and under load the round trip is shared by hundreds. One call at
a time keeps the order, and numbered messages (`lua/append.lua`) make a repeated call harmless, so
a connection that breaks before the reply neither loses a message nor doubles one.
"""

from collections import deque
from typing import Final

import anyio
from anyio.abc import TaskGroup

from .envelope import new_id
from .errors import BusError
from .link import Link
from .script import Script

_APPEND: Final = Script("append")

#: One call takes at most so many messages and (about) so many bytes.
MOST_MESSAGES: Final = 500
MOST_BYTES: Final = 1 << 20

#: Seconds for which a stream remembers a producer that is silent.
REMEMBER: Final = 86_400


class _Batch:
    __slots__ = ("done", "epoch", "error", "ids", "messages", "size")

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.size = 0
        self.done = anyio.Event()
        self.epoch = ""
        self.ids: list[bytes] = []
        self.error: BusError | None = None


class _Lane:
    """The messages on their way to one stream."""

    __slots__ = ("busy", "keys", "number", "waiting")

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.number = 1
        self.waiting: deque[_Batch] = deque()
        self.busy = False


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
        self._lanes: dict[str, _Lane] = {}

    async def append(
        self, stream: str, message: bytes, *, epoch_key: str | None = None
    ) -> tuple[str, str]:
        """Append `message`; return the stream's epoch and the entry's id, once Redis has it.

        The id is empty where a retry found that the message had arrived already.

        Raises:
            BusUnavailable: Redis could not be reached for as long as the bus is patient; the
                message may be in the stream all the same.
            ServerRefused: Redis refused it, and it is not in the stream.
        """
        lane = self._lanes.get(stream)
        if lane is None:
            keys = (stream, f"{stream}:producer:{self._producer}")
            lane = _Lane(keys + ((epoch_key,) if epoch_key else ()))
            self._lanes[stream] = lane
        if (
            not lane.waiting
            or len(lane.waiting[-1].messages) >= MOST_MESSAGES
            or lane.waiting[-1].size >= MOST_BYTES
        ):
            lane.waiting.append(_Batch())
        batch = lane.waiting[-1]
        place = len(batch.messages)
        batch.messages.append(message)
        batch.size += len(message)
        if not lane.busy:
            lane.busy = True
            self._tasks.start_soon(self._drain, lane)
        await batch.done.wait()
        if batch.error is not None:
            raise batch.error
        return batch.epoch, batch.ids[place].decode()

    async def _drain(self, lane: _Lane) -> None:
        try:
            while lane.waiting:
                await self._send(lane, lane.waiting.popleft())
        finally:
            lane.busy = False

    async def _send(self, lane: _Lane, batch: _Batch) -> None:
        first = lane.number
        lane.number += len(batch.messages)
        try:
            epoch, *batch.ids = await self._link.run(
                _APPEND, lane.keys, (first, REMEMBER, new_id(), *batch.messages)
            )
            batch.epoch = epoch.decode(errors="replace")
        except BusError as error:
            batch.error = error
        except BaseException:
            batch.error = BusError("the bus was closed while the message was on its way")
            raise
        finally:
            batch.done.set()
