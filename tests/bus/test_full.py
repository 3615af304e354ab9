"""A Redis that is full: those who make room go on, and those who may not listen are told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from argentbus.embedded import free_port
from bus import Bus, MapChange, ServerFull, ServerRefused, Signing
from bus.messages.seen import without_repetitions
from tests.conftest import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def small_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", free_port(), settings={"maxmemory": "8mb"})
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


async def test_locks_jobs_and_removals_go_on_in_a_full_redis(
    small_redis: Any, namespace: str
) -> None:
    async with Bus.connect(small_redis.url, namespace=namespace, ttl=2.0) as bus:
        plan = bus.map("plan", str)
        with anyio.fail_after(20):
            async with plan.watch() as watch:
                before = await plan.put("step", "dig", ttl=3)
                with pytest.raises(ServerFull):
                    while True:
                        await plan.put("big", "x" * 50_000)
                with pytest.raises(ServerFull):  # and nothing of it was done
                    await plan.put("step", "x" * 50_000, if_version=before.version)
                assert await plan.get("step") == before
                await bus.link.call("CONFIG", "SET", "maxmemory", 1)  # fuller than full
                async with (
                    bus.lock("read", shared=True, ttl=0.3) as reader,
                    bus.lock("write", ttl=0.3) as writer,
                    bus.semaphore("gpu", permits=1, ttl=0.3) as permit,
                ):
                    run = await bus.once_per("beat", 3600, ttl=0.3).claim()
                    assert run is not None
                    async with run as lease:
                        await anyio.sleep(0.8)  # the thing under test: renewed, past the TTLs
                        for one in (reader, writer, permit, lease):
                            one.check()
                assert await plan.delete("big")
                async for item in watch:
                    if isinstance(item, MapChange) and item.kind == "expired":
                        break
                assert await plan.get("step") is None


async def test_who_may_not_read_a_channel_is_told(own_redis: Any, namespace: str) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        rules = ("on", ">p", "~*", "+@all", "resetchannels")
        await bus.link.call("ACL", "SETUSER", "deaf", *rules)
    url = own_redis.url.replace("://", "://deaf:p@")
    async with Bus.connect(url, namespace=namespace) as bus:
        with anyio.fail_after(8), pytest.raises(ServerRefused, match="permissions"):
            async with bus.topic("news", str).subscribe():
                pass


async def test_repetitions_in_a_log_are_found_where_redis_is_full(
    small_redis: Any, namespace: str
) -> None:
    signing = Signing(master=b"m" * 32)
    async with Bus.connect(small_redis.url, namespace=namespace, signing=signing) as bus:
        log = bus.log("writes")
        with pytest.raises(ServerFull):
            while True:
                await log.append(b"x" * 50_000, sender="scout")
        entries = await log.read(limit=20)
        assert await without_repetitions(bus, log, entries) == entries
        assert await log.trim(through=entries[-1].id, epoch=await log.epoch()) == 20
