"""FastStream on Redis Streams, consuming in batches."""

from collections.abc import Callable

from . import Handle
from .faststream import publisher, subscribe

TITLE = "FastStream, batched"
SERVER = "redis"

__all__ = ["SERVER", "TITLE", "consume", "publisher"]


async def consume(url: str, channel: str, ready: Callable[[], None], handle: Handle) -> None:
    await subscribe(url, channel, ready, handle, batch=True)
