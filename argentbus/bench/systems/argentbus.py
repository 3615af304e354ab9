"""Ours: a queue, a consumer that reads ahead, acks flushed together."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from bus import Bus

from . import Handle, Payload, Put

TITLE = "argentbus"
SERVER = "redis"


@asynccontextmanager
async def publisher(url: str, channel: str) -> AsyncGenerator[Put]:
    async with Bus.connect(url, namespace=channel) as bus:
        yield bus.queue("bench", Payload).put


async def consume(url: str, channel: str, ready: Callable[[], None], handle: Handle) -> None:
    async with (
        Bus.connect(url, namespace=channel) as bus,
        bus.queue("bench", Payload).consume("bench", prefetch=1000) as deliveries,
    ):
        ready()
        last = False
        while not last:
            async with await anext(deliveries) as delivery:
                last = handle(delivery.body)
        await deliveries.settlements.flush()
