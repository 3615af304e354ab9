"""Consuming from threads: a member of a group, or an agent's inbox."""

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from bus.agents.inbox import Inbox as AsyncInbox
from bus.errors import BusError
from bus.queues.consumer import Consumer as AsyncConsumer
from bus.queues.delivery import Delivery as AsyncDelivery

from .delivery import Delivery
from .hold import Hold
from .pull import Pull

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")


class _Deliveries(Generic[T]):
    """Deliveries, endlessly: iterate over it, in any number of threads."""

    def __init__(self, bus: "Bus", hold: Hold[Any], source: Any) -> None:
        self._bus = bus
        self._hold = hold
        self._pull: Pull[AsyncDelivery[T]] = Pull(bus.portal, source.__anext__, hold)

    def receive(self, timeout: float | None = None) -> Delivery[T]:
        """The next delivery.

        Args:
            timeout: Seconds to wait for it. None: as long as it takes.

        Raises:
            TimeoutError: there was none in time.
            BusError: the block that this is of has ended.
        """
        return Delivery(self._bus, self._hold, self._pull.receive(timeout))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Delivery[T]:
        return Delivery(self._bus, self._hold, next(self._pull))


class Consumer(_Deliveries[T]):
    """The deliveries of one consumer: iterate over it, in any number of threads.

    Made by `Queue.consume`: `with queue.consume("workers") as deliveries: ...`. Its heartbeat is
    the portal's: a thread that is busy keeps its delivery for as long as it likes.

    Attributes:
        name: That nobody else has.
        handler_timeout: Seconds after which a delivery counts as failed, or None.
        over: The async consumer that it is.

    Example:
        reviews = bus.queue("reviews", Review)
        reviews.put(Review("parser.py"))
        consumer: Consumer[Review]
        with reviews.consume("reviewers", prefetch=0, ttl=10) as consumer:
            for delivery in consumer:
                with delivery:
                    print(delivery.body.path)  #> parser.py
                consumer.stop()  # ends the iteration
    """

    def __init__(self, bus: "Bus", hold: Hold[Any], over: AsyncConsumer[T]) -> None:
        super().__init__(bus, hold, over)
        self.over = over

    @property
    def name(self) -> str:
        return self.over.name

    @property
    def handler_timeout(self) -> float | None:
        return self.over.handler_timeout

    @property
    def put_off(self) -> int:
        """How many of its deliveries are dealt with, and not settled because Redis refuses that."""
        return self.over.put_off

    def stop(self) -> None:
        """Take no more deliveries, end the iteration in every thread, and hand back at once what
        was read ahead. Deliveries in the hands of threads are still to be settled.
        """
        portal = self._bus.portal
        portal.call(self.over.stop)
        # Now whatever was still being asked for has an end; what had come, nobody will take.
        for future in self._pull.unclaimed():
            try:
                delivery = future.result()
            except (StopAsyncIteration, CancelledError, BusError):
                continue
            portal.call(_return, self.over, delivery)
        self._pull.stop()


class Inbox(_Deliveries[Any]):
    """The messages that others sent to an agent: iterate over it, in any number of threads.

    Made by `Agent.inbox`. It is read from the first use on, until the agent leaves or is taken
    over; what is unhandled then goes back.

    Example: See `Agent`.
    """

    def __init__(self, bus: "Bus", hold: Hold[Any], over: AsyncInbox) -> None:
        super().__init__(bus, hold, over)

    def stop(self) -> None:
        """End the iteration in every thread. What is unhandled goes back when the agent leaves."""
        self._pull.stop()


async def _return(consumer: AsyncConsumer[Any], delivery: AsyncDelivery[Any]) -> None:
    consumer.settlements.return_later(delivery.entry_id)
