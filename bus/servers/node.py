"""One server: the connection that all commands to it share, and others for what blocks.

While a server is away, one attempt at a time looks for it, for everybody who waits; the pauses
between attempts grow to a second. So a server that comes back meets one connection of each process
first, however many tasks wait, and what needs a connection of its own follows a few at a time.
"""

import weakref
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import anyio
from coredis.connection import BaseConnection

from bus.errors import BusUnavailable

from .address import Endpoint
from .connector import Connector
from .faults import TRANSIENT, NotReady, backoff

T = TypeVar("T")

#: Connections that are made at the same time, beside the shared one.
AT_ONCE: Final = 8


class _Attempt(Generic[T]):
    def __init__(self) -> None:
        self.done = anyio.Event()
        self.outcome: T
        self.error: BaseException | None = None


class Shared(Generic[T]):
    """What one task fetches or makes for all who wait for it, after a failure not at once again.

    Args:
        connector: Whose tasks do it: a caller that is cancelled does not take others along.
        make: Fetches or makes it.
    """

    def __init__(self, connector: Connector, make: Callable[[], Awaitable[T]]) -> None:
        self._connector = connector
        self._make = make
        self._attempt: _Attempt[T] | None = None
        self._delays = backoff()
        self._not_before = 0.0

    async def get(self) -> T:
        """What the attempt under way, or else a new one, comes to."""
        if self._attempt is None:
            tasks = self._connector.running()
            self._attempt = _Attempt()
            tasks.start_soon(self._run, self._attempt)
        attempt = self._attempt
        await attempt.done.wait()
        if attempt.error is not None:
            raise attempt.error
        return attempt.outcome

    async def _run(self, attempt: _Attempt[T]) -> None:
        try:
            await anyio.sleep(max(0.0, self._not_before - anyio.current_time()))
            attempt.outcome = await self._make()
            self._delays = backoff()
            self._not_before = 0.0
        except Exception as error:  # noqa: BLE001 (handed to everybody who waits for it)
            attempt.error = error
            self._not_before = anyio.current_time() + next(self._delays)
        except BaseException:
            attempt.error = BusUnavailable("the bus was closed while it connected")
            raise
        finally:
            self._attempt = None
            attempt.done.set()


class Node:
    """One server of an address.

    Args:
        absent: Called when it cannot be reached.
        to_sentinel: Whether it is a sentinel.
        replica: Whether it may be a replica, also where sentinels know another as the primary.

    Attributes:
        release: The server's own version number, once it is known.
        version: The version of Redis whose commands it has, once it is known.
    """

    def __init__(
        self,
        connector: Connector,
        endpoint: Endpoint,
        absent: Callable[[], None] = lambda: None,
        *,
        to_sentinel: bool = False,
        replica: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.name = ""
        self.release = ""
        self.version: tuple[int, ...] = ()
        self._connector = connector
        self._absent = absent
        self._to_sentinel = to_sentinel
        self._replica = replica
        self._connection: BaseConnection | None = None
        self._attempts: Shared[BaseConnection] = Shared(connector, self._connect)
        self._others: weakref.WeakSet[BaseConnection] = weakref.WeakSet()
        self._at_once = anyio.CapacityLimiter(AT_ONCE)
        self._retired = anyio.Event()
        self._connected_before = False

    def __repr__(self) -> str:
        return f"<Node {self.endpoint}>"

    async def connection(self) -> BaseConnection:
        """The shared connection, made (again) if need be. Raises one of `TRANSIENT`."""
        while self._connection is None or not self._connection.usable:
            self._connection = await self._attempts.get()
        return self._connection

    async def open(self) -> BaseConnection:
        """Another connection, for its caller alone. Raises one of `TRANSIENT`."""
        await self.connection()
        async with self._at_once:
            connection = await self._open()
        self._others.add(connection)
        if self._retired.is_set():
            connection.invalidate("retired")
        return connection

    def drop(self) -> None:
        """Close the shared connection; the next command makes another."""
        if self._connection is not None:
            self._connection.invalidate("dropped")
            self._connection = None

    def retire(self) -> None:
        """Close every connection, and make no other: the server has been replaced."""
        self._retired.set()
        self.drop()
        for connection in list(self._others):
            connection.invalidate("the server was replaced")

    async def _connect(self) -> BaseConnection:
        try:
            connection = await self._open()
        except TRANSIENT:
            self._absent()
            raise
        if self._connected_before:
            self._connector.telemetry.reconnected()
        self._connected_before = True
        return connection

    async def _open(self) -> BaseConnection:
        if self._retired.is_set():
            raise NotReady(f"{self.endpoint} has been replaced by another server")
        opened = await self._connector.open(
            self.endpoint, to_sentinel=self._to_sentinel, replica=self._replica
        )
        self.name, self.release, self.version = opened.name, opened.release, opened.version
        return opened.connection
