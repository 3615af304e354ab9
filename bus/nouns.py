"""What a bus is made of for those who use it: topics, queues, locks, maps, logs and agents."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeVar, Unpack

import msgspec

from .agents.agent import Agent
from .agents.attendance import joined
from .keys import check_name
from .locks.election import Election, following
from .locks.lease import Lease, check_ttl
from .locks.lock import Lock
from .locks.once import OncePer
from .locks.semaphore import Semaphore
from .locks.several import locks
from .logs.log import Log
from .maps.map import MOST_CHANGES, Map
from .messages.codec import check_type
from .messages.sealing import Sealing
from .queues.queue import Queue, body_decoder
from .queues.rules import QueueOptions, Rules
from .topics.topic import Topic, Topics

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")


class Nouns(Sealing):
    """Opens the nouns of a bus. Nothing here waits for Redis: what is opened does."""

    @property
    @abstractmethod
    def _whole(self) -> "Bus":
        """The bus that these are the nouns of."""

    def topic(self, name: str, body_type: type[T], *, sender: str | None = None) -> Topic[T]:
        """The broadcast `name`, of messages of type `body_type`.

        Raises:
            InvalidName: the name is not accepted.
        """
        check_type(body_type)
        return Topic(self._whole, name, body_type, self._sender(sender))

    def topics(self, pattern: str, body_type: type[T]) -> Topics[T]:
        """All topics whose names fit `pattern`, to be listened to: `bus.topics("mood.*", Mood)`.

        Args:
            pattern: A name in which `*` stands for any characters and `?` for any one.

        Raises:
            InvalidName: the pattern is not accepted.
        """
        check_type(body_type)
        return Topics(self._whole, pattern, body_type)

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
            ValueError, TypeError: a rule is not one.
        """
        check_type(body_type)
        return Queue(
            self._whole,
            check_name("queue", name),
            self._whole.keys.queue(name),
            body_decoder(body_type),
            sender=self._sender(sender),
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
            self._whole, name, ttl=ttl, wait=wait, shared=shared, replicated=replicated, above=above
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
            InvalidName: a name is not accepted.
        """
        return locks(self._whole, names, ttl=ttl, wait=wait, shared=shared, replicated=replicated)

    def semaphore(
        self, name: str, *, permits: int, ttl: float = 30.0, wait: float | None = None
    ) -> Semaphore:
        """The semaphore `name`, as a context manager. See `Semaphore`."""
        return Semaphore(self._whole, name, permits=permits, ttl=ttl, wait=wait)

    def election(
        self, name: str, *, candidate: str | None = None, ttl: float = 30.0
    ) -> AbstractAsyncContextManager[Election]:
        """Follow the election `name`, and stand in it, until the context ends. See `Election`.

        Args:
            candidate: The name to stand under. None: this bus's instance.
            ttl: Seconds after which a leader that died is no longer one.
        """
        if candidate is None:
            candidate = self.instance
        return following(self._whole, name, candidate, check_ttl(ttl))

    def once_per(
        self, name: str, period: float, *, attempts: int = 1, ttl: float | None = None
    ) -> OncePer:
        """The runs of the job `name` that fall to this runner: one a `period` (in seconds) in the
        whole fleet. See `OncePer`.
        """
        return OncePer(self._whole, name, period, attempts=attempts, ttl=ttl)

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
            self._whole, name, value_type, sender=self._sender(sender), most_changes=most_changes
        )

    def log(self, name: str) -> Log:
        """The append-only log `name`."""
        return Log(self._whole, name)

    def join(
        self,
        agent_id: str,
        *,
        role: str | None = None,
        capabilities: Iterable[str] = (),
        ttl: float | None = None,
        takeover: bool = False,
        shared: bool = False,
        inbox: bool = True,
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
            takeover: Whether to take the place of whoever is present under this id. They are told
                by their next heartbeat, within a third of their TTL, or when they set their state.
            shared: Whether several instances may be this agent together: each is shown by itself,
                with a state of its own, and they share one inbox. All have to say so.
            inbox: Whether it reads what others send it. One that does not is left out by
                `Agent.send_any`, `send_all` and `gather`.
            stall_after: Seconds without `Agent.progress` after which it is shown as stalled.
            state: Type of the fields of its own in its state (a Struct), or their first values.

        Raises:
            AgentAlreadyPresent: another instance is present, and `takeover` is False.
            PresenceLost: out of the body, which is cancelled, when another instance took over.
            InvalidName: the id, the role or a capability is not accepted.
            ValueError: the TTL is below 0.1 s, `stall_after` not above 0, or one over a year.
            TypeError: an argument is of another type.
        """
        return joined(
            self._whole,
            agent_id,
            role=role,
            capabilities=capabilities,
            ttl=self._whole.ttl if ttl is None else ttl,
            takeover=takeover,
            shared=shared,
            inbox=inbox,
            stall_after=stall_after,
            state=state,
        )

    def _sender(self, sender: str | None) -> str:
        return self.instance if sender is None else check_name("sender", sender)
