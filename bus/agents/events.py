"""Following the presence events, across reconnects."""

from collections import deque
from typing import Final

import anyio

from bus.errors import EventsMissed
from bus.servers.link import AWAY, Link, backoff
from bus.servers.reader import StreamReader
from bus.telemetry.journal import Journal

from .presence import PresenceEvent, read_event

log = Journal("argentbus.presence")

#: Events read in one call.
_READ: Final = 500

#: Seconds for which one read waits at the server.
_BLOCK: Final = 2.0


class PresenceEvents:
    """The presence events behind a position, in order: iterate over it. Made by `Registry.events`.

    It reconnects by itself, and keeps a connection until `aclose` or the end of the bus.

    Attributes:
        refused: Entries of the stream that are no events.

    Raises:
        EventsMissed: events were trimmed, or lost with the server's data, before they were read.
            Take a new snapshot.

    Example: See `Registry`.
    """

    def __init__(self, link: Link, stream: str, after: str) -> None:
        self._link = link
        self._stream = stream
        self._position = after.encode()
        self._read: deque[PresenceEvent] = deque()
        self._reader = StreamReader(link, stream)
        self.refused = 0

    def __aiter__(self) -> "PresenceEvents":
        return self

    async def __anext__(self) -> PresenceEvent:
        delays = backoff()
        while not self._read:
            try:
                await self._fill()
            except AWAY as error:
                log.debug("following presence events was interrupted", error=error)
                await anyio.sleep(next(delays))
        return self._read.popleft()

    async def aclose(self) -> None:
        """Give the connection up."""
        await self._reader.aclose()

    async def _fill(self) -> None:
        if not self._reader.connected:
            await self._reader.connect()
            await self._check_gap()
        rows = await self._reader.read(self._position, count=_READ, block=_BLOCK)
        for entry_id, fields in rows:
            self._position = entry_id
            event = read_event(entry_id, fields)
            if event is None:
                self.refused += 1
            else:
                self._read.append(event)
        if len(rows) >= _READ:
            await self._check_gap()

    async def _check_gap(self) -> None:
        if self._position == b"0-0":
            return
        call, stream = self._link.call, self._stream
        first = await call("XRANGE", stream, "-", "+", "COUNT", 1)
        last = await call("XREVRANGE", stream, "+", "-", "COUNT", 1)
        here = _order(self._position)
        # Behind the last one: the server lost its tail, and goes on with what may get lower ids.
        if not first or _order(first[0][0]) > here or _order(last[0][0]) < here:
            raise EventsMissed(
                f"presence events behind {self._position.decode()} are gone: take a new snapshot"
            )


def _order(entry_id: bytes) -> tuple[int, int]:
    ms, _, seq = entry_id.partition(b"-")
    return int(ms), int(seq)
