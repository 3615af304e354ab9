"""The link to one Redis: a shared connection for commands, others for what blocks.

coredis brings the protocol, TLS and the multiplexing of one connection. Its pool and its retries
are left out on purpose: the pool of 6.9 loses a slot for good with every connection that dies while
it is leased, so that a process that blocks on streams stands still after some restarts of Redis;
and what may be repeated safely is known here, not in a driver.
"""

import logging
import math
import random
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus
from coredis.connection import (
    BaseConnection,
    TCPConnection,
    TCPLocation,
    UnixDomainSocketConnection,
    UnixDomainSocketLocation,
)
from coredis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 (the driver's name for it)
    InvalidResponse,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
    UnknownCommandError,
)

from .address import Address, parse_url
from .errors import BusUnavailable, ServerFull, ServerRefused, UnsupportedServer
from .scope import background
from .script import Argument, Arguments, Script

T = TypeVar("T")
log = logging.getLogger("argentbus.link")

# The driver logs every failed attempt to connect with its traceback; the bus reports them itself.
logging.getLogger("coredis").addFilter(
    lambda record: record.msg != "Connection attempt failed unexpectedly!"
)

OLDEST: Final = (6, 2)

#: Faults that pass: worth trying again, for as long as the caller is patient.
TRANSIENT: Final = (
    ConnectionError,
    TimeoutError,
    OSError,
    ReadOnlyError,
    TryAgainError,
    ClusterDownError,
)


#: What a loop that never gives up goes on from: `TRANSIENT`, and the end of somebody's patience.
AWAY: Final = (*TRANSIENT, BusUnavailable)


class _Attempt:
    """One attempt to open the shared connection, awaited by everybody who needs it."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.error: Exception | None = None


class Link:
    """Commands to one Redis server, over connections that are made again when they break.

    Args:
        address: Where the server is.
        patience: Seconds for which `run` and `retrying` go on trying over a broken connection.
        connect_timeout: Seconds that one attempt to connect may take.
        reply_timeout: Seconds to wait for a reply before the connection counts as dead.
    """

    def __init__(
        self,
        address: Address | str,
        *,
        patience: float = 30.0,
        connect_timeout: float = 5.0,
        reply_timeout: float = 10.0,
    ) -> None:
        self.address = parse_url(address) if isinstance(address, str) else address
        self.patience = patience
        self.connect_timeout = connect_timeout
        self.reply_timeout = reply_timeout
        self.server_version: tuple[int, ...] = ()
        self._shared: BaseConnection | None = None
        self._attempt: _Attempt | None = None
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> "AsyncGenerator[Link]":
        """Connect, check the server, and keep the connections until the context ends.

        Raises:
            BusUnavailable: no connection could be made.
            UnsupportedServer: the server is older than Redis 6.2.
            ServerRefused: the server wants another user or password.
        """
        async with _shielded() as tasks:
            self._tasks = tasks
            try:
                try:
                    await self.connection()
                except TRANSIENT as error:
                    raise self._unavailable(error) from error
                yield self
            finally:
                self._tasks = None

    # one command

    async def connection(self) -> BaseConnection:
        """The shared connection, made (again) if need be. Raises one of `TRANSIENT`."""
        while self._shared is None or not self._shared.usable:
            if self._attempt is None:
                if self._tasks is None:
                    raise _closed()
                self._attempt = _Attempt()
                self._tasks.start_soon(self._connect, self._attempt)
            attempt = self._attempt
            await attempt.done.wait()
            if attempt.error is not None:
                raise attempt.error
        return self._shared

    async def call(self, command: str, *args: Argument, timeout: float | None = None) -> Any:
        """Send one command once; return its reply (`bytes`, numbers, lists).

        Raises one of `TRANSIENT` when the connection breaks: the command may have been carried out.

        Raises:
            ServerRefused: the server answered with an error.
        """
        connection = await self.connection()
        return await self.ask(connection, command.encode(), *args, timeout=timeout)

    async def run(self, script: Script, keys: Arguments, args: Arguments = ()) -> Any:
        """Run a script that may safely be repeated, again and again while the connection breaks.

        Raises:
            BusUnavailable: it did not succeed within the bus's patience.
            ServerRefused: the server answered with an error.
        """
        return await self.retrying(lambda: self.run_once(script, keys, args))

    async def run_once(self, script: Script, keys: Arguments, args: Arguments = ()) -> Any:
        """Run a script once. Raises one of `TRANSIENT` when the connection breaks.

        Raises:
            ServerRefused: the server answered with an error.
        """
        connection = await self.connection()
        try:
            return await _reply(
                connection,
                b"EVALSHA",
                script.sha,
                len(keys),
                *keys,
                *args,
                timeout=self.reply_timeout,
            )
        except NoScriptError:
            return await self.ask(connection, b"EVAL", script.text, len(keys), *keys, *args)
        except TRANSIENT:
            raise
        except RedisError as error:
            raise self.refused(error) from error

    async def ask(
        self,
        connection: BaseConnection,
        command: bytes,
        *args: Argument,
        timeout: float | None = None,
        blocking: bool = False,
    ) -> Any:
        """Send a command on `connection` and await its reply.

        A connection that stays silent for `timeout` seconds is given up: what it would answer later
        could not be told from the answer to something else. Where the command is `blocking`,
        cancelling the wait closes the connection: the server would otherwise go on waiting on our
        behalf.

        Raises one of `TRANSIENT` when the connection breaks.

        Raises:
            ServerRefused: the server answered with an error.
        """
        try:
            return await _reply(
                connection, command, *args, timeout=timeout or self.reply_timeout, blocking=blocking
            )
        except TRANSIENT:
            raise
        except RedisError as error:
            raise self.refused(error) from error

    # trying again

    async def retrying(
        self, operation: Callable[[], Awaitable[T]], *, patience: float | None = None
    ) -> T:
        """Await `operation()` until it succeeds, for at most `patience` seconds of broken link."""
        give_up = math.inf
        delays = backoff()
        while True:
            try:
                return await operation()
            except TRANSIENT as error:
                now = anyio.current_time()
                if give_up == math.inf:
                    give_up = now + (self.patience if patience is None else patience)
                delay = next(delays)
                if now + delay > give_up:
                    raise self._unavailable(error) from error
                await anyio.sleep(delay)

    def refused(self, error: RedisError) -> ServerRefused:
        """The error to raise where the server answered with one."""
        kind = ServerFull if _is_full(str(error)) else ServerRefused
        return kind(f"Redis at {self.address} refused: {error}{_remedy(error)}")

    def _unavailable(self, error: BaseException) -> BusUnavailable:
        reason = error.__cause__ or error
        text = str(reason) or reason.__class__.__name__
        return BusUnavailable(
            f"cannot reach Redis at {self.address} ({text}): start it there, or say where it is "
            "(ARGENTBUS_REDIS_URL, --redis-url)"
        )

    # connections

    @asynccontextmanager
    async def dedicated(self) -> AsyncGenerator[BaseConnection]:
        """A connection of one's own, for commands that block and for subscriptions.

        Raises one of `TRANSIENT` when it cannot be made.
        """
        connection = await self.open_connection()
        try:
            yield connection
        finally:
            connection.invalidate("done with it")

    def drop(self) -> None:
        """Close the shared connection; the next command makes another."""
        if self._shared is not None:
            self._shared.invalidate("dropped")
            self._shared = None

    async def _connect(self, attempt: _Attempt) -> None:
        try:
            self._shared = await self.open_connection()
        except Exception as error:  # noqa: BLE001 (handed to everybody who waits for it)
            attempt.error = error
        except BaseException:
            attempt.error = _closed()
            raise
        finally:
            self._attempt = None
            attempt.done.set()

    async def _start_connection(self) -> BaseConnection:
        if self._tasks is None:
            raise _closed()
        connection = self._new_connection()
        scope = anyio.CancelScope(deadline=anyio.current_time() + self.connect_timeout)
        try:
            with scope:
                await self._tasks.start(connection.run)
        except BaseException as error:
            _close_buffers(connection)
            # The driver turns being cancelled into errors of many kinds.
            if scope.cancel_called and isinstance(error, Exception):
                raise TimeoutError(f"no answer within {self.connect_timeout:g} s") from None
            raise
        if scope.cancelled_caught:
            _close_buffers(connection)
            raise TimeoutError(f"no answer within {self.connect_timeout:g} s")
        return connection

    async def open_connection(self) -> BaseConnection:
        """Like `dedicated`, for a holder that keeps it until it breaks or the link ends."""
        try:
            connection = await self._start_connection()
        except UnknownCommandError as error:
            raise self._too_old("one that does not know HELLO") from error
        except (AuthenticationError, AuthorizationError) as error:
            raise self.refused(error) from error
        except ResponseError as error:
            raise self.refused(error) from error
        except InvalidResponse as error:
            raise UnsupportedServer(
                f"what answers at {self.address} does not speak Redis's protocol: is it another "
                "program's port?"
            ) from error
        version = connection.server_version or "0"
        self.server_version = tuple(int(n) for n in version.split(".") if n.isdigit())
        if self.server_version < OLDEST:
            connection.invalidate("too old")
            raise self._too_old(version)
        return connection

    def _too_old(self, version: str) -> UnsupportedServer:
        return UnsupportedServer(
            f"the server at {self.address} is {version}: argentbus needs Redis 6.2 or newer, "
            "or Valkey 8 (`argentbus up` starts one of its own)"
        )

    def _new_connection(self) -> BaseConnection:
        address = self.address
        common: dict[str, Any] = {
            "username": address.username,
            "password": address.password,
            "db": address.db,
            "connect_timeout": self.connect_timeout,
        }
        if address.path:
            return UnixDomainSocketConnection(UnixDomainSocketLocation(address.path), **common)
        if address.tls:
            common["ssl_context"] = ssl.create_default_context()
        return TCPConnection(TCPLocation(address.host, address.port), **common)


def _closed() -> BusUnavailable:
    return BusUnavailable("the bus is closed: use it inside `async with Bus.connect()`")


@asynccontextmanager
async def _shielded() -> AsyncGenerator[TaskGroup]:
    """Tasks that end with the block, and not before: not when the block is cancelled, either.

    Whoever leaves a cancelled block has things to say over the connections: that an agent has left,
    a lock is free, a delivery goes back.
    """
    over = anyio.Event()

    async def keep(*, task_status: TaskStatus[TaskGroup]) -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                task_status.started(tasks)
                await over.wait()
                tasks.cancel_scope.cancel()

    async with background() as keeper:
        tasks = await keeper.start(keep)
        try:
            yield tasks
        finally:
            over.set()


def _close_buffers(connection: BaseConnection) -> None:
    """Close what a connection that never came about leaves open (coredis 6.9 does not)."""
    for name in ("_write_buffer", "_push_message_buffer", "_streamed_message_buffer"):
        for end in ("_in", "_out"):
            getattr(connection, name + end).close()


async def _reply(
    connection: BaseConnection,
    command: bytes,
    *args: Argument,
    timeout: float,
    blocking: bool = False,
) -> Any:
    try:
        return await connection.create_request(
            command, *args, timeout=timeout, disconnect_on_cancellation=blocking
        )
    except TimeoutError:
        connection.invalidate("no reply in time")
        raise


def backoff(first: float = 0.02, most: float = 1.0) -> Iterator[float]:
    """Endless delays in seconds: doubling from `first` to `most`, each with up to half jitter."""
    delay = first
    while True:
        yield delay * random.uniform(0.5, 1.0)  # noqa: S311 (spreads retries, guards nothing)
        delay = min(most, delay * 2)


def _is_full(text: str) -> bool:
    return any(word in text for word in ("OOM", "maxmemory", "MISCONF", "No space"))


def _remedy(error: RedisError) -> str:
    text = str(error)
    if "OOM" in text or "maxmemory" in text:
        return " (raise its maxmemory, or consume what waits in its queues)"
    if "MISCONF" in text or "No space" in text:
        return " (its disk is full or cannot be written: nothing new is accepted until it can)"
    if isinstance(error, AuthenticationError | AuthorizationError) or "NOPERM" in text:
        return " (check the user and password in the URL, and what that user may do)"
    return ""
