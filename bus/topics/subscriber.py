"""All subscriptions of a bus, on one connection that is made again when it breaks."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, Protocol, overload

import anyio
from coredis.connection import BaseConnection
from coredis.exceptions import AskError, RedisError

from bus.errors import BusError
from bus.servers.faults import TRANSIENT
from bus.servers.link import Link, backoff
from bus.servers.node import Node
from bus.servers.route import Destination
from bus.telemetry.journal import Journal

log = Journal("argentbus.subscriber")

#: Seconds of silence after which the connection is tried with a PING.
KEEPALIVE: Final = 10.0

#: Seconds without a confirmation after which it is asked whether there will be one.
LATE: Final = 1.0

#: What the commands for each kind of channel begin with: SUBSCRIBE, SSUBSCRIBE, PSUBSCRIBE.
_PLAIN: Final = b""
_SHARDED: Final = b"S"
_PATTERN: Final = b"P"


class Sink(Protocol):
    """What receives the messages of a channel. Neither method may block."""

    def deliver(self, payload: bytes) -> None:
        """Take a message."""

    def gap(self) -> None:
        """Learn that messages may have been missed: the subscription was broken for a while."""


class PatternSink(Protocol):
    """What receives the messages of all channels that fit a pattern. No method may block."""

    def deliver_from(self, channel: bytes, payload: bytes) -> None:
        """Take a message that came on `channel`."""

    def gap(self) -> None:
        """Learn that messages may have been missed: the subscription was broken for a while."""


class Channel:
    """One channel, or one pattern, and whoever listens to it here."""

    __slots__ = ("confirmed", "sinks", "was_confirmed")

    def __init__(self) -> None:
        self.sinks: list[Any] = []
        self.confirmed = anyio.Event()
        self.was_confirmed = False

    def confirm(self) -> None:
        """The server has confirmed; where it had before, there was a gap."""
        if self.was_confirmed:
            for sink in self.sinks:
                sink.gap()
        self.was_confirmed = True
        self.confirmed.set()

    def unconfirm(self) -> None:
        """The subscription broke: who waits for its confirmation waits for that of the next one."""
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
        self._by_name = _PLAIN if node is None else _SHARDED
        self._channels: dict[bytes, dict[bytes, Channel]] = {self._by_name: {}, _PATTERN: {}}
        self._connection: BaseConnection | None = None
        self._wanted = anyio.Event()

    @overload
    async def add(self, name: str, sink: Sink, *, pattern: Literal[False] = False) -> None: ...

    @overload
    async def add(self, name: str, sink: PatternSink, *, pattern: Literal[True]) -> None: ...

    @overload
    async def add(self, name: str, sink: Any, *, pattern: bool) -> None: ...

    async def add(self, name: str, sink: Any, *, pattern: bool = False) -> None:
        """Subscribe `sink` to a channel; return when the server has confirmed it.

        Args:
            name: Of the channel, or with `pattern` a glob pattern of such names.

        Raises:
            BusUnavailable: it was not confirmed within the bus's patience.
            ServerRefused: the user of this bus may not read that channel.
        """
        kind, key = self._kind(pattern), name.encode()
        channel = self._channels[kind].get(key)
        if channel is None:
            channel = self._channels[kind][key] = Channel()
            self._send(kind + b"SUBSCRIBE", key)
        channel.sinks.append(sink)
        self._wanted.set()
        try:
            await self._link.retrying(lambda: self._confirmation(kind, key, channel))
        except BaseException:
            self.remove(name, sink, pattern=pattern)
            raise

    def remove(self, name: str, sink: Any, *, pattern: bool = False) -> None:
        """Unsubscribe `sink`."""
        kind, key = self._kind(pattern), name.encode()
        channel = self._channels[kind].get(key)
        if channel is None or sink not in channel.sinks:
            return
        channel.sinks.remove(sink)
        if not channel.sinks:
            del self._channels[kind][key]
            self._send(kind + b"UNSUBSCRIBE", key)

    def channels(self) -> list[bytes]:
        """Names of the channels that somebody listens to here, patterns left out."""
        return list(self._channels[self._by_name])

    def hand_over(self, name: bytes, to: "Subscriber") -> None:
        """Have `to` listen to the channel from now on; its sinks learn of the gap."""
        channel = self._channels[self._by_name].pop(name)
        self._send(self._by_name + b"UNSUBSCRIBE", name)
        channel.unconfirm()
        to._channels[to._by_name][name] = channel
        to._send(to._by_name + b"SUBSCRIBE", name)
        to._wanted.set()

    async def run(self) -> None:
        """Keep the connection, from the first subscription on, until cancelled."""
        await self._wanted.wait()
        delays = backoff()
        while True:
            try:
                async with self._connected() as connection:
                    self._connection = connection
                    self._send_all()
                    delays = backoff()
                    await self._listen(connection)
            except TRANSIENT as error:
                log.debug("subscriptions were interrupted", error=error)
            except BusError as error:
                log.warning("subscriptions were interrupted", error=error)
            finally:
                self._connection = None
                for channels in self._channels.values():
                    for channel in channels.values():
                        channel.unconfirm()
            await anyio.sleep(next(delays))

    async def _confirmation(self, kind: bytes, name: bytes, channel: Channel) -> None:
        with anyio.move_on_after(LATE):
            await channel.confirmed.wait()
        if not channel.confirmed.is_set():
            await self._check_allowed(kind, name)
        with anyio.fail_after(self._link.reply_timeout):
            await channel.confirmed.wait()

    async def _check_allowed(self, kind: bytes, name: bytes) -> None:
        """Raise `ServerRefused` where the user of this bus may not read the channel `name`.

        A confirmation comes as a push, a refusal as a reply: here is a request that can get it.
        """
        with contextlib.suppress(TimeoutError):
            async with self._connected() as connection:
                await self._link.ask(connection, kind + b"SUBSCRIBE", name, timeout=LATE)

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
        pattern = kind.startswith(b"p")
        channel = self._channels[self._kind(pattern)].get(name)
        if channel is None:
            return
        if kind in {b"message", b"smessage"}:
            for sink in channel.sinks:
                _hand_over(sink.deliver, push[2])
        elif kind == b"pmessage":
            for sink in channel.sinks:
                _hand_over(sink.deliver_from, push[2], push[3])
        elif kind == b"sunsubscribe":
            # Its slot went elsewhere.
            channel.unconfirm()
            self._send(_SHARDED + b"SUBSCRIBE", name)
        elif kind in {b"subscribe", b"ssubscribe", b"psubscribe"}:
            channel.confirm()

    def _kind(self, pattern: bool) -> bytes:
        return _PATTERN if pattern else self._by_name

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

    def _send_all(self) -> None:
        """Subscribe to everything, on a connection that is new."""
        for kind, channels in self._channels.items():
            if kind == _SHARDED:  # one by one: those of several slots cannot travel together
                for name in channels:
                    self._send(kind + b"SUBSCRIBE", name)
            elif channels:
                self._send(kind + b"SUBSCRIBE", *channels)

    def _send(self, command: bytes, *channels: bytes) -> None:
        if self._connection is not None and self._connection.usable:
            try:
                self._connection.send_command(command, *channels)
            except RedisError as error:
                # The connection broke under us: `run` notices, and subscribes anew.
                log.debug("a subscription was not sent", command=command.decode(), error=error)


def _hand_over(take: Callable[..., None], *message: bytes) -> None:
    """Give a sink a message. What it raises is its own affair: others listen here as well."""
    try:
        take(*message)
    except Exception as error:
        log.error("a message was lost on who listens", error=error, exc_info=error)
