"""The portal: one thread with an event loop, on which the async bus runs for a blocking one.

A call from a thread is a task there. What is a `with` block here is a task that enters the async
block, waits until the thread is done, and leaves it (`Hold`): so it is left in the task that
entered it, and whatever renews or beats in it goes on while the thread is busy.
"""

import contextlib
import functools
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from threading import Lock
from typing import Any, Final, Generic, ParamSpec, TypeVar

import anyio
from anyio.from_thread import start_blocking_portal

from bus.errors import BusError, BusUnavailable
from bus.telemetry.journal import Journal

P = ParamSpec("P")
T = TypeVar("T")
log = Journal("argentbus.blocking")

_CLOSED: Final = "the bus is closed: use it inside `with Bus.connect()`"


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

    def check(self) -> None:
        """Raise `BusError` where this process has forked off, `BusUnavailable` after the end."""
        if self.foreign:
            raise BusError(
                f"this bus was connected by process {self._pid}, and this is its child "
                f"{os.getpid()}: connect anew after a fork"
            )
        if self.closed:
            raise BusUnavailable(_CLOSED)

    def begin(
        self, function: Callable[P, Awaitable[T]], *args: P.args, **options: P.kwargs
    ) -> Future[T]:
        """Start the function on the portal's thread, in this thread's context variables."""
        self.check()
        try:
            return self._portal.start_task_soon(functools.partial(function, *args, **options))
        except RuntimeError as error:
            raise BusUnavailable(_CLOSED) from error

    def call(self, function: Callable[P, Awaitable[T]], *args: P.args, **options: P.kwargs) -> T:
        """Run the function there and wait. Interrupted (Ctrl-C), the call is cancelled."""
        future = self.begin(function, *args, **options)
        try:
            return future.result()
        except CancelledError:
            raise BusUnavailable(_CLOSED) from None
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


class Hold(Generic[T]):
    """An async `with` block that threads enter and leave.

    Args:
        make: Makes the async context manager.
        stopped: Called on the portal's thread when the block ends, or was cancelled from within.

    Attributes:
        lost: Whether the block was cancelled from within: why is in `failure` a little later.
        failure: The error that came out of the block.
    """

    def __init__(
        self,
        portal: Portal,
        make: Callable[[], AbstractAsyncContextManager[T]],
        stopped: Callable[[], None] = lambda: None,
    ) -> None:
        self.portal = portal
        self.lost = False
        self.failure: Exception | None = None
        self.ended: anyio.Event
        self._make = make
        self._stopped = stopped
        self._finished = False
        self._scope: anyio.CancelScope | None = None
        self._over: anyio.Event | None = None
        self._entered: Future[T] = Future()
        self._left: Future[None] = Future()

    def enter(self) -> T:
        """Enter the block. Interrupted (Ctrl-C), it is not entered, or left again."""
        try:
            self.portal.begin(self._run)
            return self._entered.result()
        except BaseException:
            if not self._left.done() and not self.portal.closed and not self.portal.foreign:
                self.portal.begin(self._abandon)
            raise

    def leave(self, error: BaseException | None) -> None:
        """Leave the block. Raises what came out of it, unless the thread's own error is to.

        In a child process nothing happens: the block is its parent's.
        """
        if self.portal.foreign:
            return
        try:
            self._ask_to_end()
            self._left.result()
        except BaseException:
            self._ask_to_end()
            raise
        ordinary = error is None or isinstance(error, Exception)
        if self.failure is not None and self.failure is not error and ordinary:
            raise self.failure from error

    def _ask_to_end(self) -> None:
        if not self._left.done():
            with contextlib.suppress(BusUnavailable):  # the bus was closed meanwhile, and this too
                self.portal.begin(self._end)

    # on the portal's thread

    def end(self) -> None:
        """Let the block end."""
        self._finished = True
        if self._over is not None:
            self._over.set()

    async def _end(self) -> None:
        self.end()

    async def _abandon(self) -> None:
        self.end()
        if self._scope is not None:
            self._scope.cancel()

    async def _run(self) -> None:
        self.ended = anyio.Event()
        self.portal.add(self)
        try:
            with anyio.CancelScope() as self._scope:
                self._over = anyio.Event()
                if self._finished:
                    return
                async with self._make() as value:
                    self._entered.set_result(value)
                    await self._wait()
        except Exception as error:  # noqa: BLE001 (raised in the thread)
            self.failure = error
        finally:
            if not self._entered.done():
                self._entered.set_exception(self.failure or BusUnavailable(_CLOSED))
            self.portal.remove(self)
            self.ended.set()
            self._stopped()
            self._left.set_result(None)

    async def _wait(self) -> None:
        assert self._over is not None
        try:
            await self._over.wait()
        except BaseException:
            # Its error comes out when all is tidied up: who asks should know before that.
            self.lost = True
            self._stopped()
            raise
        self._stopped()
