"""The blocking bus: one connection to a namespace, for code that is not async."""

import atexit
import threading
import warnings
import weakref
from collections.abc import Iterable
from typing import Final, Self, TypeVar

import msgspec

from bus.agents.registry import Snapshot
from bus.bus import MOST_MESSAGE_BYTES
from bus.bus import Bus as AsyncBus
from bus.telemetry import Telemetry

from .agent import Agent
from .appender import Appender
from .direct import Direct
from .lock import Lock
from .log import Log
from .portal import Hold, Portal
from .queue import Queue
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
        over: The async bus that this one is, on its `portal`: what has no method here is run there,
            `bus.portal.call(bus.over.registry.find, role="writer")`.
    """

    def __init__(self, portal: Portal, hold: Hold[AsyncBus], bus: AsyncBus) -> None:
        self.portal: Final = portal
        self.instance: Final = bus.instance
        self.over: Final = bus
        self._hold = hold
        link = bus.link
        self._direct = (
            Direct(link.address, link.patience, 5.0, link.reply_timeout)
            if Direct.serves(link.address)
            else None
        )
        self._appender = Appender(self._direct) if self._direct is not None else None
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
    def namespace(self) -> str:
        return self.over.namespace

    @property
    def server_version(self) -> str:
        """Version of the (oldest) server, such as `8.2.3` or `valkey 8.0.1`."""
        return self.over.server_version

    def __repr__(self) -> str:
        return f"<blocking {self.over!r}>"

    # the nouns

    def topic(self, name: str, body_type: type[T], *, sender: str | None = None) -> Topic[T]:
        """The broadcast `name`, of messages of type `body_type`. Raises `InvalidName`."""
        return Topic(self, name, body_type, sender or self.instance)

    def topics(self, pattern: str, body_type: type[T]) -> Topics[T]:
        """All topics whose names fit `pattern`, to be listened to. See the async `Bus.topics`."""
        return Topics(self, pattern, body_type)

    def queue(
        self, name: str, body_type: type[T], *, max_deliveries: int = 5, sender: str | None = None
    ) -> Queue[T]:
        """The work queue `name`, of messages of type `body_type`. See the async `Bus.queue`."""
        sender = sender or self.instance
        queue = self.over.queue(name, body_type, max_deliveries=max_deliveries, sender=sender)
        return Queue(self, queue, sender)

    def lock(
        self, name: str, *, ttl: float = 30.0, wait: float | None = None, above: int = 0
    ) -> Lock:
        """The lock `name`, to be used once as a context manager. See `Lock`."""
        return Lock(self, name, ttl=ttl, wait=wait, above=above)

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
    ) -> Agent:
        """Be present as the agent `agent_id`, as a context manager. See the async `Bus.join`.

        The heartbeat is the portal's: a thread that is busy does not let the agent die. Being taken
        over cannot cancel a thread: `Agent.check` and leaving the block raise `PresenceLost`, and
        iterating over the inbox ends.
        """
        return Agent(
            self,
            agent_id,
            lambda: self.over.join(
                agent_id,
                role=role,
                capabilities=capabilities,
                ttl=ttl,
                takeover=takeover,
                shared=shared,
                stall_after=stall_after,
                state=state,
            ),
        )

    def request(
        self,
        queue: Queue[T],
        body: T,
        reply_type: type[R],
        *,
        timeout: float | None = None,
        inherit_deadline: bool = True,
    ) -> R:
        """Ask whoever consumes `queue`, and wait for the reply. See `Agent.request`."""
        return self.portal.call(
            self.over.request,
            queue.over,
            body,
            reply_type,
            timeout=timeout,
            inherit_deadline=inherit_deadline,
            sender=queue.sender,
        )

    # small named values, and what exists

    def queues(self) -> list[str]:
        """Names of all queues that were ever used in this namespace."""
        return self.portal.call(self.over.queues)

    def get_value(self, name: str) -> bytes | None:
        """The small value stored under `name`, or None."""
        return self.portal.call(self.over.get_value, name)

    def put_value(self, name: str, value: bytes, *, if_absent: bool = False) -> bool:
        """Store a small value; return False where `if_absent` and there is one already."""
        return self.portal.call(self.over.put_value, name, value, if_absent=if_absent)

    def snapshot(self) -> Snapshot:
        """Everybody who is present, with their states. See `bus.Registry.snapshot`."""
        return self.portal.call(self.over.registry.snapshot)

    # for the nouns themselves

    def append(
        self, stream: str, message: bytes, *, epoch_key: str | None = None
    ) -> tuple[str, str]:
        """Append an encoded message; return the stream's epoch and the entry's id."""
        self.portal.check()
        if self._appender is not None:
            return self._appender.append(stream, message, epoch_key=epoch_key)
        return self.portal.call(self.over.appender.append, stream, message, epoch_key=epoch_key)

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
