"""Queues, for code that is not async."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bus.queues.consumer import Consumer as AsyncConsumer
from bus.queues.deadletter import DeadLetter
from bus.queues.delivery import Delivery as AsyncDelivery
from bus.queues.queue import Queue as AsyncQueue
from bus.queues.statistics import QueueStatistics

from .delivery import Delivery
from .portal import Hold
from .pull import Pull

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")


class Queue(Generic[T]):
    """A named queue of messages of one type. Made by `Bus.queue`.

    Attributes:
        over: The async queue that this one is.
        sender: Whom messages name as their sender.
    """

    def __init__(self, bus: "Bus", over: AsyncQueue[T], sender: str) -> None:
        self.over = over
        self.name = over.name
        self.sender = sender
        self._bus = bus

    def put(self, body: T, *, dedupe: str | None = None, delay: float = 0.0) -> str:
        """Put a message; return its id once Redis has it. See the async `Queue.put`.

        Messages of one thread stand in the order of its calls. What several threads put at the same
        time travels together.
        """
        return self._bus.portal.call(self.over.put, body, dedupe=dedupe, delay=delay)

    def consume(
        self, group: str, *, prefetch: int = 100, ttl: float | None = None
    ) -> "Consumer[T]":
        """Join the consumer group `group`, as a context manager. See the async `Queue.consume`."""
        return Consumer(self._bus, self.over, group, prefetch, ttl)

    def statistics(self) -> QueueStatistics:
        """Count what is in the queue now."""
        return self._bus.portal.call(self.over.statistics)

    def dead_letters(self, *, limit: int = 100, after: str = "-") -> list[DeadLetter]:
        """List dead letters, the oldest first. See the async `Queue.dead_letters`."""
        return self._bus.portal.call(self.over.dead_letters, limit=limit, after=after)

    def replay(self, *dead_ids: str) -> int:
        """Put dead letters back into the queue; return how many there were."""
        return self._bus.portal.call(self.over.replay, *dead_ids)


class Deliveries(Generic[T]):
    """Deliveries, endlessly: iterate over it, in any number of threads."""

    def __init__(self, bus: "Bus", source: Any) -> None:
        self._bus = bus
        self.pull: Pull[AsyncDelivery[T]] = Pull(bus.portal, source.__anext__)

    def receive(self, timeout: float | None = None) -> Delivery[T]:
        """The next delivery. Raises `TimeoutError` where there is none in `timeout` seconds,
        `BusError` where the block has ended.
        """
        return Delivery(self._bus, self.pull.receive(timeout))

    def stop(self) -> None:
        """End the iteration in every thread. What is not handled goes back with the block's end."""
        self.pull.stop()

    def __iter__(self) -> "Deliveries[T]":
        return self

    def __next__(self) -> Delivery[T]:
        return Delivery(self._bus, next(self.pull))


class Consumer(Generic[T]):
    """A member of a consumer group while its block lasts, which gives its `Deliveries`.

    The heartbeat is the portal's: a thread that is busy keeps its delivery for as long as it likes.
    """

    def __init__(
        self, bus: "Bus", queue: AsyncQueue[T], group: str, prefetch: int, ttl: float | None
    ) -> None:
        self._bus = bus
        self._deliveries: Deliveries[T] | None = None
        self._hold: Hold[AsyncConsumer[T]] = Hold(
            bus.portal, lambda: queue.consume(group, prefetch=prefetch, ttl=ttl), self._stopped
        )

    def __enter__(self) -> Deliveries[T]:
        self._deliveries = Deliveries(self._bus, self._hold.enter())
        if self._hold.lost:
            self._deliveries.stop()
        return self._deliveries

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._hold.leave(error)

    def _stopped(self) -> None:
        if self._deliveries is not None:
            self._deliveries.stop()
