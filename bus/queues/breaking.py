"""Whether a handler was told to end, or broke off by itself. Here alone asyncio is asked: anyio has
no word for a cancellation that came from outside all of its scopes.
"""

import asyncio
import math

import anyio


def breaks_off(error: BaseException | None) -> bool:
    """Whether a block raises a cancellation that nobody told it: that of a task it awaited."""
    if not isinstance(error, asyncio.CancelledError):
        return False  # trio's cannot come from anywhere else
    task = asyncio.current_task()
    told = task is not None and task.cancelling() > 0
    return not told and anyio.current_effective_deadline() != -math.inf


def broken_off_by(cause: BaseException | None) -> RuntimeError:
    """What such a handler is taken to have raised."""
    error = RuntimeError("the handler broke off: what it awaited was cancelled by somebody else")
    error.__cause__ = cause
    return error
