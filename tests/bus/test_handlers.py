"""Handlers that break off because something else was cancelled, and what cannot be a handler."""

import asyncio
import functools
from typing import Any

import anyio
import pytest

from bus import Bus, Delivery, RequestFailed
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def on_asyncio(anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("only on asyncio does a task pass its cancellation on to who awaits it")


async def await_a_cancelled_task() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await task


@pytest.mark.usefixtures("on_asyncio")
async def test_a_handler_whose_task_was_cancelled_has_failed_and_its_worker_goes_on(
    bus: Bus,
) -> None:
    queue = bus.queue("jobs", str, max_deliveries=1)
    handled: list[str] = []

    async def handle(delivery: Delivery[str]) -> None:
        if delivery.body != "fine":
            if delivery.body == "settled":
                await delivery.ack()
            await await_a_cancelled_task()
        handled.append(delivery.body)

    for body in ("poison", "settled", "poison", "fine"):
        await queue.put(body)
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: queue.work("workers", handle, concurrency=1, stop=stop))
        await eventually(lambda: handled == ["fine"])
        stop.set()
    letters = await queue.dead_letters()
    assert len(letters) == 2
    assert "the handler broke off" in letters[0].reason
    assert (await queue.statistics()).length == 0


@pytest.mark.usefixtures("on_asyncio")
async def test_who_asked_is_told_that_the_handler_broke_off(bus: Bus) -> None:
    queue = bus.queue("questions", str)

    async def handle(delivery: Delivery[str]) -> None:
        await await_a_cancelled_task()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(queue.work, "workers", handle)
        with pytest.raises(RequestFailed, match="broke off"):
            await bus.request(queue, "x", str, timeout=10)
        tasks.cancel_scope.cancel()


@pytest.mark.usefixtures("on_asyncio")
@pytest.mark.parametrize("limit", [None, 60])
async def test_a_cancellation_from_outside_is_none_of_the_handler(
    bus: Bus, limit: float | None
) -> None:
    """By asyncio's own means, too."""
    queue = bus.queue("jobs", int, max_deliveries=1)
    await queue.put(1)
    async with queue.consume("workers", handler_timeout=limit) as deliveries:
        inside = asyncio.Event()

        async def handle() -> None:
            async with await anext(deliveries):
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(handle())
        await asyncio.wait_for(inside.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with anyio.fail_after(10):
            assert (await anext(deliveries)).body == 1
    assert await queue.dead_letters() == []


def sync(delivery: Delivery[Any]) -> None:
    """Not async."""


async def generating(delivery: Delivery[Any]) -> Any:
    yield delivery


class Handler:
    def __init__(self) -> None:
        self.handled = 0

    def sync(self, delivery: Delivery[Any]) -> None:
        """Not async."""

    async def handle(self, delivery: Delivery[Any]) -> None:
        self.handled += 1

    async def with_more(self, more: int, delivery: Delivery[Any]) -> None:
        self.handled += more

    async def __call__(self, delivery: Delivery[Any]) -> None:
        self.handled += 1


@pytest.mark.parametrize(
    "handler",
    [sync, generating, Handler().sync, functools.partial(sync)],
    ids=["function", "generator", "method", "partial"],
)
async def test_what_is_no_async_function_is_refused_before_anything_is_consumed(
    bus: Bus, handler: Any
) -> None:
    queue = bus.queue("jobs", str)
    with anyio.fail_after(10), pytest.raises(TypeError, match="must be an async function"):
        await queue.work("workers", handler)
    assert (await queue.statistics()).groups == []


async def test_what_turns_out_to_be_none_ends_the_work_once(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    calls: list[int] = []
    await queue.put(1)
    with anyio.fail_after(10), pytest.raises(TypeError, match="must be an async function"):
        await queue.work("workers", lambda delivery: calls.append(delivery.body))  # type: ignore[arg-type, return-value, func-returns-value]
    assert calls == [1]
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(10):
            assert (await anext(deliveries)).body == 1  # it was given back


async def test_what_returns_what_can_be_awaited_is_a_handler(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    handler = Handler()

    @functools.wraps(handler.handle)
    def wrapped(delivery: Delivery[Any]) -> Any:
        return handler.handle(delivery)

    handlers: list[Any] = [
        handler,
        handler.handle,
        functools.partial(handler.with_more, 1),
        lambda delivery: handler.with_more(1, delivery),
        wrapped,
    ]
    for n, one in enumerate(handlers, start=1):
        await queue.put(n)
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda one=one, stop=stop: queue.work("w", one, stop=stop))
            await eventually(lambda n=n: handler.handled == n)
            stop.set()
