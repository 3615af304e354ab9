"""A worker of threads: handles a consumer's deliveries, and drains when it is to end."""

import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from bus.queues.worker import check_work
from bus.telemetry.journal import Journal

from .consumer import Consumer
from .delivery import Delivery

T = TypeVar("T")
log = Journal("argentbus.blocking")

#: Seconds between two looks at whether to stop. A signal handler may set the event: to wait on the
#: event itself could then be a deadlock.
_LOOK: Final = 0.1


class Worker(Generic[T]):
    """Runs `handler` for the deliveries of a consumer. See `Queue.work`.

    Args:
        concurrency: Handlers at a time.
        drain: Seconds that handlers have to finish, once the worker is to end.
    """

    def __init__(
        self, handler: Callable[[Delivery[T]], Any], *, concurrency: int, drain: float
    ) -> None:
        check_work(handler, concurrency, drain)
        self._handler = handler
        self._concurrency = concurrency
        self._drain_time = drain
        self._ended = threading.Event()
        self._failure: BaseException | None = None

    def run(self, consumer: Consumer[T], stop: threading.Event | None) -> None:
        """Work until `stop` is set, or an exception ends the wait; then drain."""
        # Daemons: a handler that does not end must not keep the interpreter.
        threads = [
            threading.Thread(
                target=contextvars.copy_context().run,
                args=(self._handle_one_by_one, consumer),
                name=f"argentbus-worker-{number}",
                daemon=True,
            )
            for number in range(self._concurrency)
        ]
        try:
            for thread in threads:
                thread.start()
            while not (stop is not None and stop.is_set()) and not self._ended.wait(_LOOK):
                pass
        finally:
            self._drain(consumer, threads)
        if self._failure is not None:
            raise self._failure

    def _handle_one_by_one(self, consumer: Consumer[T]) -> None:
        try:
            for delivery in consumer:
                with delivery:
                    self._handler(delivery)
        except BaseException as error:  # noqa: BLE001 (raised in the thread that waits)
            self._failure = self._failure or error
        finally:
            self._ended.set()

    def _drain(self, consumer: Consumer[T], threads: list[threading.Thread]) -> None:
        give_up = time.monotonic() + self._drain_time
        consumer.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, give_up - time.monotonic()))
        late = sum(thread.is_alive() for thread in threads)
        if late:
            log.warning(
                "handlers did not finish in time: their messages go back",
                handlers=late,
                seconds=self._drain_time,
            )
