"""NATS JetStream (nats-py): publishes confirmed by the stream, a durable pull consumer."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import msgspec
import nats
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.errors import BadRequestError

from . import Handle, Payload, Put

TITLE = "NATS JetStream"
SERVER = "nats"


async def _stream(js: JetStreamContext, channel: str) -> None:
    with contextlib.suppress(BadRequestError):  # there already
        await js.add_stream(name=channel, subjects=[channel])


@asynccontextmanager
async def publisher(url: str, channel: str) -> AsyncGenerator[Put]:
    encode = msgspec.msgpack.Encoder().encode
    client = await nats.connect(url)
    js = client.jetstream()
    await _stream(js, channel)
    try:

        async def put(payload: Payload) -> None:
            await js.publish(channel, encode(payload))

        yield put
    finally:
        await client.close()


async def consume(url: str, channel: str, ready: Callable[[], None], handle: Handle) -> None:
    decode = msgspec.msgpack.Decoder(Payload).decode
    client = await nats.connect(url)
    js = client.jetstream()
    await _stream(js, channel)
    subscription = await js.pull_subscribe(channel, durable="bench")
    ready()
    last = False
    while not last:
        try:
            messages = await subscription.fetch(1000, timeout=1)
        except NatsTimeout:
            continue
        for message in messages:
            last = handle(decode(message.data)) or last
            await message.ack()
    await client.flush()
    await client.close()
