"""What is cancelled while it starts, or before: it ends, and leaves nothing behind."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from bus import Bus, Delivery
from bus.queues.worker import Worker
from bus.scope import shielded
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def fine(delivery: Delivery[Any]) -> None:
    await anyio.lowlevel.checkpoint()


async def test_a_bus_is_not_connected_in_a_scope_that_is_cancelled(
    redis_server: Any, namespace: str
) -> None:
    with anyio.fail_after(10, shield=True), anyio.CancelScope() as scope:
        scope.cancel()
        async with Bus.connect(redis_server.url, namespace=namespace):
            pytest.fail("connected")
    assert scope.cancelled_caught


async def test_shielded_tasks_are_not_started_in_a_scope_that_is_cancelled() -> None:
    with anyio.fail_after(10, shield=True), anyio.CancelScope() as scope:
        scope.cancel()
        async with shielded():
            pytest.fail("started")
    assert scope.cancelled_caught


async def test_connecting_ends_wherever_it_is_cancelled(redis_server: Any, namespace: str) -> None:
    """Cancelled after each number of checkpoints until it is through."""
    for checkpoints in range(1000):
        connected = False
        with anyio.fail_after(10, shield=True):
            async with anyio.create_task_group() as tasks:

                async def cancel(scope: anyio.CancelScope, after: int) -> None:
                    for _ in range(after):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()

                tasks.start_soon(cancel, tasks.cancel_scope, checkpoints)
                async with Bus.connect(redis_server.url, namespace=namespace):
                    connected = True
        if connected:
            break
    else:
        pytest.fail("it was never through")


async def test_work_ends_wherever_it_is_cancelled(bus: Bus) -> None:
    queue = bus.queue("jobs", str)
    for checkpoints in range(60):
        with anyio.fail_after(10, shield=True):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(queue.work, "workers", fine)
                for _ in range(checkpoints):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()

    async def nobody_is_left() -> bool:
        groups = (await queue.statistics()).groups
        return not any(group.consumers for group in groups)

    await eventually(nobody_is_left)


async def test_a_worker_that_is_cancelled_at_once_drains(bus: Bus) -> None:
    """At the moment at which its consumer stands and its handlers do not yet."""
    queue = bus.queue("jobs", str)
    async with queue.consume("workers") as consumer:
        worker = Worker(consumer, fine, concurrency=3, drain=5)
        with anyio.fail_after(10, shield=True), anyio.CancelScope() as scope:
            scope.cancel()
            await worker.run(None)
        assert scope.cancelled_caught
