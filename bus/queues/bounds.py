"""Waiting for room in a queue that is full."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from bus.servers.link import backoff

#: Reply for a message that did not fit.
FULL: Final = b"!"


class WaitingLine:
    """Those of one process who wait for room in the same queue.

    One of them looks for it, again and again; when there is some, all try at once, in one call.
    """

    def __init__(self) -> None:
        self._led = False
        self._found = anyio.Event()

    async def until_room(self, attempt: Callable[[], Awaitable[bytes]]) -> bytes:
        """Await `attempt()` until it returns something else than `FULL`; return that."""
        result = FULL
        if not self._led:
            result = await attempt()
        while result == FULL:
            if self._led:
                await self._found.wait()
                result = await attempt()
            else:
                result = await self._lead(attempt)
        return result

    async def _lead(self, attempt: Callable[[], Awaitable[bytes]]) -> bytes:
        self._led = True
        delays = backoff(0.005, 0.1)
        try:
            result = FULL
            while result == FULL:
                await anyio.sleep(next(delays))
                result = await attempt()
            return result
        finally:
            self._led = False
            self._found.set()
            self._found = anyio.Event()
