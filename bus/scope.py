"""Background tasks that belong to a `with` block."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def background(*tasks: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[TaskGroup]:
    """Run `tasks` beside the body, and end them with it.

    A task that raises cancels the body, and its error comes out of the block. What the body raises
    comes out as it is, not wrapped in a group.
    """
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(task)
            try:
                yield group
            except Exception as error:  # noqa: BLE001 (raised again below, out of the group)
                failure = error
            group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) > 1:
            raise
        only = errors.exceptions[0]
        # `from None` would take its own cause away.
        raise only from (only.__cause__ or failure)
    if failure is not None:
        raise failure


@asynccontextmanager
async def shielded() -> AsyncGenerator[TaskGroup]:
    """Tasks that end with the block, and not before: not when the block is cancelled, either.

    Whoever leaves a cancelled block has things to say over the connections: that an agent has left,
    a lock is free, a delivery goes back.
    """
    ready, over = anyio.Event(), anyio.Event()
    kept: list[TaskGroup] = []

    async def keep() -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                kept.append(tasks)
                ready.set()
                await over.wait()
                tasks.cancel_scope.cancel()

    # Not `TaskGroup.start`: cancelled, it would wait for what is shielded from being cancelled.
    async with background(keep):
        try:
            await ready.wait()
            yield kept[0]
        finally:
            over.set()
