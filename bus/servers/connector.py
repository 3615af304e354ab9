"""Making connections: the driver's, opened and checked, with errors that say what to do.

coredis brings the protocol, TLS and the multiplexing of one connection. Its pools, its clients for
Sentinel and Cluster and its retries are left out on purpose: the pool of 6.9 loses a slot for good
with every connection that dies while it is leased, so that a process that blocks on streams stands
still after some restarts of Redis; and what may be repeated safely is known here, not in a driver.
"""

import logging
import ssl
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from coredis.connection import (
    BaseConnection,
    TCPConnection,
    TCPLocation,
    UnixDomainSocketConnection,
    UnixDomainSocketLocation,
)
from coredis.exceptions import (
    ConnectionError,  # noqa: A004 (the driver's name for it)
    InvalidResponse,
    RedisError,
    ResponseError,
    UnknownCommandError,
)

from bus.errors import BusUnavailable, ServerFull, ServerRefused, UnsupportedServer
from bus.telemetry import SILENT, Telemetry

from .address import Address, Endpoint
from .faults import BROKE_OFF, DEMOTED, TRANSIENT, NotReady, is_full, passing, refusal_remedy
from .script import Argument

# The driver logs every failed attempt to connect with its traceback; the bus reports them itself.
logging.getLogger("coredis").addFilter(
    lambda record: record.msg != "Connection attempt failed unexpectedly!"
)

OLDEST: Final = (6, 2)

#: The Redis whose commands every Valkey has. Its own numbers go on from there differently.
VALKEY_IS: Final = (7, 2, 4)


@dataclass(frozen=True)
class Opened:
    """A connection, and what its server said of itself.

    Attributes:
        name: `redis` or `valkey`.
        release: Its own version number.
        version: The version of Redis whose commands it has.
        mode: `standalone`, `cluster` or `sentinel`.
        role: `master` or `replica`; empty for a sentinel.
    """

    connection: BaseConnection
    name: str
    release: str
    version: tuple[int, ...]
    mode: str
    role: str


class Connector:
    """Opens connections to the servers of one address.

    Args:
        connect_timeout: Seconds that one attempt may take.
        reply_timeout: Seconds to wait for a reply before a connection counts as dead.
    """

    def __init__(
        self,
        address: Address,
        connect_timeout: float,
        reply_timeout: float,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self.address = address
        self.telemetry = telemetry
        self.connect_timeout = connect_timeout
        self.reply_timeout = reply_timeout
        #: Where the connections and the tasks of the link live; None while it is closed.
        self.tasks: TaskGroup | None = None
        self._ssl: ssl.SSLContext | None = None

    def running(self) -> TaskGroup:
        """The link's tasks.

        Raises:
            BusUnavailable: the link is closed.
        """
        if self.tasks is None:
            raise BusUnavailable("the bus is closed: use it inside `async with Bus.connect()`")
        return self.tasks

    async def open(
        self, endpoint: Endpoint, *, to_sentinel: bool = False, replica: bool = False
    ) -> Opened:
        """Connect to `endpoint`. Raises one of `TRANSIENT` when that fails.

        Raises:
            UnsupportedServer: what listens there is not a server that the bus can use.
            ServerRefused: it wants another user or password.
        """
        try:
            opened = await self._checked(await self._started(endpoint, to_sentinel))
        except UnknownCommandError as error:
            raise self._too_old(endpoint, "one that does not know HELLO") from error
        except ResponseError as error:
            error_now = passing(error)
            if isinstance(error_now, TRANSIENT):
                raise error_now from error
            raise self.refused(error) from error
        except InvalidResponse as error:
            raise UnsupportedServer(
                f"what answers at {self._where(endpoint)} does not speak Redis's protocol: is it "
                "another program's port?"
            ) from error
        try:
            self._check(opened, endpoint, to_sentinel, replica)
        except BaseException:
            opened.connection.invalidate("not of use")
            raise
        return opened

    async def _started(self, endpoint: Endpoint, to_sentinel: bool) -> BaseConnection:
        tasks = self.running()
        connection = self._new(endpoint, to_sentinel)
        scope = anyio.CancelScope(deadline=anyio.current_time() + self.connect_timeout)
        try:
            with scope:
                await tasks.start(connection.run)
        except BaseException as error:
            _close_buffers(connection)
            # The files may have been mended since.
            self._ssl = None
            # The driver turns being cancelled into errors of many kinds.
            if scope.cancel_called and isinstance(error, Exception):
                raise TimeoutError(f"no answer within {self.connect_timeout:g} s") from None
            if isinstance(error, ConnectionError) and str(error).startswith("Connection lost"):
                raise ConnectionError(BROKE_OFF) from error
            raise
        if scope.cancelled_caught:
            _close_buffers(connection)
            raise TimeoutError(f"no answer within {self.connect_timeout:g} s")
        return connection

    async def _checked(self, connection: BaseConnection) -> Opened:
        # The driver greets, but keeps little of the answer.
        try:
            said = await reply(connection, b"HELLO", timeout=self.connect_timeout)
        except BaseException:
            connection.invalidate("no greeting")
            raise
        if not isinstance(said, dict):
            said = dict(zip(said[::2], said[1::2], strict=False))
        facts = {key: str(_text(said.get(key.encode(), b""))) for key in _FACTS}
        release = facts["version"] or connection.server_version or "0"
        version = tuple(int(n) for n in release.split(".") if n.isdigit())
        if facts["server"] == "valkey":
            version = VALKEY_IS
        return Opened(connection, facts["server"], release, version, facts["mode"], facts["role"])

    def _check(self, opened: Opened, endpoint: Endpoint, to_sentinel: bool, replica: bool) -> None:
        where = self._where(endpoint)
        if opened.version < OLDEST:
            raise self._too_old(endpoint, opened.release)
        if to_sentinel != (opened.mode == "sentinel"):
            raise UnsupportedServer(
                f"{where} is not a sentinel: name the sentinels in redis+sentinel://"
                if to_sentinel
                else f"{where} is a sentinel: write redis+sentinel://host:port/service"
            )
        kind = self.address.kind
        if kind != "cluster" and opened.mode == "cluster":
            raise UnsupportedServer(
                f"{where} is a node of a Cluster: write redis+cluster://host:port (with TLS "
                "rediss+cluster://)"
            )
        if kind == "cluster" and opened.mode == "standalone":
            raise UnsupportedServer(f"{where} is not a node of a Cluster: write redis://host:port")
        primary = to_sentinel or replica or opened.role == "master"
        if kind == "sentinel" and not primary:
            raise NotReady(f"{endpoint}, named by a sentinel, is not the primary (any more)")

    def refused(self, error: RedisError) -> ServerRefused:
        """The error to raise where the server answered with one."""
        kind = ServerFull if is_full(error) else ServerRefused
        return kind(f"Redis at {self.address} refused: {error}{refusal_remedy(error)}")

    def _where(self, endpoint: Endpoint) -> str:
        return str(self.address if self.address.kind == "server" else endpoint)

    def _too_old(self, endpoint: Endpoint, version: str) -> UnsupportedServer:
        return UnsupportedServer(
            f"the server at {self._where(endpoint)} is {version}: argentbus needs Redis 6.2 or "
            "newer, or Valkey 8 (`argentbus up` starts one of its own)"
        )

    def _new(self, endpoint: Endpoint, to_sentinel: bool) -> BaseConnection:
        address = self.address
        common: dict[str, Any] = {"connect_timeout": self.connect_timeout}
        if to_sentinel:
            common |= {
                "username": address.sentinel_username,
                "password": address.sentinel_password,
            }
        else:
            common |= {
                "username": address.username,
                "password": address.password,
                "db": address.db,
            }
        if endpoint.path:
            return UnixDomainSocketConnection(UnixDomainSocketLocation(endpoint.path), **common)
        if address.tls is not None:
            # Reading the system's authorities takes a while: once is enough.
            self._ssl = self._ssl or address.tls.context()
            common["ssl_context"] = self._ssl
        return TCPConnection(TCPLocation(endpoint.host, endpoint.port), **common)


_FACTS: Final = ("server", "version", "mode", "role")


def _text(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _close_buffers(connection: BaseConnection) -> None:
    """Close what a connection that never came about leaves open (coredis 6.9 does not)."""
    for name in ("_write_buffer", "_push_message_buffer", "_streamed_message_buffer"):
        for end in ("_in", "_out"):
            getattr(connection, name + end).close()


async def reply(
    connection: BaseConnection,
    command: bytes,
    *args: Argument,
    timeout: float,
    blocking: bool = False,
    asking: bool = False,
) -> Any:
    """Send one command on `connection`; return its reply, or raise the driver's error.

    Args:
        timeout: Seconds of silence after which the connection is given up: what it would answer
            later could not be told from the answer to something else.
        blocking: Whether cancelling the wait closes the connection: the server would otherwise go
            on waiting on our behalf.
        asking: Whether the key is on its way to that server (`ASK`).
    """
    try:
        if asking:
            # Both are queued before anything else can be: the server reads them back to back.
            connection.create_request(b"ASKING", timeout=timeout)
        return await connection.create_request(
            command, *args, timeout=timeout, disconnect_on_cancellation=blocking
        )
    except TimeoutError:
        connection.invalidate("no reply in time")
        raise
    except anyio.EndOfStream as error:
        # What the driver is told where TLS ends while it sends, and passes on as it is.
        raise ConnectionError("it broke off") from error
    except ResponseError as error:
        error_now = passing(error)
        if isinstance(error_now, DEMOTED):
            connection.invalidate("another server is the primary now")
        if error_now is error:
            raise
        raise error_now from error
