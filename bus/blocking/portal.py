"""The portal: one thread with an event loop, on which the async bus runs for a blocking one.

A call from a thread is a task there. What is a `with` block here is a task that enters the async
block, waits until the thread is done, and leaves it (`hold.py`): so it is left in the task that
entered it, and whatever renews or beats in it goes on while the thread is busy.
"""

import contextlib
import functools
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from anyio.from_thread import start_blocking_portal

from bus.errors import BusError, BusUnavailable
from bus.telemetry.journal import Journal

if TYPE_CHECKING:
    from .hold import Hold

P = ParamSpec("P")
T = TypeVar("T")
log = Journal("argentbus.blocking")

#: What is said to who uses a bus after its end.
CLOSED: Final = "the bus is closed: use it inside `with Bus.connect()`"


class Portal:
    """The thread, and what is held in it."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        # Always asyncio: its clock is this process's `time.monotonic`.
        self._thread = start_blocking_portal("asyncio", name="argentbus")
        self._portal = self._thread.__enter__()
        self._holds: dict[Hold[Any], None] = {}
        self._closing = Lock()
        self.closed = False

    @property
    def foreign(self) -> bool:
        """Whether this is a child process, which has the object and not the thread."""
        return os.getpid() != self._pid

    def check_process(self) -> None:
        """Raise `BusError` where this process has forked off."""
        if self.foreign:
            raise BusError(
                f"this bus was connected by process {self._pid}, and this is its child "
                f"{os.getpid()}: connect anew after a fork"
            )

    def check(self) -> None:
        """Raise `BusError` where this process has forked off, `BusUnavailable` after the end."""
        self.check_process()
        if self.closed:
            raise BusUnavailable(CLOSED)

    def begin(
        self, function: Callable[P, Awaitable[T]], *args: P.args, **options: P.kwargs
    ) -> Future[T]:
        """Start the function on the portal's thread, in this thread's context variables."""
        self.check()
        try:
            return self._portal.start_task_soon(functools.partial(function, *args, **options))
        except RuntimeError as error:
            raise BusUnavailable(CLOSED) from error

    def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **options: P.kwargs) -> T:
        """Run the function there and wait. Interrupted (Ctrl-C), the call is cancelled."""
        future = self.begin(function, *args, **options)
        try:
            return future.result()
        except CancelledError:
            raise BusUnavailable(CLOSED) from None
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Leave all that is held (agents, locks, consumers, the async bus), and end the thread."""
        if self.foreign:
            return
        with self._closing:
            if self.closed:
                return
            try:
                self._portal.start_task_soon(self._leave_all).result()
            finally:
                self.closed = True
                self._thread.__exit__(None, None, None)

    def close_within(self, seconds: float) -> None:
        """Like `close`, for the end of the interpreter, which nothing may hold up for longer."""
        if self.closed or self.foreign:
            return
        with contextlib.suppress(RuntimeError, CancelledError, TimeoutError):
            self._portal.start_task_soon(self._leave_all).result(seconds)
        self.closed = True

    async def _leave_all(self) -> None:
        # The first is the bus itself, which all others need to leave in good order.
        first, *others = self._holds or (None,)
        for some in (others, [first]):
            for hold in some:
                if hold is not None:
                    hold.end()
            for hold in some:
                if hold is not None:
                    await hold.ended.wait()
                    if hold.failure is not None:
                        log.warning(
                            "closing the bus, something that was held could not be left",
                            error=hold.failure,
                        )
        await self._portal.stop(cancel_remaining=True)

    def add(self, hold: "Hold[Any]") -> None:
        """Leave `hold` when the portal is closed."""
        self._holds[hold] = None

    def remove(self, hold: "Hold[Any]") -> None:
        """It was left."""
        self._holds.pop(hold, None)
