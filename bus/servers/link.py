"""The link to Redis: commands, scripts and connections, whatever stands behind the URL.

Behind it is one server, the primary that sentinels name, or a Cluster. What uses the link does not
see which, as long as it keeps to one rule: **everything says which key it is about.**

- `run(script, keys)` goes where `keys[0]` is, so a script has a key, and all its keys share a slot
  (the braces in `keys.py`).
- `call(command, ...)` finds the key by the command's name; commands about a server (`PING`,
  `CONFIG`) go to any. Where that is not meant (`WAIT` behind a write), name it: `key=`. What every
  server is to be asked goes through `everywhere`.
- `dedicated(key)` and `open_connection(key)` connect to where the key is now: a connection serves
  one key, or several of one slot. Is the key elsewhere later, `ask` closes the connection and
  raises one of `TRANSIENT`, and the next connection is made to the right place. None is for what
  is about no key.
- Channels: `Bus.publish` and `Bus.subscriber` know; a script that wakes somebody uses `PUBLISH`,
  which a Cluster carries to all its nodes (`shards.py`).

What passes by itself (`TRANSIENT`: broken connections, failovers, a server that loads, slots that
move) is for `retrying`, or for a loop that catches `AWAY`.
"""

import logging
import math
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus
from coredis.connection import BaseConnection
from coredis.exceptions import AskError, NoScriptError, RedisError

from bus.errors import BusUnavailable, ServerRefused
from bus.scope import background

from .address import Address, parse_url
from .cluster import Cluster
from .connector import Connector, reply
from .faults import AWAY, REDIRECTED, TRANSIENT, absence_remedy, backoff, reason
from .node import Node
from .route import Destination, Direct, Route
from .script import Argument, Arguments, Script
from .sentinel import Sentinels
from .slots import Key, key_of

__all__ = ["AWAY", "TRANSIENT", "Link", "backoff"]

T = TypeVar("T")
log = logging.getLogger("argentbus.link")

#: Redirections that one command follows before it counts as failed, and is tried again later.
MOST_REDIRECTIONS: Final = 5


class Link:
    """Commands to Redis, over connections that are made again when they break.

    Args:
        address: Where it is.
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
        self.reply_timeout = reply_timeout
        self._connector = Connector(self.address, connect_timeout, reply_timeout)
        self._destinations: weakref.WeakKeyDictionary[BaseConnection, Destination] = (
            weakref.WeakKeyDictionary()
        )
        self._route: Route
        #: Whether channels belong to slots (`SPUBLISH`): on a Cluster of Redis 7 or newer.
        self.sharded = False

    @asynccontextmanager
    async def open(self) -> "AsyncGenerator[Link]":
        """Connect, check the server, and keep the connections until the context ends.

        Raises:
            BusUnavailable: no connection could be made.
            UnsupportedServer: the server is older than Redis 6.2, or is not what the URL says.
            ServerRefused: the server wants another user or password.
            BusError: a file that the URL names for TLS cannot be used.
        """
        async with _shielded() as tasks:
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

    # one command

    async def connection(self, key: Key | None) -> BaseConnection:
        """The shared connection to where `key` is. Raises one of `TRANSIENT`."""
        return await (await self.locate(key)).node.connection()

    async def call(
        self,
        command: str,
        *args: Argument,
        key: Key | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Send one command once; return its reply (`bytes`, numbers, lists).

        Raises one of `TRANSIENT` when the connection breaks: the command may have been carried out.

        Args:
            key: What it is about, where its arguments do not tell.
            timeout: Seconds to wait for the reply.

        Raises:
            ServerRefused: the server answered with an error.
        """
        return await self._call(
            key_of(command, args) if key is None else key, command.encode(), *args, timeout=timeout
        )

    async def everywhere(self, command: str, *args: Argument) -> list[Any]:
        """Send one command to every server that takes writes; return their replies.

        Raises as `call` does, where one of them fails.
        """
        replies = []
        for node in await self._nodes():
            try:
                connection = await node.connection()
                replies.append(
                    await reply(connection, command.encode(), *args, timeout=self.reply_timeout)
                )
            except TRANSIENT:
                raise
            except RedisError as error:
                raise self.refused(error) from error
        return replies

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
        key = keys[0] if isinstance(keys[0], bytes) else str(keys[0])
        try:
            return await self._routed(key, b"EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self._call(key, b"EVAL", script.text, len(keys), *keys, *args)
        except TRANSIENT:
            raise
        except RedisError as error:
            raise self.refused(error) from error

    async def _call(
        self, key: Key | None, command: bytes, *args: Argument, timeout: float | None = None
    ) -> Any:
        try:
            return await self._routed(key, command, *args, timeout=timeout)
        except TRANSIENT:
            raise
        except RedisError as error:
            raise self.refused(error) from error

    async def _routed(
        self, key: Key | None, command: bytes, *args: Argument, timeout: float | None = None
    ) -> Any:
        """Send a command to where its key is, and on where a node says it is elsewhere."""
        node, asking = await self.locate(key)
        redirections = 0
        while True:
            connection = await node.connection()
            try:
                return await reply(
                    connection, command, *args, timeout=timeout or self.reply_timeout, asking=asking
                )
            except REDIRECTED as error:
                redirections += 1
                if redirections > MOST_REDIRECTIONS:
                    raise
                node, asking = self._route.redirected(error, node, key)

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
        return self._connector.refused(error)

    def _unavailable(self, error: BaseException) -> BusUnavailable:
        return BusUnavailable(
            f"cannot reach Redis at {self.address} ({reason(error)}): "
            f"{absence_remedy(error, self.address.tls)}"
        )

    # connections

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

    async def _nodes(self) -> list[Node]:
        self._connector.running()
        return await self._route.nodes()


def _route(connector: Connector) -> Route:
    kinds: dict[str, Callable[[Connector], Route]] = {"cluster": Cluster, "sentinel": Sentinels}
    return kinds.get(connector.address.kind, Direct)(connector)


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
