"""Saying seldom what is so again and again."""

from typing import Final

import anyio

#: Different things that are kept apart; more are not expected.
_MOST: Final = 1000


class Seldom:
    """Whether something is to be said now: each thing once in `every` seconds.

    Args:
        every: Seconds.
    """

    def __init__(self, every: float = 30.0) -> None:
        self._every = every
        self._said: dict[str, float] = {}

    def __call__(self, what: str) -> bool:
        now = anyio.current_time()
        if now < self._said.get(what, now):
            return False
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[what] = now + self._every
        return True
