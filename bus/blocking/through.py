"""How the blocking nouns come from the async ones: parameters, defaults, types and documentation
are theirs, and written once.

The async noun is `self.over`, and its bus `self._bus`.
"""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from .hold import Block, Hold

if TYPE_CHECKING:
    from .bus import Bus

P = ParamSpec("P")
R = TypeVar("R")
Over = TypeVar("Over")
Shown = TypeVar("Shown")


class Noun(Generic[Over]):
    """A blocking noun.

    Attributes:
        over: The async noun that it is.
    """

    def __init__(self, bus: "Bus", over: Over) -> None:
        self.over = over
        self._bus = bus

    def __repr__(self) -> str:
        return f"<blocking {self.over!r}>"


def through(
    method: Callable[Concatenate[Any, P], Awaitable[R]],
) -> Callable[Concatenate[Any, P], R]:
    """The async method as a blocking one: it runs on the portal while the thread waits."""
    name = method.__name__

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **options: P.kwargs) -> R:
        result: R = self._bus.portal.call(getattr(self.over, name), *args, **options)
        return result

    return call


def making(
    method: Callable[Concatenate[Any, P], Over], noun: "Callable[[Bus, Over], Shown]"
) -> Callable[Concatenate[Any, P], Shown]:
    """A method that makes an async noun, as one that makes the blocking `noun` of it."""
    name = method.__name__

    @functools.wraps(method)
    def make(self: Any, /, *args: P.args, **options: P.kwargs) -> Shown:
        return noun(self._bus, getattr(self.over, name)(*args, **options))

    return make


def entering(
    method: Callable[Concatenate[Any, P], AbstractAsyncContextManager[Over]],
    show: "Callable[[Bus, Hold[Over], Over], Shown]",
) -> Callable[Concatenate[Any, P], Block[Over, Shown]]:
    """A method that makes an async context manager, as one for `with`, which gives what `show`
    makes of what the async one gives.
    """
    name = method.__name__

    @functools.wraps(method)
    def make(self: Any, /, *args: P.args, **options: P.kwargs) -> Block[Over, Shown]:
        return Block(self._bus, getattr(self.over, name)(*args, **options), show)

    return make


def each(
    method: Callable[Concatenate[Any, P], AsyncIterator[R]],
) -> Callable[Concatenate[Any, P], Iterator[R]]:
    """A method to be iterated over with `async for`, as one for `for`."""
    name = method.__name__

    @functools.wraps(method)
    def iterate(self: Any, /, *args: P.args, **options: P.kwargs) -> Iterator[R]:
        items: AsyncIterator[R] = getattr(self.over, name)(*args, **options)
        while True:
            try:
                item: R = self._bus.portal.call(items.__anext__)
            except StopAsyncIteration:
                return
            yield item

    return iterate
