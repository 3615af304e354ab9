"""All subscriptions of a bus, on one connection that is made again when it breaks."""

import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import anyio
from coredis.connection import BaseConnection
from coredis.exceptions import AskError, RedisError

from .errors import BusError
from .link import TRANSIENT, Link, backoff
from .node import Node
from .route import Destination

log = logging.getLogger("argentbus.subscriber")

#: Seconds of silence after which the connection is tried with a PING.
KEEPALIVE: Final = 10.0


class Sink(Protocol):
    """What receives the messages of a channel. Neither method may block."""

    def deliver(self, payload: bytes) -> None:
        """Take a message."""

    def gap(self) -> None:
        """Learn that messages may have been missed: the subscription was broken for a while."""


class Channel:
    """One channel, and whoever listens to it here."""

    __slots__ = ("confirmed", "sinks", "was_confirmed")

    def __init__(self) -> None:
        self.sinks: list[Sink] = []
        self.confirmed = anyio.Event()
        self.was_confirmed = False

    def unconfirm(self) -> None:
        """The subscription broke: who waits for its confirmation goes on waiting."""
        if self.confirmed.is_set():
            self.confirmed = anyio.Event()


class Subscriber:
    """Routes messages of channels to their sinks. `run` is a task of the bus.

    Args:
        node: Where the slots of all its (sharded) channels are. None: its channels are those that a
            Cluster carries to all nodes, and any will do.
    """

    def __init__(self, link: Link, node: Node | None = None) -> None:
        self._link = link
        self._node = node
        self._kind = b"" if node is None else b"s"
        self._channels: dict[bytes, Channel] = {}
        self._connection: BaseConnection | None = None
        self._wanted = anyio.Event()

    async def add(self, name: str, sink: Sink) -> None:
        """Subscribe `sink`; return when the server has confirmed it.

        Raises:
            BusUnavailable: it was not confirmed within the bus's patience.
            ServerRefused: the user of this bus may not read that channel.
        """
        key = name.encode()
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel()
            self._send(b"SUBSCRIBE", key)
        channel.sinks.append(sink)
        self._wanted.set()
        try:
            await self._link.retrying(lambda: self._confirmation(channel))
        except BaseException:
            self.remove(name, sink)
            raise

    def remove(self, name: str, sink: Sink) -> None:
        """Unsubscribe `sink`."""
        key = name.encode()
        channel = self._channels.get(key)
        if channel is None or sink not in channel.sinks:
            return
        channel.sinks.remove(sink)
        if not channel.sinks:
            del self._channels[key]
            self._send(b"UNSUBSCRIBE", key)

    def channels(self) -> list[bytes]:
        """Names of the channels that somebody listens to here."""
        return list(self._channels)

    def hand_over(self, name: bytes, to: "Subscriber") -> None:
        """Have `to` listen to the channel from now on; its sinks learn of the gap."""
        channel = self._channels.pop(name)
        self._send(b"UNSUBSCRIBE", name)
        channel.unconfirm()
        to._channels[name] = channel
        to._send(b"SUBSCRIBE", name)
        to._wanted.set()

    async def run(self) -> None:
        """Keep the connection, from the first subscription on, until cancelled."""
        await self._wanted.wait()
        delays = backoff()
        while True:
            try:
                async with self._connected() as connection:
                    self._connection = connection
                    if self._node is None and self._channels:
                        connection.send_command(b"SUBSCRIBE", *self._channels)
                    else:
                        for name in self._channels:
                            self._send(b"SUBSCRIBE", name)
                    delays = backoff()
                    await self._listen(connection)
            except TRANSIENT as error:
                log.debug("subscriptions interrupted: %r", error)
            except BusError as error:
                log.warning("subscriptions interrupted: %s", error)
            finally:
                self._connection = None
                for channel in self._channels.values():
                    channel.unconfirm()
            await anyio.sleep(next(delays))

    async def _confirmation(self, channel: Channel) -> None:
        with anyio.fail_after(self._link.reply_timeout):
            await channel.confirmed.wait()

    async def _listen(self, connection: BaseConnection) -> None:
        lost: list[Exception] = []
        async with anyio.create_task_group() as tasks:

            async def keepalive() -> None:
                try:
                    while True:
                        await anyio.sleep(KEEPALIVE)
                        await self._link.ask(connection, b"PING", timeout=KEEPALIVE)
                except (*TRANSIENT, BusError) as error:
                    lost.append(error)
                    tasks.cancel_scope.cancel()

            async def refusals() -> None:
                # A node that does not have a channel's slot says so in place of the confirmation.
                with contextlib.suppress(*TRANSIENT):  # the connection's end is noticed below
                    async for answer in connection.streamed_messages:
                        if isinstance(answer, AskError):
                            self._link.learn(answer, connection)

            tasks.start_soon(keepalive)
            tasks.start_soon(refusals)
            try:
                async for push in connection.push_messages:
                    self._route(push)
            except TRANSIENT as error:
                lost.append(error)
            tasks.cancel_scope.cancel()
        if lost:
            raise lost[0]

    def _route(self, push: list[Any]) -> None:
        kind, name = push[0], push[1]
        channel = self._channels.get(name)
        if channel is None:
            return
        if kind in {b"message", b"smessage"}:
            for sink in channel.sinks:
                sink.deliver(push[2])
        elif kind == b"sunsubscribe":
            # Its slot went elsewhere.
            channel.unconfirm()
            self._send(b"SUBSCRIBE", name)
        elif kind in {b"subscribe", b"ssubscribe"}:
            if channel.was_confirmed:
                for sink in channel.sinks:
                    sink.gap()
            channel.was_confirmed = True
            channel.confirmed.set()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[BaseConnection]:
        if self._node is None:
            async with self._link.dedicated(None) as connection:
                yield connection
            return
        connection = await self._link.open_at(Destination(self._node))
        try:
            yield connection
        finally:
            connection.invalidate("done with it")

    def _send(self, command: bytes, channel: bytes) -> None:
        if self._connection is not None and self._connection.usable:
            try:
                self._connection.send_command(self._kind.upper() + command, channel)
            except RedisError as error:
                # The connection broke under us: `run` notices, and subscribes anew.
                log.debug("%s not sent: %r", command.decode(), error)
