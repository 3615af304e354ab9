"""The bus beside bare drivers: put, put to acknowledged in another process, request, lock."""

import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import msgspec
import redis.asyncio

from bus import Bus
from bus.messages.envelope import new_id

from .figures import Figure, median
from .load import Load, measure
from .systems import BARE, OURS, Payload

TEXT = "x" * 120


async def put(url: str, count: int, publishers: int = 500) -> Figure:
    """Messages a second that `publishers` tasks put, each awaiting its own."""
    async with Bus.connect(url, namespace=f"bench-{new_id()}") as bus:
        queue = bus.queue("bench", Payload)

        async def publish(n: int) -> None:
            for _ in range(n):
                await queue.put(Payload(time.time(), TEXT))

        ours = await _rate(publish, count, publishers)
    async with redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=50) as pool:
        client = redis.asyncio.Redis(connection_pool=pool)
        encode = msgspec.msgpack.Encoder().encode
        key = f"bench-{new_id()}"

        async def publish_bare(n: int) -> None:
            for _ in range(n):
                await client.xadd(key, {"e": encode(Payload(time.time(), TEXT))})

        bare = await _rate(publish_bare, count // 4, publishers)
        await client.delete(key)
    return Figure(
        path=f"put, {publishers} publishers",
        ours=ours,
        bare=bare,
        unit="/s",
        beside="redis.asyncio, pool of 50, one XADD each",
    )


async def _rate(work: Callable[[int], Coroutine[Any, Any, None]], count: int, tasks: int) -> float:
    started = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(work, count // tasks)
    return count // tasks * tasks / (time.perf_counter() - started)


async def end_to_end(url: str, count: int) -> Figure:
    """Messages a second from put to handled and acknowledged in another process."""
    ours = await measure(OURS, url, Load(count))
    bare = await measure("bare_pipelined", url, Load(count, publishers=1))
    return Figure(
        path="put -> handled and acked, two processes",
        ours=ours.rate,
        bare=bare.rate,
        unit="/s",
        beside="coredis: pipelines of 500 XADD, XREADGROUP COUNT 1000, one XACK",
    )


async def latency(url: str, count: int) -> list[Figure]:
    """Milliseconds from put to handler in another process, one message at a time."""
    ours, bare = [await measure(name, url, Load(count, rate=400)) for name in (OURS, BARE)]
    return [
        Figure(
            path=f"put -> handler at low load, {name}",
            ours=getattr(ours, name),
            bare=getattr(bare, name),
            unit="ms",
            beside="coredis: XADD -> XREADGROUP",
        )
        for name in ("p50", "p99")
    ]


async def request(url: str, count: int) -> Figure:
    """Milliseconds of a request and its reply, within one process."""
    async with Bus.connect(url, namespace=f"bench-{new_id()}") as bus:
        async with (
            bus.join("asker") as asker,
            bus.join("answerer") as answerer,
            anyio.create_task_group() as tasks,
        ):

            async def serve() -> None:
                async for delivery in answerer.inbox(Payload):
                    async with delivery:
                        await delivery.reply(delivery.body)

            tasks.start_soon(serve)
            ours = []
            for _ in range(count):
                started = time.perf_counter()
                await asker.request("answerer", Payload(0.0, TEXT), Payload, timeout=10)
                ours.append((time.perf_counter() - started) * 1000)
            tasks.cancel_scope.cancel()
        pings = []
        for _ in range(count):
            started = time.perf_counter()
            for _ in range(2):
                await bus.link.call("PING")
            pings.append((time.perf_counter() - started) * 1000)
    return Figure(
        path="request and reply, p50",
        ours=median(ours),
        bare=median(pings),
        unit="ms",
        beside="two PINGs",
    )


async def lock_handoff(url: str, count: int) -> Figure:
    """Milliseconds from one holder's release to the acquisition of another, who was waiting."""
    async with (
        Bus.connect(url, namespace=f"bench-{new_id()}") as bus,
        redis.asyncio.Redis.from_url(url) as client,
    ):
        name = f"bench-{new_id()}"
        ours = await _handoffs(lambda: bus.lock("bench", ttl=10), count)
        bare = await _handoffs(lambda: client.lock(name, timeout=10), max(4, count // 10))
    return Figure(
        path="lock handed to a waiter, p50",
        ours=median(ours),
        bare=median(bare),
        unit="ms",
        beside="redis-py's Lock, which polls every 100 ms",
    )


async def _handoffs(
    lock: Callable[[], AbstractAsyncContextManager[object]], count: int
) -> list[float]:
    """Take turns: whoever gets the lock lets the other one begin to wait before it releases."""
    handoffs: list[float] = []
    released = 0.0
    done = anyio.Event()

    async def contend() -> None:
        nonlocal released
        while not done.is_set():
            async with lock():
                if released:
                    handoffs.append((time.perf_counter() - released) * 1000)
                await anyio.sleep(0.02)
                released = time.perf_counter()
            # Let the other one have it: a lock that is not fair would come straight back.
            await anyio.sleep(0.01 if len(handoffs) < count else 0)
            if len(handoffs) >= count:
                done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(contend)
        tasks.start_soon(contend)
    return handoffs
