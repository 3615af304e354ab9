"""The blocking bus: one connection to a namespace, for code that is not async."""

import atexit
import threading
import warnings
import weakref
from typing import Final, Self, TypeVar

from bus.bus import MOST_MESSAGE_BYTES
from bus.bus import Bus as AsyncBus
from bus.keys import Keys
from bus.messages.signing import Signing
from bus.queues.inlet import Inlet as AsyncInlet
from bus.telemetry import Telemetry

from .agent import Agent
from .appender import Appender
from .direct import Direct
from .election import Election
from .hold import Hold
from .inlet import Inlet
from .lock import Lock, Semaphore, leases
from .log import Log
from .map import Map
from .once import OncePer
from .portal import Portal
from .queue import Queue
from .registry import Registry
from .through import entering, making, through
from .topic import Topic, Topics

T = TypeVar("T")
R = TypeVar("R")

#: Seconds that the end of the interpreter waits for a bus that nobody closed.
AT_EXIT: Final = 5.0


class Bus:
    """A connection to one namespace of one Redis. Made by `Bus.connect`, closed by `close` or as a
    context manager. Any number of threads may use it at once.

    Attributes:
        instance: Id of this connection, never used again.
        keys: The names of the namespace's keys.
        ttl: Seconds without a heartbeat after which this process's agents and consumers count as
            dead, where they do not say otherwise.
        registry: Who is present, and what became of others.
        telemetry: What it tells of itself.
        over: The async bus that this one is, on its `portal`.
        portal: The thread with an event loop on which the async bus runs.

    Example:
        with Bus.connect("redis://127.0.0.1:6380", ttl=10, patience=5) as own:
            with own.join("writer", role="writer"), own.lock("report"):
                own.queue("reviews", Review).put(Review("parser.py"))
            print(own.queues())  #> ['reviews']
    """

    def __init__(self, portal: Portal, hold: Hold[AsyncBus], bus: AsyncBus) -> None:
        self.portal: Final = portal
        self.instance: Final = bus.instance
        self.telemetry: Final = bus.telemetry
        self.over: Final = bus
        self._hold = hold
        link = bus.link
        self._direct = (
            Direct(link.address, link.patience, 5.0, link.reply_timeout)
            if Direct.serves(link.address)
            else None
        )
        self._appender = Appender(self._direct) if self._direct is not None else None
        self.registry: Final = Registry(self, bus.registry)
        self._unclosed = weakref.finalize(self, _collected, portal, repr(bus))
        self._unclosed.atexit = False
        _open.add(self)

    @classmethod
    def connect(
        cls,
        url: str = "redis://127.0.0.1:6380",
        *,
        namespace: str = "argent",
        ttl: float = 30.0,
        patience: float = 30.0,
        most_message_bytes: int = MOST_MESSAGE_BYTES,
        signing: Signing | None = None,
        telemetry: Telemetry | None = None,
    ) -> "Bus":
        """Connect to a namespace. Arguments and errors are those of the async `Bus.connect`.

        A child process has to connect anew after a fork: in it, this one raises `BusError`.
        """
        portal = Portal()
        hold = Hold(
            portal,
            lambda: AsyncBus.connect(
                url,
                namespace=namespace,
                ttl=ttl,
                patience=patience,
                most_message_bytes=most_message_bytes,
                signing=signing,
                telemetry=telemetry,
            ),
        )
        try:
            return cls(portal, hold, hold.enter())
        except BaseException:
            portal.close()
            raise

    def close(self) -> None:
        """Leave whatever is still held (agents, locks, consumers), and disconnect.

        Takes as long as a reply may, where Redis does not answer. Closing again does nothing.
        """
        if self.portal.foreign:
            return
        self._unclosed.detach()
        _open.discard(self)
        self.portal.close()
        if self._direct is not None:
            self._direct.close()

    def __enter__(self) -> Self:
        self.portal.check()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def _bus(self) -> Self:
        return self

    @property
    def namespace(self) -> str:
        return self.over.namespace

    @property
    def keys(self) -> Keys:
        return self.over.keys

    @property
    def ttl(self) -> float:
        return self.over.ttl

    @property
    def server_version(self) -> str:
        """Version of the (oldest) server, such as `8.2.3` or `valkey 8.0.1`."""
        return self.over.server_version

    def __repr__(self) -> str:
        return f"<blocking {self.over!r}>"

    # the nouns: those of the async bus

    topic = making(AsyncBus.topic, Topic)
    topics = making(AsyncBus.topics, Topics)
    queue = making(AsyncBus.queue, Queue)
    lock = making(AsyncBus.lock, Lock)
    locks = entering(AsyncBus.locks, leases)
    semaphore = making(AsyncBus.semaphore, Semaphore)
    election = entering(AsyncBus.election, Election)
    once_per = making(AsyncBus.once_per, OncePer)
    map = making(AsyncBus.map, Map)
    log = making(AsyncBus.log, Log)
    join = entering(AsyncBus.join, Agent)

    def request(
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
        return self.portal.call(
            self.over.request,
            queue.over,
            body,
            reply_type,
            timeout=timeout,
            inherit_deadline=inherit_deadline,
            sender=sender,
        )

    # small named values, and what exists

    queues = through(AsyncBus.queues)
    get_value = through(AsyncBus.get_value)
    put_value = through(AsyncBus.put_value)

    # for the nouns themselves

    def append(
        self, stream: str, message: bytes, *, epoch_key: str | None = None
    ) -> tuple[str, str]:
        """Append an encoded message; return the stream's epoch and the entry's id."""
        self.portal.check()
        if self._appender is not None:
            return self._appender.append(stream, message, epoch_key=epoch_key)
        return self.portal.call(self.over.appender.append, stream, message, epoch_key=epoch_key)

    def inlet(self, over: AsyncInlet) -> Inlet | None:
        """What puts into a queue straight to Redis, or None where the portal leads there."""
        return None if self._appender is None else Inlet(self, self._appender, over)

    def publish(self, channel: str, message: bytes) -> int:
        """Publish an encoded message once; return the number of receivers."""
        self.portal.check()
        if self._direct is None:
            return self.portal.call(self.over.publish, channel, message)
        self.over.check_size(message)
        return self._direct.publish(channel, message)


_open: "weakref.WeakSet[Bus]" = weakref.WeakSet()


def _warn(what: str) -> None:
    warnings.warn(
        f"unclosed blocking {what}: use `with Bus.connect(...)`, or close it",
        ResourceWarning,
        stacklevel=2,
    )


def _collected(portal: Portal, what: str) -> None:
    """Close a bus that nobody has any more: in another thread, as nothing may wait in here."""
    if not portal.foreign:
        threading.Thread(target=portal.close, daemon=True, name="argentbus-close").start()
        _warn(what)


def _leave_all() -> None:
    """Close what is still open when the interpreter ends, and do not let it wait for long."""
    unclosed = [bus for bus in _open if not bus.portal.foreign]
    for bus in unclosed:
        bus.portal.close_within(AT_EXIT)
    for bus in unclosed:
        _warn(repr(bus.over))


atexit.register(_leave_all)
