"""A Redis that is full: those who make room go on, and those who may not listen are told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from argentbus.embedded import EmbeddedRedis, free_port
from bus import Bus, ServerFull, ServerRefused

pytestmark = pytest.mark.anyio


@pytest.fixture
def small_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path / "redis", free_port(), settings={"maxmemory": "8mb"})
    server.start()
    yield server
    server.stop()


async def test_a_full_redis_is_emptied_by_its_consumers(small_redis: Any, namespace: str) -> None:
    async with Bus.connect(small_redis.url, namespace=namespace, ttl=2.0) as bus:
        queue = bus.queue("jobs", bytes)
        async with queue.consume("workers"):
            pass  # the group was there before
        put = 0
        with pytest.raises(ServerFull):
            while True:
                await queue.put(b"x" * 50_000)
                put += 1
        handled = 0
        with anyio.fail_after(20):
            async with (
                bus.join("worker"),
                bus.lock("work", wait=2),
                queue.consume("workers", prefetch=5) as deliveries,
            ):
                async for delivery in deliveries:
                    async with delivery:
                        handled += 1
                    if handled == put:
                        break
        await queue.put(b"there is room again")


async def test_who_may_not_read_a_channel_is_told(own_redis: Any, namespace: str) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        rules = ("on", ">p", "~*", "+@all", "resetchannels")
        await bus.link.call("ACL", "SETUSER", "deaf", *rules)
    url = own_redis.url.replace("://", "://deaf:p@")
    async with Bus.connect(url, namespace=namespace) as bus:
        with anyio.fail_after(8), pytest.raises(ServerRefused, match="permissions"):
            async with bus.topic("news", str).subscribe():
                pass
