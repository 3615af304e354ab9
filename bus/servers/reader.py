"""Reading a stream as it grows, on a connection that is kept from one read to the next."""

import re
from typing import Any, Final

import anyio
import anyio.lowlevel
from coredis.connection import BaseConnection

from bus.arguments import shown, text

from .link import Link

_ID: Final = re.compile(r"(\d{1,20})-(\d{1,20})\Z", re.ASCII)


class StreamReader:
    """Blocking reads of one stream. What blocks needs a connection of its own."""

    def __init__(self, link: Link, stream: str) -> None:
        self._link = link
        self._stream = stream
        self._connection: BaseConnection | None = None

    @property
    def connected(self) -> bool:
        """Whether the next read uses the connection of the one before."""
        return self._connection is not None and self._connection.usable

    async def connect(self) -> None:
        """Connect, if need be. Raises one of `TRANSIENT` where that fails."""
        if not self.connected:
            self._connection = await self._link.open_connection(self._stream)

    async def read(self, after: str | bytes, *, count: int, block: float) -> list[Any]:
        """Up to `count` entries (id, fields) behind the id `after`; wait for one up to `block` s.

        Raises one of `TRANSIENT` when the connection breaks; the next read makes another.
        """
        await self.connect()
        assert self._connection is not None, "connected to nothing"
        result = await self._link.ask(
            self._connection,
            b"XREAD",
            b"COUNT",
            count,
            b"BLOCK",
            max(1, int(block * 1000)),
            b"STREAMS",
            self._stream,
            after,
            timeout=block + self._link.reply_timeout,
            blocking=True,
        )
        return rows_of(result)

    async def aclose(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.invalidate("done with it")
            self._connection = None
        await anyio.lowlevel.checkpoint()


def rows_of(result: Any) -> list[Any]:
    """The entries (id, fields) in the reply to an XREAD or XREADGROUP."""
    if not result:
        return []
    # RESP3 answers with a map of streams, RESP2 with a list of pairs.
    streams = result.values() if isinstance(result, dict) else [pair[1] for pair in result]
    return [row for rows in streams for row in rows]


def check_entry_id(name: str, value: str) -> str:
    """Return `value` when it can be the id of an entry: `<ms>-<n>`, two numbers below 2**64.

    Raises:
        ValueError: it cannot.
        TypeError: it is not text.
    """
    parts = _ID.match(text(name, value))
    if parts is None or any(int(part) >= 2**64 for part in parts.groups()):
        raise ValueError(
            f"{name} is {shown(value)}: it must be the id of an entry, such as 1700000000000-0"
        )
    return value
