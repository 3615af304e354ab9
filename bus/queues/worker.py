"""A worker: handles a consumer's deliveries, several at a time, and drains when it is to end."""

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import CO_ITERABLE_COROUTINE, isawaitable, iscoroutinefunction, unwrap
from types import CoroutineType
from typing import Any, Final, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from bus.arguments import seconds, shown, whole
from bus.scope import background
from bus.telemetry.journal import Journal

from .consumer import Consumer
from .delivery import Delivery

T = TypeVar("T")
Handler = Callable[[Delivery[T]], Awaitable[Any]]
log = Journal("argentbus.queue")


def check_work(handler: Any, concurrency: int, drain: float) -> None:
    """Raise `ValueError` or `TypeError` where one of them cannot be a worker's."""
    whole("concurrency", concurrency, least=1, most=1_000_000)
    seconds("drain", drain)
    if not callable(handler):
        raise TypeError(f"handler is {shown(handler)}: it must be a function")


def check_async(handler: Any) -> None:
    """Raise `TypeError` where `handler` is known to return nothing that can be awaited.

    What only shows when it is called (a lambda, an object with a `__call__`) is let through.
    """
    while isinstance(handler, partial):
        handler = handler.func
    function = unwrap(handler)
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is None or code.co_name == "<lambda>" or iscoroutinefunction(function):
        return
    if not code.co_flags & CO_ITERABLE_COROUTINE:
        raise not_async(handler)


def not_async(handler: Any) -> TypeError:
    """The error to raise where a handler is not an async function."""
    return TypeError(
        f"handler is {shown(handler)}: it must be an async function (async def), or return what "
        "can be awaited; functions that are not are for the blocking API (bus.blocking)"
    )


class _NotAwaitable(BaseException):
    """Not an error of the message, which goes back as where the worker is interrupted."""


class Worker(Generic[T]):
    """Runs `handler` for the deliveries of `consumer`. See `Queue.work`.

    Args:
        concurrency: Handlers at a time.
        drain: Seconds that handlers have to finish, once the worker is to end.
    """

    def __init__(
        self, consumer: Consumer[T], handler: Handler[T], *, concurrency: int, drain: float
    ) -> None:
        self._consumer = consumer
        self._handler = handler
        self._concurrency = concurrency
        self._drain_time = drain
        self._idle: Final = anyio.Event()
        self._fault: TypeError | None = None

    async def run(self, stop: anyio.Event | None) -> None:
        """Work until cancelled, or until `stop` is set; then drain."""
        # Shielded: cancelling the worker lets handlers finish. `_drain` ends them.
        handlers = anyio.CancelScope(shield=True)
        async with background(lambda: self._handle_all(handlers)):
            try:
                if stop is None:
                    await self._idle.wait()
                else:
                    await stop.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await self._drain(handlers)

    async def _handle_all(self, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                async with anyio.create_task_group() as tasks:
                    for _ in range(self._concurrency):
                        tasks.start_soon(self._handle_one_by_one, tasks)
                if self._fault is not None:
                    raise self._fault
            finally:
                self._idle.set()

    async def _handle_one_by_one(self, handlers: TaskGroup) -> None:
        try:
            async for delivery in self._consumer:
                async with delivery:
                    outcome: Any = self._handler(delivery)
                    if type(outcome) is not CoroutineType and not isawaitable(outcome):
                        raise _NotAwaitable
                    await outcome
        except _NotAwaitable:
            self._fault = not_async(self._handler)
            handlers.cancel_scope.cancel()

    async def _drain(self, handlers: anyio.CancelScope) -> None:
        # The tasks that beat and settle may have been cancelled with us.
        async with background(self._consumer.keep_alive):
            await self._consumer.stop()
            with anyio.move_on_after(self._drain_time):
                await self._idle.wait()
            if not self._idle.is_set():
                log.warning(
                    "handlers did not finish in time: cancelled, their messages go back",
                    seconds=self._drain_time,
                )
                handlers.cancel()
                await self._idle.wait()
            await self._consumer.settlements.flush(all=True)
