"""All subscriptions of a bus, on one connection that is made again when it breaks."""

import logging
from typing import Any, Final, Literal, Protocol, overload

import anyio
from coredis.connection import BaseConnection
from coredis.exceptions import RedisError

from .errors import BusError
from .link import TRANSIENT, Link, backoff

log = logging.getLogger("argentbus.subscriber")

#: Seconds of silence after which the connection is tried with a PING.
KEEPALIVE: Final = 10.0


#: How the commands and messages of each kind of subscription begin: by name, by pattern.
_BY_NAME: Final = b""
_BY_PATTERN: Final = b"P"


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


class _Channel:
    __slots__ = ("confirmed", "sinks", "was_confirmed")

    def __init__(self) -> None:
        self.sinks: list[Any] = []
        self.confirmed = anyio.Event()
        self.was_confirmed = False

    def unconfirm(self) -> None:
        """The subscription broke: who waits for its confirmation waits for that of the next one."""
        if self.confirmed.is_set():
            self.confirmed = anyio.Event()


class Subscriber:
    """Routes messages of channels to their sinks. `run` is a task of the bus."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channels: dict[bytes, dict[bytes, _Channel]] = {_BY_NAME: {}, _BY_PATTERN: {}}
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
        kind, key = _kind(pattern), name.encode()
        channel = self._channels[kind].get(key)
        if channel is None:
            channel = self._channels[kind][key] = _Channel()
            self._send(kind + b"SUBSCRIBE", key)
        channel.sinks.append(sink)
        self._wanted.set()
        try:
            await self._link.retrying(lambda: self._confirmation(channel))
        except BaseException:
            self.remove(name, sink, pattern=pattern)
            raise

    def remove(self, name: str, sink: Any, *, pattern: bool = False) -> None:
        """Unsubscribe `sink`."""
        kind, key = _kind(pattern), name.encode()
        channel = self._channels[kind].get(key)
        if channel is None or sink not in channel.sinks:
            return
        channel.sinks.remove(sink)
        if not channel.sinks:
            del self._channels[kind][key]
            self._send(kind + b"UNSUBSCRIBE", key)

    async def run(self) -> None:
        """Keep the connection, from the first subscription on, until cancelled."""
        await self._wanted.wait()
        delays = backoff()
        while True:
            try:
                async with self._link.dedicated() as connection:
                    self._connection = connection
                    for kind, channels in self._channels.items():
                        if channels:
                            connection.send_command(kind + b"SUBSCRIBE", *channels)
                    delays = backoff()
                    await self._listen(connection)
            except TRANSIENT as error:
                log.debug("subscriptions interrupted: %r", error)
            except BusError as error:
                log.warning("subscriptions interrupted: %s", error)
            finally:
                self._connection = None
                for channels in self._channels.values():
                    for channel in channels.values():
                        channel.unconfirm()
            await anyio.sleep(next(delays))

    async def _confirmation(self, channel: _Channel) -> None:
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

            tasks.start_soon(keepalive)
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
        if kind == b"message":
            for sink in self._sinks(_BY_NAME, name):
                sink.deliver(push[2])
        elif kind == b"pmessage":
            for sink in self._sinks(_BY_PATTERN, name):
                sink.deliver_from(push[2], push[3])
        elif kind in {b"subscribe", b"psubscribe"}:
            channel = self._channels[_kind(kind == b"psubscribe")].get(name)
            if channel is not None:
                if channel.was_confirmed:
                    for sink in channel.sinks:
                        sink.gap()
                channel.was_confirmed = True
                channel.confirmed.set()

    def _sinks(self, kind: bytes, name: bytes) -> list[Any]:
        channel = self._channels[kind].get(name)
        return channel.sinks if channel is not None else []

    def _send(self, command: bytes, channel: bytes) -> None:
        if self._connection is not None and self._connection.usable:
            try:
                self._connection.send_command(command, channel)
            except RedisError as error:
                # The connection broke under us: `run` notices, and subscribes anew.
                log.debug("%s not sent: %r", command.decode(), error)


def _kind(pattern: bool) -> bytes:
    return _BY_PATTERN if pattern else _BY_NAME
