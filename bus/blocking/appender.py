"""Appending from threads: what waits at the same time travels in one call, as in `bus.appender`.

The first thread that comes to a lane carries what others bring while the call before is under way;
nobody else runs for it. Messages are numbered like those of the async appender, by the same script:
a call that is repeated over a broken connection neither loses a message nor doubles one.
"""

import threading
from typing import Final

from bus.errors import BusError
from bus.messages.envelope import new_id
from bus.queues.appender import MOST_BYTES, MOST_MESSAGES, REMEMBER
from bus.servers.script import Script

from .direct import Direct

_APPEND: Final = Script("queues/append")


class _Batch:
    __slots__ = ("done", "epoch", "error", "ids", "messages", "size")

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.size = 0
        self.done = threading.Event()
        self.epoch = ""
        self.ids: list[bytes] = []
        self.error: BusError | None = None


class _Lane:
    """The messages on their way to one stream.

    Attributes:
        sending: Held by the thread whose call is under way.
        guard: Held, shortly, by whoever adds to the batch that gathers, or takes it.
    """

    __slots__ = ("gathering", "guard", "keys", "number", "sending")

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.number = 1
        self.gathering: _Batch | None = None
        self.guard = threading.Lock()
        self.sending = threading.Lock()


class Appender:
    """Appends messages to streams, each once, those of one thread in the order of its calls."""

    def __init__(self, direct: Direct) -> None:
        self._direct = direct
        self._producer = new_id()
        self._lanes: dict[str, _Lane] = {}

    def append(
        self, stream: str, message: bytes, *, epoch_key: str | None = None
    ) -> tuple[str, str]:
        """Append `message`; return the stream's epoch and the entry's id, once Redis has it.

        Raises what `bus.appender.Appender.append` does. Interrupted (Ctrl-C), it may be appended.
        """
        lane = self._lanes.get(stream)
        if lane is None:
            keys = (stream, f"{stream}:producer:{self._producer}")
            lane = _Lane(keys + ((epoch_key,) if epoch_key else ()))
            lane = self._lanes.setdefault(stream, lane)
        with lane.guard:
            batch = lane.gathering
            leads = batch is None or _is_full(batch)
            if batch is None or leads:
                batch = lane.gathering = _Batch()
            place = len(batch.messages)
            batch.messages.append(message)
            batch.size += len(message)
        if leads:
            self._carry(lane, batch)
        batch.done.wait()
        if batch.error is not None:
            raise batch.error
        return batch.epoch, batch.ids[place].decode()

    def _carry(self, lane: _Lane, batch: _Batch) -> None:
        try:
            with lane.sending:
                with lane.guard:
                    if lane.gathering is batch:
                        lane.gathering = None
                self._send(lane, batch)
        except BusError as error:
            batch.error = error
        except BaseException:
            batch.error = BusError(
                "the thread that carried the message was interrupted: it may have been put"
            )
            raise
        finally:
            with lane.guard:
                if lane.gathering is batch:
                    lane.gathering = None
            batch.done.set()

    def _send(self, lane: _Lane, batch: _Batch) -> None:
        first = lane.number
        lane.number += len(batch.messages)
        epoch, _, *batch.ids = self._direct.run(
            _APPEND, lane.keys, (first, REMEMBER, new_id(), *batch.messages)
        )
        batch.epoch = epoch.decode(errors="replace")


def _is_full(batch: _Batch) -> bool:
    return len(batch.messages) >= MOST_MESSAGES or batch.size >= MOST_BYTES
