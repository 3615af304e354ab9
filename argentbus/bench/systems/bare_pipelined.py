"""The bare driver at its fastest: pipelines of 500 XADD, that nobody awaits one by one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from coredis import Redis

from . import Payload, Put
from .bare import consume

TITLE = "coredis, pipelines of 500"
SERVER = "redis"

__all__ = ["SERVER", "TITLE", "consume", "publisher"]


@asynccontextmanager
async def publisher(url: str, channel: str) -> AsyncGenerator[Put]:
    encode = msgspec.msgpack.Encoder().encode
    waiting: list[bytes] = []
    async with Redis.from_url(url) as redis:

        async def flush() -> None:
            messages = waiting.copy()
            waiting.clear()
            async with redis.pipeline(transaction=False) as pipeline:
                for message in messages:
                    pipeline.xadd(channel, {"e": message})

        async def put(payload: Payload) -> None:
            waiting.append(encode(payload))
            if len(waiting) >= 500:
                await flush()

        yield put
        if waiting:
            await flush()
