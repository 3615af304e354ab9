"""An async `with` block that a thread enters and leaves, run by a task on the portal."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from bus.errors import BusUnavailable

from .portal import CLOSED, Portal

if TYPE_CHECKING:
    from .bus import Bus

T = TypeVar("T")
Shown = TypeVar("Shown")


class Hold(Generic[T]):
    """An async `with` block that threads enter and leave.

    Args:
        make: Makes the async context manager.

    Attributes:
        lost: Whether the block was cancelled from within: why is in `failure` a little later.
        failure: The error that came out of the block.
    """

    def __init__(
        self,
        portal: Portal,
        make: Callable[[], AbstractAsyncContextManager[T]],
    ) -> None:
        self.portal = portal
        self.lost = False
        self.failure: Exception | None = None
        self.ended: anyio.Event
        self._make = make
        self._stops: list[Callable[[], None]] = []
        self._stopped = False
        self._guard = Lock()
        self._finished = False
        self._scope: anyio.CancelScope | None = None
        self._over: anyio.Event | None = None
        self._entered: Future[T] = Future()
        self._left: Future[None] = Future()

    @property
    def left(self) -> bool:
        """Whether the block has ended."""
        return self._left.done()

    def when_over(self, stop: Callable[[], None]) -> None:
        """Call `stop` on the portal's thread when the block ends, or is cancelled from within; here
        and now where that was before.
        """
        with self._guard:
            over = self._stopped
            if not over:
                self._stops.append(stop)
        if over:
            stop()

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

    def _stop(self) -> None:
        with self._guard:
            self._stopped = True
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()

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
                self._entered.set_exception(self.failure or BusUnavailable(CLOSED))
            self.portal.remove(self)
            self.ended.set()
            self._stop()
            self._left.set_result(None)

    async def _wait(self) -> None:
        assert self._over is not None
        try:
            await self._over.wait()
        except BaseException:
            # Its error comes out when all is tidied up: who asks should know before that.
            self.lost = True
            self._stop()
            raise
        self._stop()


class Telling(Generic[T]):
    """An async block that is told what came out of the thread's, as if it came out of its own.

    Attributes:
        outcome: To be set before the block is left: what `__exit__` was called with.
        handled: Whether the async block suppressed that.
        given_up: Whether it was cancelled from within, and suppressed that.
    """

    def __init__(self, over: AbstractAsyncContextManager[T]) -> None:
        self.outcome: tuple[Any, Any, Any] = (None, None, None)
        self.handled = False
        self.given_up = False
        self._over = over

    async def __aenter__(self) -> T:
        return await self._over.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is not None:
            self.given_up = bool(await self._over.__aexit__(kind, error, traceback))
            return self.given_up
        self.handled = bool(await self._over.__aexit__(*self.outcome))
        return False


class Block(Generic[T, Shown]):
    """What is to be entered, once: `with` it there is the blocking noun of the async one.

    Args:
        over: The async context manager.
        show: Makes the noun of what that gives.

    Example:
        block: Block = bus.topic("mood", Mood).subscribe()
        with block as feed:  # once: what made it makes another
            bus.topic("mood", Mood).publish(Mood("calm"))
            print(feed.receive(timeout=5).body.word)  #> calm
    """

    def __init__(
        self,
        bus: "Bus",
        over: AbstractAsyncContextManager[T],
        show: "Callable[[Bus, Hold[T], T], Shown]",
    ) -> None:
        self._bus = bus
        self._hold = Hold(bus.portal, lambda: over)
        self._show = show
        self._entered = False

    def __enter__(self) -> Shown:
        if self._entered:
            raise RuntimeError("this block was entered before: make another")
        self._entered = True
        return self._show(self._bus, self._hold, self._hold.enter())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._hold.leave(error)
