"""The bus: one connection to a namespace, and everything that can be done on it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Final, TypeVar

from .acl import mark_of
from .agents.attendance import LEAST_TTL
from .agents.heartbeat import Pump
from .agents.holdings import Holdings
from .agents.reaper import Reaper
from .agents.registry import Registry
from .agents.roll import Roll
from .arguments import instance, seconds, text, whole
from .errors import BusUnavailable, ServerFull
from .keys import Keys, check_name
from .messages.envelope import new_id
from .messages.signing import Signing
from .nouns import Nouns
from .queues.appender import Appender
from .queues.queue import Queue
from .requests.mailbox import Mailbox
from .requests.request import request
from .scope import background
from .servers.address import parse_url
from .servers.faults import TRANSIENT, UNDONE
from .servers.link import Link
from .telemetry import Telemetry, installed
from .topics.patterns import Patterns
from .topics.shards import Shards
from .topics.subscriber import Subscriber

T = TypeVar("T")
R = TypeVar("R")

#: Largest message, in bytes of the encoded envelope, unless `Bus.connect` is told otherwise.
MOST_MESSAGE_BYTES: Final = 8 << 20


class Bus(Nouns):
    """A connection to one namespace of one Redis. Made by `Bus.connect`.

    Attributes:
        instance: Id of this connection, never used again.
        keys: The names of the namespace's keys.
        namespace: Prefix of every key.
        signing: What it signs with, and asks of others; or None.
        registry: Who is present, and what becomes of them.
        link: The connections to Redis, for commands that the bus has no noun for.
        patterns: Which patterns somebody listens by, on a Cluster with sharded channels; else None.
        ttl: Seconds without a heartbeat after which this process's agents and consumers count as
            dead, where they do not say otherwise.
        pump, subscriber, mailbox, reaper, holdings, roll, appender: Its parts, for the nouns:
            heartbeats, what is heard, replies, the dead, what is held, who has joined, what is put.

    Raises:
        BusUnavailable: out of whatever asks Redis, when it could not be reached for `patience`
            seconds.
        ServerRefused: out of the same, when Redis answered and refused.

    Example:
        async with Bus.connect("redis://127.0.0.1:6380", ttl=10, patience=5) as own:
            async with own.join("writer", role="writer"), own.lock("report") as lease:
                await own.queue("reviews", Review).put(Review("parser.py"))
            print(await own.queues())  #> ['reviews']
    """

    def __init__(
        self,
        link: Link,
        namespace: str,
        ttl: float,
        most_message_bytes: int,
        signing: Signing | None = None,
    ) -> None:
        super().__init__(
            mark_of(link.address.username) + new_id(), signing, most_message_bytes, link.telemetry
        )
        self.keys: Final = Keys(namespace)
        self.link: Final = link
        self.ttl = ttl
        self.pump = Pump(link.telemetry)
        self.subscriber: Subscriber | Shards = Subscriber(link)
        self.patterns: Patterns | None = None
        self.mailbox = Mailbox(self)
        self.registry = Registry(self)
        self.reaper = Reaper(self)
        self.holdings = Holdings(self)
        self.roll = Roll(self)
        self._consumers = count(1)
        self._announced: set[str] = set()
        self.appender: Appender

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str = "redis://127.0.0.1:6380",
        *,
        namespace: str = "argent",
        ttl: float = 30.0,
        patience: float = 30.0,
        most_message_bytes: int = MOST_MESSAGE_BYTES,
        signing: Signing | None = None,
        telemetry: Telemetry | None = None,
    ) -> "AsyncGenerator[Bus]":
        """Connect to a namespace, until the context ends.

        A connection that breaks later is made again by itself; nothing has to be restarted.

        Args:
            url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`: see
                `address.parse_url`.
            namespace: Prefix of every key: buses of different namespaces do not see each other.
            ttl: Seconds without a heartbeat after which agents and consumers count as dead.
            patience: Seconds for which an operation is tried again over a broken connection.
            most_message_bytes: Largest message that is accepted for sending, in bytes of the
                encoded envelope.
            signing: Secrets to sign what is sent with, and whether others have to; see `Signing`.
            telemetry: Whom to tell of what goes on: `telemetry.recording(...)`. By default the
                providers of OpenTelemetry that the process has set up by now, if it has.

        Raises:
            BusUnavailable: Redis cannot be reached at the start, or the wait for it later
                exceeded `patience`.
            UnsupportedServer: the server is older than Redis 6.2.
            InvalidName: the namespace is not accepted.
            BusError: the URL is not one.
            ValueError, TypeError: a number is out of range (the TTL is at least 0.1 s), or none.
        """
        seconds("ttl", ttl, least=LEAST_TTL)
        seconds("patience", patience)
        whole("most_message_bytes", most_message_bytes, least=1)
        if signing is not None:
            instance("signing", signing, Signing)
        if telemetry is not None:
            instance("telemetry", telemetry, Telemetry)
        address = parse_url(text("url", url))
        told = (telemetry or installed()).at(namespace, address)
        link = Link(address, patience=patience, telemetry=told)
        bus = cls(link, namespace, ttl, most_message_bytes, signing)
        async with (
            link.open(),
            background(bus.pump.run, bus.reaper.run) as tasks,
        ):
            bus.appender = Appender(link, link.tasks, bus.instance)
            if link.sharded and link.cluster is not None:
                bus.patterns = Patterns(link, bus.keys, bus.pump)
                bus.subscriber = Shards(link, link.cluster, tasks, bus.patterns)
            tasks.start_soon(bus.subscriber.run)
            yield bus

    @property
    def _whole(self) -> "Bus":
        return self

    @property
    def namespace(self) -> str:
        return self.keys.namespace

    @property
    def server_version(self) -> str:
        """Version of the (oldest) server, such as `8.2.3` or `valkey 8.0.1`."""
        return self.link.server_release

    def __repr__(self) -> str:
        return f"<Bus {self.namespace} at {self.link.address}>"

    async def request(
        self,
        queue: Queue[T],
        body: T,
        reply_type: type[R],
        *,
        timeout: float | None = None,
        inherit_deadline: bool = True,
        sender: str | None = None,
    ) -> R:
        """Ask whoever consumes `queue`, and wait for the reply. See `Agent.request`."""
        return await request(
            self,
            queue,
            body,
            reply_type,
            sender=sender or self.instance,
            timeout=timeout,
            inherit=inherit_deadline,
            to=f"whoever consumes queue {queue.name}",
        )

    # small named values, and what exists

    async def queues(self) -> list[str]:
        """Names of all queues that were ever used in this namespace."""
        names = await self.link.retrying(lambda: self.link.call("SMEMBERS", self.keys.queues))
        return sorted(name.decode(errors="replace") for name in names)

    async def get_value(self, name: str) -> bytes | None:
        """The small value stored under `name`, or None.

        Raises:
            InvalidName: the name is not accepted.
        """
        key = self.keys.value(check_name("value", name))
        value: bytes | None = await self.link.retrying(lambda: self.link.call("GET", key))
        return value

    async def put_value(self, name: str, value: bytes, *, if_absent: bool = False) -> bool:
        """Store a small value; return False where `if_absent` and there is one already.

        Raises:
            InvalidName: the name is not accepted.
            TypeError: `value` is not bytes.
        """
        instance("value", value, bytes)
        key = self.keys.value(check_name("value", name))
        options = ("NX",) if if_absent else ()
        done = await self.link.retrying(lambda: self.link.call("SET", key, value, *options))
        return done is not None

    # for the nouns themselves

    async def publish(self, channel: str, message: bytes) -> int:
        """Publish an encoded message once; return the number of receivers.

        On a Cluster that is how many the nodes know of that were asked.

        Raises:
            BusUnavailable: the connection could not be made in time, or broke before Redis
                confirmed.
            MessageTooLarge: it is larger than this bus carries.
        """
        self.check_size(message)
        if not self.link.sharded:
            return await self._publish("PUBLISH", channel, message)
        receivers = await self._publish("SPUBLISH", channel, message)
        patterns = self.patterns
        if patterns and patterns.concern(channel) and await patterns.fit(channel):
            broadcast = patterns.broadcast(channel)
            receivers += await self._publish("PUBLISH", broadcast, message, by=patterns.key)
        return receivers

    async def _publish(
        self, command: str, channel: str, message: bytes, *, by: str | None = None
    ) -> int:
        async def send() -> int:
            # Any node takes a PUBLISH; always the same one keeps the order.
            key = by or channel
            await self.link.connection(key)
            try:
                return int(await self.link.call(command, channel, message, key=key))
            except UNDONE:
                raise
            except TRANSIENT as error:
                raise BusUnavailable(
                    f"the connection to Redis at {self.link.address} broke while a message was "
                    "being published: it may or may not have reached those who listen"
                ) from error

        return await self.link.retrying(send)

    def new_consumer_name(self) -> str:
        """A consumer name that nobody else has."""
        return f"{self.instance}.{next(self._consumers)}"

    async def announce_queue(self, name: str) -> None:
        """Make a queue known to `queues`, the first time that this process uses it."""
        if name in self._announced:
            return
        with suppress(ServerFull):  # it is announced when there is room
            await self.link.retrying(lambda: self.link.call("SADD", self.keys.queues, name))
            self._announced.add(name)
