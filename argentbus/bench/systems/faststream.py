"""FastStream on Redis Streams, as its documentation has it: a subscriber in a consumer group."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from faststream.redis import RedisBroker, StreamSub

from . import Handle, Payload, Put

TITLE = "FastStream"
SERVER = "redis"

#: Publishes under way: redis-py's pool raises when it is full, so its users have to limit them.
AT_ONCE = 50


@asynccontextmanager
async def publisher(url: str, channel: str) -> AsyncGenerator[Put]:
    limiter = anyio.CapacityLimiter(AT_ONCE)
    async with RedisBroker(url, logger=None) as broker:

        async def put(payload: Payload) -> None:
            async with limiter:
                body = {"sent": payload.sent, "text": payload.text}
                await broker.publish(body, stream=channel)

        yield put


async def consume(url: str, channel: str, ready: Callable[[], None], handle: Handle) -> None:
    await subscribe(url, channel, ready, handle, batch=False)


async def subscribe(
    url: str, channel: str, ready: Callable[[], None], handle: Handle, *, batch: bool
) -> None:
    """Consume one by one, or in the batches that one read brings."""
    logging.getLogger("faststream").setLevel(logging.ERROR)
    broker = RedisBroker(url, logger=None)
    over = anyio.Event()
    stream = StreamSub(channel, group="bench", consumer="one", batch=batch, max_records=1000)

    async def take(body: Any) -> None:
        for one in body if batch else (body,):
            if handle(Payload(one["sent"], one["text"])):
                over.set()

    broker.subscriber(stream=stream)(take)
    async with broker:
        await broker.start()
        ready()
        await over.wait()
