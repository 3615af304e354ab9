"""Connections to wherever the keys are: one server, the primary of sentinels, or a Cluster."""

import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from anyio.abc import TaskGroup
from coredis.connection import BaseConnection
from coredis.exceptions import AskError, RedisError

from bus.errors import BusUnavailable, ServerRefused, WrongType
from bus.keytypes import kin, type_of
from bus.scope import shielded
from bus.telemetry import SILENT, Telemetry
from bus.telemetry.journal import Journal

from .address import Address, parse_url
from .cluster import Cluster
from .connector import Connector, reply
from .faults import REDIRECTED, TRANSIENT, absence_remedy, is_wrong_type, reason
from .node import Node
from .route import Destination, Direct, Route
from .script import Argument
from .sentinel import Sentinels
from .slots import Key, key_of

log = Journal("argentbus.link")


class Connections:
    """What a `Link` sends its commands over: see there.

    Args:
        address: Where the server is.
        patience: Seconds for which `Link.retrying` goes on trying over a broken connection.
        connect_timeout: Seconds that one attempt to connect may take.
        reply_timeout: Seconds to wait for a reply before the connection counts as dead.
        telemetry: Told of what goes on.
    """

    def __init__(
        self,
        address: Address | str,
        *,
        patience: float = 30.0,
        connect_timeout: float = 5.0,
        reply_timeout: float = 10.0,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self.address = parse_url(address) if isinstance(address, str) else address
        self.patience = patience
        self.reply_timeout = reply_timeout
        self.telemetry = telemetry
        self._connector = Connector(self.address, connect_timeout, reply_timeout, telemetry)
        self._destinations: weakref.WeakKeyDictionary[BaseConnection, Destination] = (
            weakref.WeakKeyDictionary()
        )
        self._route: Route
        #: Whether channels belong to slots (`SPUBLISH`): on a Cluster of Redis 7 or newer.
        self.sharded = False

    @asynccontextmanager
    async def open(self) -> "AsyncGenerator[Self]":
        """Connect, check the server, and keep the connections until the context ends.

        Raises:
            BusUnavailable: no connection could be made.
            UnsupportedServer: the server is older than Redis 6.2, or is not what the URL says.
            ServerRefused: the server wants another user or password.
            BusError: a file that the URL names for TLS cannot be used.
        """
        async with shielded() as tasks:
            self._connector.tasks = tasks
            self._route = _route(self._connector)
            try:
                try:
                    await self._route.start()
                except TRANSIENT as error:
                    raise self._unavailable(error) from error
                # Everybody has to come to the same answer: the nodes should be of one version.
                self.sharded = self.cluster is not None and self.server_version >= (7,)
                tasks.start_soon(self._route.watch)
                yield self
            finally:
                self._connector.tasks = None

    # what is there

    @property
    def server_version(self) -> tuple[int, ...]:
        """The Redis whose commands all servers have: the oldest of those that are known.

        For Valkey it is 7.2.4, from which it comes: its own numbers promise other commands.
        """
        return min((node.version for node in self._route.known() if node.version), default=())

    @property
    def server_release(self) -> str:
        """Version of the (oldest) server as it calls itself, such as `8.2.3` or `valkey 8.0.1`."""
        known = [node for node in self._route.known() if node.version]
        if not known:
            return ""
        oldest = min(known, key=lambda node: node.version)
        return f"valkey {oldest.release}" if oldest.name == "valkey" else oldest.release

    @property
    def cluster(self) -> Cluster | None:
        """The Cluster behind the URL, or None where it is none."""
        return self._route if isinstance(self._route, Cluster) else None

    @property
    def tasks(self) -> TaskGroup:
        """Tasks that end with the link, and not when those who use it are cancelled."""
        return self._connector.running()

    async def connection(self, key: Key | None) -> BaseConnection:
        """The shared connection to where `key` is. Raises one of `TRANSIENT`."""
        return await (await self.locate(key)).node.connection()

    # connections of one's own

    @asynccontextmanager
    async def dedicated(self, key: Key | None) -> AsyncGenerator[BaseConnection]:
        """A connection of one's own to where `key` is, for commands that block.

        None is for what is about no key. Raises one of `TRANSIENT` when it cannot be made.
        """
        connection = await self.open_connection(key)
        try:
            yield connection
        finally:
            connection.invalidate("done with it")

    async def open_connection(self, key: Key | None) -> BaseConnection:
        """Like `dedicated`, for a holder that keeps it until it breaks or the link ends."""
        destination = (self._route.on_its_way(key) if key else None) or await self.locate(key)
        return await self.open_at(destination)

    async def open_at(self, destination: Destination) -> BaseConnection:
        """A connection of one's own to a certain server. Raises one of `TRANSIENT`."""
        connection = await destination.node.open()
        self._destinations[connection] = destination
        return connection

    def learn(self, error: AskError, connection: BaseConnection, key: Key | None = None) -> None:
        """Note what a node said, on a connection of one's own, about where something is."""
        destination = self._destinations.get(connection)
        if destination is not None:
            self._route.redirected(error, destination.node, key)

    def drop(self) -> None:
        """Close the shared connections; the next commands make others."""
        for node in self._route.known():
            node.drop()

    async def locate(self, key: Key | None) -> Destination:
        """The server that has `key`. Raises one of `TRANSIENT`."""
        self._connector.running()
        return await self._route.locate(key)

    async def _nodes(self, *, replicas: bool = False) -> list[Node]:
        self._connector.running()
        return await self._route.nodes() + (await self._route.replicas() if replicas else [])

    async def ask(
        self,
        connection: BaseConnection,
        command: bytes,
        *args: Argument,
        timeout: float | None = None,
        blocking: bool = False,
    ) -> Any:
        """Send a command on a connection of one's own and await its reply.

        A connection that stays silent for `timeout` seconds is given up: what it would answer later
        could not be told from the answer to something else. Where the command is `blocking`,
        cancelling the wait closes the connection: the server would otherwise go on waiting on our
        behalf.

        Raises one of `TRANSIENT` when the connection breaks, or the key is elsewhere by now.

        Raises:
            ServerRefused: the server answered with an error.
        """
        destination = self._destinations.get(connection)
        try:
            return await reply(
                connection,
                command,
                *args,
                timeout=timeout or self.reply_timeout,
                blocking=blocking,
                asking=destination is not None and destination.asking,
            )
        except REDIRECTED as error:
            self.learn(error, connection, key_of(command.decode(), args))
            connection.invalidate("its key is elsewhere")
            raise
        except TRANSIENT:
            raise
        except RedisError as error:
            keys = [key_of(command.decode(), args)]
            raise await self._refusal(error, keys) from error

    async def _refusal(self, error: RedisError, keys: Sequence[Argument | None]) -> ServerRefused:
        """The error to raise where the server answered with one, about some of `keys`."""
        if not is_wrong_type(error):
            return self.refused(error)
        given = [
            key.decode(errors="replace") if isinstance(key, bytes) else str(key)
            for key in keys
            if key is not None
        ]
        for name in dict.fromkeys([*given, *(other for one in given for other in kin(one))]):
            wanted = type_of(name)
            if wanted is None:
                continue
            try:
                connection = await self.connection(name)
                found = await reply(connection, b"TYPE", name, timeout=self.reply_timeout)
            except (RedisError, *TRANSIENT) as unknown:
                log.debug("the type of a key is not known", key=name, error=unknown)
                break
            found = found.decode() if isinstance(found, bytes) else str(found)
            if found not in ("none", wanted):
                return WrongType(str(self.address), name, found, wanted)
        return self.refused(error)

    def refused(self, error: RedisError) -> ServerRefused:
        """The error to raise where the server answered with one."""
        return self._connector.refused(error)

    def _unavailable(self, error: BaseException) -> BusUnavailable:
        return BusUnavailable(
            f"cannot reach Redis at {self.address} ({reason(error)}): "
            f"{absence_remedy(error, self.address.tls)}"
        )


def _route(connector: Connector) -> Route:
    kinds: dict[str, Callable[[Connector], Route]] = {"cluster": Cluster, "sentinel": Sentinels}
    return kinds.get(connector.address.kind, Direct)(connector)
