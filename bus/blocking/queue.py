"""Queues, for code that is not async."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from bus.queues.durability import Durability
from bus.queues.inlet import due_at
from bus.queues.membership import Start
from bus.queues.queue import Queue as AsyncQueue
from bus.queues.rules import Rules

from .consumer import Consumer
from .delivery import Delivery
from .through import Noun, entering, through
from .worker import Worker

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")


class Queue(Noun[AsyncQueue[T]]):
    """A named queue of messages of one type. Made by `Bus.queue`.

        jobs = bus.queue("jobs", Job, max_deliveries=3)
        jobs.put(Job(1), delay=60)
        with jobs.consume("workers") as deliveries:
            for delivery in deliveries:
                with delivery: ...

    Attributes:
        name: Of the queue.
        base: Key of its stream.
        rules: What this program asks of its messages.

    Example:
        reviews: Queue[Review] = bus.queue("reviews", Review, max_deliveries=5)
        reviews.put(Review("parser.py"), dedupe="pr-17")
        reviews.put(Review("parser.py"), dedupe="pr-17")  # within a day: the same one
        with reviews.consume("reviewers") as deliveries:
            with next(deliveries) as delivery:  # acknowledged at its end
                print(delivery.body.path, delivery.attempt)  #> parser.py 1
    """

    def __init__(self, bus: "Bus", over: AsyncQueue[T]) -> None:
        super().__init__(bus, over)
        self._inlet = bus.inlet(over._inlet)

    @property
    def name(self) -> str:
        return self.over.name

    @property
    def base(self) -> str:
        return self.over.base

    @property
    def rules(self) -> Rules:
        return self.over.rules

    def put(
        self,
        body: T,
        *,
        key: str | None = None,
        dedupe: str | None = None,
        delay: float = 0.0,
        at: datetime | None = None,
        durability: Durability | None = None,
    ) -> str:
        """Put a message; return its id (UUIDv7) once Redis has it.

        It goes straight to Redis from this thread where it can (see `bus.blocking`). Messages of
        one thread stand in the order of its calls; what several threads put at the same time
        travels together. Over a connection that breaks it is repeated, and not doubled.

        Args:
            key: In an ordered queue, what is to be handled one by one, in the order of the puts.
            dedupe: For a day, puts with the same `dedupe` are one: the first one's id is returned.
            delay: Seconds until it may be delivered.
            at: When it may be delivered, by the server's clock, instead of a delay.
            durability: How safe it has to be before this returns; by default as safe as Redis's
                own settings make it. See `bus.FSYNCED` and `bus.replicated`.

        Raises what the async `Queue.put` does. Interrupted (Ctrl-C), it may have been put.
        """
        over, bus = self.over, self._bus
        if self._inlet is None:
            return bus.portal.call(
                over.put, body, key=key, dedupe=dedupe, delay=delay, at=at, durability=durability
            )
        bus.portal.check()
        due = due_at(delay, at)
        if not over._announced:
            bus.portal.call(over._announce)
        with bus.over.telemetry.sending(over.destination) as sending:
            message_id, message = bus.over.wrap(over.base, body, sender=over._sender)
            sending.message(message_id)
            return self._inlet.put(
                message, message_id, key=key, dedupe=dedupe, due=due, durability=durability
            )

    consume = entering(AsyncQueue[T].consume, Consumer[T])

    def work(
        self,
        group: str,
        handler: Callable[[Delivery[T]], Any],
        *,
        concurrency: int = 10,
        drain: float = 30.0,
        stop: threading.Event | None = None,
        prefetch: int | None = None,
        ttl: float | None = None,
        handler_timeout: float | None = None,
        start: Start = "beginning",
    ) -> None:
        """Run `handler(delivery)` for each message of the group, in threads, until `stop` is set or
        an exception (Ctrl-C, one that a signal handler raises) ends the wait.

        Its return acknowledges, its exception has the message tried again, as in `with delivery`.
        At the end it drains: what was read ahead goes back at once, and handlers under way have
        `drain` seconds to finish. A thread cannot be cancelled: after that its message goes back,
        `Delivery.check` raises in it, and this call returns without it.

        Args:
            concurrency: Handlers, each in a thread of its own, at a time.
            drain: Seconds.
            stop: Looked at every 0.1 s.
            prefetch: Most deliveries read ahead; by default as many as there are handlers.

        For the rest, and errors, see `consume`.
        """
        worker = Worker(handler, concurrency=concurrency, drain=drain)
        with self.consume(
            group,
            prefetch=concurrency if prefetch is None else prefetch,
            ttl=ttl,
            handler_timeout=handler_timeout,
            start=start,
        ) as consumer:
            worker.run(consumer, stop)

    # by the clock

    schedule = through(AsyncQueue[T].schedule)
    unschedule = through(AsyncQueue[T].unschedule)
    schedules = through(AsyncQueue[T].schedules)

    # looking into it

    statistics = through(AsyncQueue[T].statistics)
    dead_letters = through(AsyncQueue[T].dead_letters)
    dead_letter = through(AsyncQueue[T].dead_letter)
    replay = through(AsyncQueue[T].replay)
    replay_all = through(AsyncQueue[T].replay_all)
    purge = through(AsyncQueue[T].purge)
    purge_all = through(AsyncQueue[T].purge_all)
    delete_group = through(AsyncQueue[T].delete_group)
