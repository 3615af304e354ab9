"""The systems that do the same work in a measurement: a module each, loaded when it is asked for.

Each has `server`, the URL scheme it needs, and two coroutines: `publisher`, a context manager that
gives a function to put one payload and wait until the server has it; and `consume`, which handles
and acknowledges payloads until it is told that it was the last.
"""

import importlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import msgspec

#: Module names: ours, the bare driver, and peers (extra `peers`).
OURS: Final = "argentbus"
BARE: Final = "bare"
PEERS: Final = ("faststream", "faststream_batched", "taskiq", "jetstream")


class Payload(msgspec.Struct):
    """What is sent.

    Attributes:
        sent: When, in seconds since the epoch.
        text: Padding to the size that is asked for.
    """

    sent: float
    text: str


Put = Callable[[Payload], Awaitable[Any]]
Handle = Callable[[Payload], bool]


class System(Protocol):
    """A module of this package."""

    TITLE: str
    SERVER: str

    def publisher(self, url: str, channel: str) -> AbstractAsyncContextManager[Put]:
        """Connect; give the function that puts."""

    async def consume(
        self, url: str, channel: str, ready: Callable[[], None], handle: Handle
    ) -> None:
        """Call `ready` once everything put from then on is received, and `handle` for each payload.

        Return after `handle` has returned True and everything is acknowledged.
        """


def load(name: str) -> System:
    """The system `name`.

    Raises:
        ModuleNotFoundError: its package is not installed.
    """
    module: Any = importlib.import_module(f"{__name__}.{name}")
    return module  # type: ignore[no-any-return]
