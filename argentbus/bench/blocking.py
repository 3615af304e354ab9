"""The blocking bus beside redis-py: puts from one thread and from many, and a loop of handling."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anyio.to_thread
import msgspec
import redis

from bus.blocking import Bus
from bus.messages.envelope import new_id

from .bus import TEXT
from .figures import Figure
from .systems import Payload

_encode = msgspec.msgpack.Encoder().encode


async def put(url: str, count: int, threads: int) -> Figure:
    """Messages a second that `threads` threads put, each waiting for its own."""
    return await anyio.to_thread.run_sync(_put, url, count, threads)


async def handle(url: str, count: int) -> Figure:
    """Messages a second that one thread takes, handles and acknowledges."""
    return await anyio.to_thread.run_sync(_handle, url, count)


def _put(url: str, count: int, threads: int) -> Figure:
    with Bus.connect(url, namespace=f"bench-{new_id()}") as bus:
        queue = bus.queue("bench", Payload)
        queue.put(Payload(0.0, TEXT))
        ours = _rate(lambda: queue.put(Payload(time.time(), TEXT)), count, threads)
    with redis.Redis.from_url(url, max_connections=threads) as client:
        key = f"bench-{new_id()}"
        client.ping()
        bare = _rate(
            lambda: client.xadd(key, {"e": _encode(Payload(time.time(), TEXT))}), count, threads
        )
        client.delete(key)
    return Figure(
        path=f"blocking put, {threads} thread{'s' if threads > 1 else ''}",
        ours=ours,
        bare=bare,
        unit="/s",
        beside="redis-py, one XADD each",
    )


def _rate(work: Callable[[], object], count: int, threads: int) -> float:
    def run(_: int) -> None:
        for _ in range(count // threads):
            work()

    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        list(pool.map(run, range(threads)))
        return count // threads * threads / (time.perf_counter() - started)


def _handle(url: str, count: int) -> Figure:
    with Bus.connect(url, namespace=f"bench-{new_id()}") as bus:
        queue = bus.queue("bench", Payload)
        _rate(lambda: queue.put(Payload(0.0, TEXT)), count, 16)
        with queue.consume("bench", prefetch=100) as deliveries:
            started = time.perf_counter()
            for _ in range(count // 16 * 16):
                with deliveries.receive(timeout=30):
                    pass
            ours = count / (time.perf_counter() - started)
    key = f"bench-{new_id()}"
    with redis.Redis.from_url(url) as client:
        client.xgroup_create(key, "bench", mkstream=True)
        for _ in range(count):
            client.xadd(key, {"e": _encode(Payload(0.0, TEXT))})
        started = time.perf_counter()
        for _ in range(count):
            reply = client.xreadgroup("bench", "me", {key: ">"}, count=1)
            for _, rows in reply:
                for entry_id, _ in rows:
                    client.xack(key, "bench", entry_id)
        bare = count / (time.perf_counter() - started)
        client.delete(key)
    return Figure(
        path="blocking receive, handle and acknowledge, 1 thread",
        ours=ours,
        bare=bare,
        unit="/s",
        beside="redis-py: XREADGROUP COUNT 1, XACK",
    )
