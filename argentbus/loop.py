"""The event loop that our own processes run on: uvloop where it is installed."""

import importlib.util
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


def run(function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run `function(*args)` in a new event loop and return what it returns."""
    fast = importlib.util.find_spec("uvloop") is not None
    return anyio.run(function, *args, backend="asyncio", backend_options={"use_uvloop": fast})
