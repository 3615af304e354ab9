"""Waiting for a condition from a thread, with a deadline."""

import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], *, timeout: float = 10.0) -> None:
    """Return once `condition()` is true. Raises `AssertionError` where it is not in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not so within {timeout:g} s: {condition}"
        time.sleep(0.01)
