"""Taking items, one after the other, from something async that is iterated over."""

from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from threading import Lock
from typing import Any, Generic, Self, TypeVar

from bus.errors import BusError

from .hold import Hold
from .portal import Portal

Item = TypeVar("Item")


class Ended(BusError):
    """Nothing more is received here."""

    def __init__(self) -> None:
        super().__init__("nothing more is received here: its `with` block ended, or `stop` did it")


class Pull(Generic[Item]):
    """Iterate over it, in any number of threads: each item goes to one of them.

    An item that was asked for when the wait for it was interrupted (a timeout, Ctrl-C) is the next
    one that is handed out: none is lost by that.

    The iteration ends when the `with` block that this is of has ended, in whichever thread.

    Args:
        take: The next item, or `StopAsyncIteration`.
        hold: The block.
    """

    def __init__(
        self, portal: Portal, take: Callable[[], Awaitable[Item]], hold: Hold[Any] | None
    ) -> None:
        self._portal = portal
        self._take = take
        self._lock = Lock()
        self._asked: deque[Future[Item]] = deque()
        self._awaited: set[Future[Item]] = set()
        self._stopped = False
        if hold is not None:
            hold.when_over(self._end)

    def receive(self, timeout: float | None = None) -> Item:
        """The next item.

        Args:
            timeout: Seconds to wait for it. None: as long as it takes.

        Raises:
            TimeoutError: there was none in time.
            BusError: the block that this is of has ended.
        """
        future = self._ask()
        try:
            return future.result(timeout)
        except (CancelledError, StopAsyncIteration):
            raise Ended from None
        except BaseException:
            with self._lock:
                if not future.cancelled() and (not future.done() or not future.exception()):
                    self._asked.append(future)
            raise
        finally:
            with self._lock:
                self._awaited.discard(future)

    def _ask(self) -> Future[Item]:
        with self._lock:
            if self._is_over():
                raise Ended
            future = self._asked.popleft() if self._asked else None
        if future is None:
            future = self._portal.begin(self._take)
        with self._lock:
            self._awaited.add(future)
        if self._is_over():  # it was stopped while we asked
            future.cancel()
        return future

    def _is_over(self) -> bool:
        return self._stopped

    def unclaimed(self) -> list[Future[Item]]:
        """What was asked for and is waited for by nobody any more; it is not handed out now."""
        with self._lock:
            unclaimed, self._asked = list(self._asked), deque()
        return unclaimed

    def stop(self) -> None:
        """End the iteration in every thread."""
        self._end()

    def _end(self) -> None:
        with self._lock:
            self._stopped = True
            asked = [*self._asked, *self._awaited]
        for future in asked:
            future.cancel()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        try:
            return self.receive()
        except Ended:
            raise StopIteration from None
