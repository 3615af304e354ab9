"""Waiting for a condition, with a deadline: never for a time."""

import inspect
from collections.abc import Awaitable, Callable

import anyio


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, timeout: float = 10.0
) -> None:
    """Return once `condition()` (which may be async) is true.

    Raises:
        AssertionError: it was not within `timeout` seconds.
    """
    deadline = anyio.current_time() + timeout
    while True:
        outcome = condition()
        if inspect.isawaitable(outcome):
            outcome = await outcome
        if outcome:
            return
        assert anyio.current_time() < deadline, f"not so within {timeout:g} s: {condition}"
        await anyio.sleep(0.01)
