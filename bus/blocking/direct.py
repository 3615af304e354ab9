"""Commands straight from the calling thread to one Redis, by redis-py.

Only what needs nothing in the background goes this way, to one server without TLS: elsewhere the
portal is used. redis-py's connections are used without its client and its pool: the pool raises
when many threads ask at once, and the client repeats commands that must not be. Nothing here
blocks at the server, so the socket's timeout is the bus's for a reply.
"""

import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import coredis.exceptions as faults
import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, UnixDomainSocketConnection
from redis.retry import Retry

from bus.errors import BusUnavailable
from bus.servers.address import Address
from bus.servers.connector import Connector
from bus.servers.faults import TRANSIENT, UNDONE, absence_remedy, backoff, passing, reason
from bus.servers.script import Arguments, Script

T = TypeVar("T")

# They are not typed.
_Connection: Any = Connection
_SocketConnection: Any = UnixDomainSocketConnection

#: Connections kept for the next command.
MOST_IDLE: Final = 32


class Direct:
    """Commands to one server, over as many connections as threads use at once.

    Args:
        patience: Seconds for which a command is tried again over a broken connection.
        connect_timeout: Seconds that one attempt to connect may take.
        reply_timeout: Seconds to wait for a reply before the connection counts as dead.
    """

    def __init__(
        self, address: Address, patience: float, connect_timeout: float, reply_timeout: float
    ) -> None:
        self._address = address
        self._patience = patience
        self._times = (connect_timeout, reply_timeout)
        # Only for the errors that it makes of a server's.
        self._connector = Connector(address, connect_timeout, reply_timeout)
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._closed = False

    @staticmethod
    def serves(address: Address) -> bool:
        """Whether a bus at `address` can have this."""
        return address.kind == "server" and address.tls is None

    def run(self, script: Script, keys: Arguments, args: Arguments) -> Any:
        """Run a script that may safely be repeated, while the connection breaks.

        Raises:
            BusUnavailable: it did not succeed within the bus's patience.
            ServerRefused: the server answered with an error.
        """

        def once() -> Any:
            connection = self._connection()
            try:
                said = self._ask(connection, b"EVALSHA", script.sha, len(keys), *keys, *args)
            except redis.exceptions.NoScriptError:
                said = self._ask(connection, b"EVAL", script.text, len(keys), *keys, *args)
            self._give_back(connection)
            return said

        return self._retrying(once)

    def publish(self, channel: str, message: bytes) -> int:
        """Publish once; return the number of receivers. See `Bus.publish` for errors."""

        def once() -> int:
            connection = self._connection()
            try:
                said = self._ask(connection, b"PUBLISH", channel, message)
            except (redis.RedisError, OSError) as error:
                fault = _fault(error)
                if isinstance(fault, TRANSIENT) and not isinstance(fault, UNDONE):
                    raise BusUnavailable(
                        f"the connection to Redis at {self._address} broke while a message was "
                        "being published: it may or may not have reached those who listen"
                    ) from error
                raise
            self._give_back(connection)
            return int(said)

        return self._retrying(once)

    def close(self) -> None:
        """Close the connections that nobody uses now, and keep no more."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.disconnect()

    def _retrying(self, once: Callable[[], T]) -> T:
        give_up = math.inf
        delays = backoff()
        while True:
            try:
                return once()
            except (redis.RedisError, OSError) as error:
                fault = _fault(error)
                if not isinstance(fault, TRANSIENT):
                    raise self._connector.refused(fault) from error
                now = time.monotonic()
                if give_up == math.inf:
                    give_up = now + self._patience
                delay = next(delays)
                if now + delay > give_up:
                    raise BusUnavailable(
                        f"cannot reach Redis at {self._address} ({reason(fault)}): "
                        f"{absence_remedy(fault, None)}"
                    ) from error
                time.sleep(delay)

    def _ask(self, connection: Any, *command: Any) -> Any:
        try:
            connection.send_command(*command)
            return connection.read_response()
        except redis.exceptions.NoScriptError:
            raise
        except redis.ResponseError:
            self._give_back(connection)
            raise
        except BaseException:
            # What it would answer later could not be told from the answer to something else.
            connection.disconnect()
            raise

    def _connection(self) -> Any:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._open()
            if _alive(connection):
                return connection
            connection.disconnect()

    def _open(self) -> Any:
        address, (connect_timeout, reply_timeout) = self._address, self._times
        endpoint = address.endpoints[0]
        common: dict[str, Any] = {
            "db": address.db,
            "username": address.username,
            "password": address.password,
            "socket_timeout": reply_timeout,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
        }
        connection: Any = (
            _SocketConnection(path=endpoint.path, **common)
            if endpoint.path
            else _Connection(
                host=endpoint.host,
                port=endpoint.port,
                socket_connect_timeout=connect_timeout,
                **common,
            )
        )
        try:
            connection.connect()
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            keep = not self._closed and len(self._idle) < MOST_IDLE
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.disconnect()


def _alive(connection: Any) -> bool:
    """Whether an idle connection is of use: nothing may have come on it, not even its end."""
    try:
        return connection.pid == os.getpid() and not connection.can_read(0)
    except (redis.RedisError, OSError):
        return False


def _fault(error: Exception) -> Any:
    """A fault of redis-py's as the one that it is in `faults`, with its cause."""
    text = str(error)
    made: Exception
    if isinstance(error, redis.exceptions.BusyLoadingError):
        made = faults.BusyLoadingError(text)
    elif isinstance(error, redis.exceptions.ReadOnlyError):
        made = faults.ReadOnlyError(text)
    elif isinstance(error, redis.exceptions.AuthenticationError):
        made = faults.AuthenticationError(text)
    elif isinstance(error, redis.exceptions.OutOfMemoryError):
        made = faults.ResponseError(f"OOM {text}")
    elif isinstance(error, redis.exceptions.NoPermissionError):
        made = faults.AuthorizationError(text)
    elif isinstance(error, redis.ResponseError):
        made = passing(faults.ResponseError(text))
    else:
        made = faults.ConnectionError(text)
    made.__cause__ = error.__cause__ or error.__context__
    return made
