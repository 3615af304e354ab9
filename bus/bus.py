"""The bus: one connection to a namespace, and everything that can be done on it."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import count
from typing import Final, TypeVar, Unpack

import msgspec

from .acl import mark_of
from .agents.agent import Agent
from .agents.attendance import joined
from .agents.heartbeat import Pump
from .agents.holdings import Holdings
from .agents.reaper import Reaper
from .agents.registry import Registry
from .agents.roll import Roll
from .errors import BusUnavailable, ServerFull
from .keys import Keys, check_name
from .locks.election import Election, following
from .locks.lease import Lease, check_ttl
from .locks.lock import Lock
from .locks.once import OncePer
from .locks.semaphore import Semaphore
from .locks.several import locks
from .logs.log import Log
from .maps.map import MOST_CHANGES, Map
from .messages.envelope import new_id
from .messages.sealing import Sealing
from .messages.signing import Signing
from .queues.appender import Appender
from .queues.queue import Queue, body_decoder
from .queues.rules import QueueOptions, Rules
from .requests.mailbox import Mailbox
from .requests.request import request
from .scope import background
from .servers.faults import TRANSIENT, UNDONE
from .servers.link import Link
from .topics.shards import Shards
from .topics.subscriber import Subscriber
from .topics.topic import Topic, Topics

T = TypeVar("T")
R = TypeVar("R")

#: Largest message, in bytes of the encoded envelope, unless `Bus.connect` is told otherwise.
MOST_MESSAGE_BYTES: Final = 8 << 20


class Bus(Sealing):
    """A connection to one namespace of one Redis. Made by `Bus.connect`.

    Attributes:
        instance: Id of this connection, never used again.
        keys: The names of the namespace's keys.
        ttl: Seconds without a heartbeat after which this process's agents and consumers count as
            dead, where they do not say otherwise.
    """

    def __init__(
        self,
        link: Link,
        namespace: str,
        ttl: float,
        most_message_bytes: int,
        signing: Signing | None = None,
    ) -> None:
        super().__init__(mark_of(link.address.username) + new_id(), signing, most_message_bytes)
        self.keys: Final = Keys(namespace)
        self.link: Final = link
        self.ttl = ttl
        self.pump = Pump()
        self.subscriber: Subscriber | Shards = Subscriber(link)
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
    ) -> "AsyncGenerator[Bus]":
        """Connect to a namespace, until the context ends.

        A connection that breaks later is made again by itself; nothing has to be restarted.

        Args:
            url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`: see
                `address.parse_url`.
            namespace: Prefix of every key: buses of different namespaces do not see each other.
            ttl: Seconds without a heartbeat after which agents and consumers count as dead.
            patience: Seconds for which an operation is tried again over a broken connection.
            most_message_bytes: Largest message that is accepted for sending.
            signing: Secrets to sign what is sent with, and whether others have to; see `Signing`.

        Raises:
            BusUnavailable: Redis cannot be reached at the start, or the wait for it later
                exceeded `patience`.
            UnsupportedServer: the server is older than Redis 6.2.
            InvalidName: the namespace is not accepted.
            BusError: the URL is not one.
        """
        link = Link(url, patience=patience)
        bus = cls(link, namespace, ttl, most_message_bytes, signing)
        async with (
            link.open(),
            background(bus.pump.run, bus.reaper.run) as tasks,
        ):
            bus.appender = Appender(link, link.tasks, bus.instance)
            if link.sharded and link.cluster is not None:
                bus.subscriber = Shards(link, link.cluster, tasks)
            tasks.start_soon(bus.subscriber.run)
            yield bus

    @property
    def namespace(self) -> str:
        return self.keys.namespace

    @property
    def server_version(self) -> str:
        """Version of the (oldest) server, such as `8.2.3` or `valkey 8.0.1`."""
        return self.link.server_release

    def __repr__(self) -> str:
        return f"<Bus {self.namespace} at {self.link.address}>"

    # the nouns

    def topic(self, name: str, body_type: type[T], *, sender: str | None = None) -> Topic[T]:
        """The broadcast `name`, of messages of type `body_type`.

        Raises:
            InvalidName: the name is not accepted.
        """
        return Topic(self, name, body_type, sender or self.instance)

    def topics(self, pattern: str, body_type: type[T]) -> Topics[T]:
        """All topics whose names fit `pattern`, to be listened to: `bus.topics("mood.*", Mood)`.

        Args:
            pattern: A name in which `*` stands for any characters and `?` for any one.

        Raises:
            InvalidName: the pattern is not accepted.
        """
        return Topics(self, pattern, body_type)

    def queue(
        self,
        name: str,
        body_type: type[T],
        *,
        sender: str | None = None,
        **rules: Unpack[QueueOptions],
    ) -> Queue[T]:
        """The work queue `name`, of messages of type `body_type`.

        Args:
            rules: `max_deliveries=5`, `max_kills=3`, `ordered=False`, `max_length=None`,
                `max_bytes=None`, `when_full="raise"`: see `Rules`.

        Raises:
            InvalidName: the name is not accepted.
            ValueError: a rule is not one.
        """
        return Queue(
            self,
            check_name("queue", name),
            self.keys.queue(name),
            body_decoder(body_type),
            sender=sender or self.instance,
            rules=Rules(**rules),
            listed=True,
        )

    def lock(
        self,
        name: str,
        *,
        ttl: float = 30.0,
        wait: float | None = None,
        shared: bool = False,
        replicated: int = 0,
        above: int = 0,
    ) -> Lock:
        """The lock `name`, as a context manager. See `Lock`."""
        return Lock(
            self, name, ttl=ttl, wait=wait, shared=shared, replicated=replicated, above=above
        )

    def locks(
        self,
        *names: str,
        ttl: float = 30.0,
        wait: float | None = None,
        shared: bool = False,
        replicated: int = 0,
    ) -> AbstractAsyncContextManager[Mapping[str, Lease]]:
        """Every one of the locks `names` or none, as a context manager: a lease for each name.

        They are taken in the order of their names, so that holders of several do not wait for each
        other in a circle (unless they take more inside). If one is lost, the block is cancelled.

        Args:
            wait: Seconds to wait for all of them together. See `Lock` for the others.

        Raises:
            LockNotAcquired: not all were free in time; none is held.
            LockLost: out of the block, when one of the leases was lost.
        """
        return locks(self, names, ttl=ttl, wait=wait, shared=shared, replicated=replicated)

    def semaphore(
        self, name: str, *, permits: int, ttl: float = 30.0, wait: float | None = None
    ) -> Semaphore:
        """The semaphore `name`, as a context manager. See `Semaphore`."""
        return Semaphore(self, name, permits=permits, ttl=ttl, wait=wait)

    def election(
        self, name: str, *, candidate: str | None = None, ttl: float = 30.0
    ) -> AbstractAsyncContextManager[Election]:
        """Follow the election `name`, and stand in it, until the context ends. See `Election`.

        Args:
            candidate: The name to stand under. None: this bus's instance.
            ttl: Seconds after which a leader that died is no longer one.
        """
        return following(self, name, candidate or self.instance, check_ttl(ttl))

    def once_per(
        self, name: str, period: float, *, attempts: int = 1, ttl: float | None = None
    ) -> OncePer:
        """The runs of the job `name` that fall to this runner: one a `period` (in seconds) in the
        whole fleet. See `OncePer`.
        """
        return OncePer(self, name, period, attempts=attempts, ttl=ttl)

    def map(
        self,
        name: str,
        value_type: type[T],
        *,
        sender: str | None = None,
        most_changes: int = MOST_CHANGES,
    ) -> Map[T]:
        """The shared map `name`, of values of type `value_type` (any that msgspec knows).

        Args:
            sender: Who writes, for others to see. None: this bus's instance.
            most_changes: About so many changes, each with its value, are kept for watches that
                were away. The same for everybody.

        Raises:
            InvalidName: the name is not accepted.
        """
        return Map(
            self, name, value_type, sender=sender or self.instance, most_changes=most_changes
        )

    def log(self, name: str) -> Log:
        """The append-only log `name`."""
        return Log(self, name)

    def join(
        self,
        agent_id: str,
        *,
        role: str | None = None,
        capabilities: Iterable[str] = (),
        ttl: float | None = None,
        takeover: bool = False,
        shared: bool = False,
        stall_after: float | None = None,
        state: msgspec.Struct | type[msgspec.Struct] | None = None,
    ) -> AbstractAsyncContextManager[Agent]:
        """Be present as the agent `agent_id` until the context ends.

        When this process dies, or is without heartbeat for the TTL, the agent is declared dead, and
        everything that this bus held is given up at once: locks, and the deliveries of its
        consumers, whatever their own TTLs.

        Args:
            role: What kind of agent it is, for others to see and to find it by.
            capabilities: What it can do, for others to find it by.
            ttl: Seconds without a heartbeat after which it counts as gone; by default the bus's.
            takeover: Whether to take the place of whoever is present under this id; they are told.
            shared: Whether several instances may be this agent together: each is shown by itself,
                with a state of its own, and they share one inbox. All have to say so.
            stall_after: Seconds without `Agent.progress` after which it is shown as stalled.
            state: Type of the fields of its own in its state (a Struct), or their first values.

        Raises:
            AgentAlreadyPresent: another instance is present, and `takeover` is False.
            PresenceLost: out of the body, which is cancelled, when another instance took over.
            InvalidName: the id, the role or a capability is not accepted.
            ValueError: the TTL is below 0.1 s, or `stall_after` not above 0.
        """
        return joined(
            self,
            agent_id,
            role=role,
            capabilities=capabilities,
            ttl=self.ttl if ttl is None else ttl,
            takeover=takeover,
            shared=shared,
            stall_after=stall_after,
            state=state,
        )

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
        """The small value stored under `name`, or None."""
        key = self.keys.value(check_name("value", name))
        value: bytes | None = await self.link.retrying(lambda: self.link.call("GET", key))
        return value

    async def put_value(self, name: str, value: bytes, *, if_absent: bool = False) -> bool:
        """Store a small value; return False where `if_absent` and there is one already."""
        key = self.keys.value(check_name("value", name))
        options = ("NX",) if if_absent else ()
        done = await self.link.retrying(lambda: self.link.call("SET", key, value, *options))
        return done is not None

    # for the nouns themselves

    async def publish(self, channel: str, message: bytes) -> int:
        """Publish an encoded message once; return the number of receivers."""
        self.check_size(message)
        command = "SPUBLISH" if self.link.sharded else "PUBLISH"

        async def send() -> int:
            # Any node takes a PUBLISH; always the same one keeps the order.
            await self.link.connection(channel)
            try:
                return int(await self.link.call(command, channel, message, key=channel))
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
