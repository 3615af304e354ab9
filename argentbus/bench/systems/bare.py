"""The bare driver (coredis): one XADD a message; XREADGROUP COUNT 1000 and one XACK for all."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import cast

import msgspec
from coredis import Redis
from coredis.exceptions import ResponseError

from . import Handle, Payload, Put

TITLE = "coredis, bare"
SERVER = "redis"


@asynccontextmanager
async def publisher(url: str, channel: str) -> AsyncGenerator[Put]:
    encode = msgspec.msgpack.Encoder().encode
    async with Redis.from_url(url) as redis:

        async def put(payload: Payload) -> None:
            await redis.xadd(channel, {"e": encode(payload)})

        yield put


async def consume(url: str, channel: str, ready: Callable[[], None], handle: Handle) -> None:
    decode = msgspec.msgpack.Decoder(Payload).decode
    async with Redis.from_url(url) as redis:
        try:
            await redis.xgroup_create(channel, "bench", identifier="0", mkstream=True)
        except ResponseError as error:
            if "already exists" not in str(error):
                raise
        ready()
        last = False
        while not last:
            streams = await redis.xreadgroup(
                "bench", "one", streams={channel: ">"}, count=1000, block=5000
            )
            for entries in (streams or {}).values():
                for entry in entries:
                    last = handle(decode(cast("bytes", entry.field_values[b"e"]))) or last
                await redis.xack(channel, "bench", [entry.identifier for entry in entries])
