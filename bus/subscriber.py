"""All subscriptions of a bus, on one connection that is made again when it breaks."""

import contextlib
import logging
from typing import Any, Final, Protocol

import anyio
from coredis.connection import BaseConnection
from coredis.exceptions import RedisError

from .errors import BusError
from .link import TRANSIENT, Link, backoff

log = logging.getLogger("argentbus.subscriber")

#: Seconds of silence after which the connection is tried with a PING.
KEEPALIVE: Final = 10.0

#: Seconds without a confirmation after which it is asked whether there will be one.
LATE: Final = 1.0


class Sink(Protocol):
    """What receives the messages of a channel. Neither method may block."""

    def deliver(self, payload: bytes) -> None:
        """Take a message."""

    def gap(self) -> None:
        """Learn that messages may have been missed: the subscription was broken for a while."""


class _Channel:
    __slots__ = ("confirmed", "sinks", "was_confirmed")

    def __init__(self) -> None:
        self.sinks: list[Sink] = []
        self.confirmed = anyio.Event()
        self.was_confirmed = False


class Subscriber:
    """Routes messages of channels to their sinks. `run` is a task of the bus."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channels: dict[bytes, _Channel] = {}
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
            channel = self._channels[key] = _Channel()
            self._send(b"SUBSCRIBE", key)
        channel.sinks.append(sink)
        self._wanted.set()
        try:
            await self._link.retrying(lambda: self._confirmation(key, channel))
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

    async def run(self) -> None:
        """Keep the connection, from the first subscription on, until cancelled."""
        await self._wanted.wait()
        delays = backoff()
        while True:
            try:
                async with self._link.dedicated() as connection:
                    self._connection = connection
                    if self._channels:
                        connection.send_command(b"SUBSCRIBE", *self._channels)
                    delays = backoff()
                    await self._listen(connection)
            except TRANSIENT as error:
                log.debug("subscriptions interrupted: %r", error)
            except BusError as error:
                log.warning("subscriptions interrupted: %s", error)
            finally:
                self._connection = None
                for channel in self._channels.values():
                    # Who waits for a confirmation goes on waiting, for that of the next connection.
                    if channel.confirmed.is_set():
                        channel.confirmed = anyio.Event()
            await anyio.sleep(next(delays))

    async def _confirmation(self, name: bytes, channel: _Channel) -> None:
        with anyio.move_on_after(LATE):
            await channel.confirmed.wait()
        if not channel.confirmed.is_set():
            await self._check_allowed(name)
        with anyio.fail_after(self._link.reply_timeout):
            await channel.confirmed.wait()

    async def _check_allowed(self, name: bytes) -> None:
        """Raise `ServerRefused` where the user of this bus may not read the channel `name`.

        A confirmation comes as a push, a refusal as a reply: here is a request that can get it.
        """
        with contextlib.suppress(TimeoutError):
            async with self._link.dedicated() as connection:
                await self._link.ask(connection, b"SUBSCRIBE", name, timeout=LATE)

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
        channel = self._channels.get(name)
        if channel is None:
            return
        if kind == b"message":
            for sink in channel.sinks:
                sink.deliver(push[2])
        elif kind == b"subscribe":
            if channel.was_confirmed:
                for sink in channel.sinks:
                    sink.gap()
            channel.was_confirmed = True
            channel.confirmed.set()

    def _send(self, command: bytes, channel: bytes) -> None:
        if self._connection is not None and self._connection.usable:
            try:
                self._connection.send_command(command, channel)
            except RedisError as error:
                # The connection broke under us: `run` notices, and subscribes anew.
                log.debug("%s not sent: %r", command.decode(), error)
