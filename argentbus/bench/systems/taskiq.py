"""taskiq on Redis Streams (taskiq-redis): a task a message."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
from taskiq.receiver import Receiver
from taskiq_redis import RedisStreamBroker

from . import Handle, Payload, Put
from .faststream import AT_ONCE

TITLE = "taskiq"
SERVER = "redis"


@asynccontextmanager
async def publisher(url: str, channel: str) -> AsyncGenerator[Put]:
    broker = RedisStreamBroker(url, queue_name=channel, consumer_group_name="bench")

    @broker.task(task_name="bench")  # type: ignore[untyped-decorator]
    async def task(sent: float, text: str) -> None: ...

    limiter = anyio.CapacityLimiter(AT_ONCE)
    await broker.startup()
    try:

        async def put(payload: Payload) -> None:
            async with limiter:
                await task.kiq(payload.sent, payload.text)

        yield put
    finally:
        await broker.shutdown()


async def consume(url: str, channel: str, ready: Callable[[], None], handle: Handle) -> None:
    broker = RedisStreamBroker(
        url, queue_name=channel, consumer_group_name="bench", xread_count=1000
    )
    over = asyncio.Event()  # taskiq runs on asyncio alone

    @broker.task(task_name="bench")  # type: ignore[untyped-decorator]
    async def task(sent: float, text: str) -> None:
        if handle(Payload(sent, text)):
            over.set()

    broker.is_worker_process = True
    await broker.startup()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Receiver(broker).listen, over)
        await anyio.sleep(1.0)  # it does not say when it is ready
        ready()
    await broker.shutdown()
