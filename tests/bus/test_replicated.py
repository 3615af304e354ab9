"""A lock that is had only once replicas have it, on a real primary with real replicas."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis

from argentbus.embedded import free_port
from bus import Bus, LockNotAcquired, NotReplicated
from tests.conftest import RedisServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def replicas(own_redis: Any, tmp_path: Path) -> Iterator[list[RedisServer]]:
    following = {"replicaof": f"127.0.0.1 {own_redis.port}", "shutdown-timeout": "0"}
    with redis.Redis.from_url(own_redis.url) as primary:
        primary.config_set("repl-diskless-sync-delay", 0)
        primary.config_set("shutdown-timeout", 0)
    servers = [RedisServer(tmp_path / f"r{n}", free_port(), settings=following) for n in range(2)]
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.stop()


async def both_follow(bus: Bus) -> None:
    async def online() -> bool:
        info = await bus.link.call("INFO", "replication")
        return int(info.count(b"state=online")) == 2

    await eventually(online)


async def test_a_replicated_lock_outlives_its_primary(
    own_redis: Any, replicas: list[RedisServer], namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        await both_follow(bus)
        async with bus.lock("doc", shared=True, replicated=2), bus.lock("doc", shared=True):
            pass
        async with bus.lock("beat", replicated=2, ttl=6) as lease:
            for replica in replicas:
                async with Bus.connect(replica.url, namespace=namespace) as other:
                    holder = await other.link.call("GET", other.keys.lock("beat"))
                    assert holder.startswith(bus.instance.encode())
                    fence = await other.link.call("GET", other.keys.lock("beat") + ":fence")
                    assert int(fence) == lease.fence
                    await other.link.call("REPLICAOF", "NO", "ONE")
                    with pytest.raises(LockNotAcquired):
                        async with other.lock("beat", wait=0):
                            pytest.fail("two holders")


async def test_too_few_replicas_are_said_and_the_lock_is_released(
    own_redis: Any, replicas: list[RedisServer], namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        await both_follow(bus)
        replicas[1].freeze()
        began = anyio.current_time()
        with pytest.raises(NotReplicated, match=r"on 2 replicas, and within 0\.3 s 1 had it") as e:
            async with bus.lock("beat", replicated=2, ttl=0.9):
                pytest.fail("held")
        assert (e.value.wanted, e.value.had) == (2, 1)
        assert anyio.current_time() - began < 1
        async with bus.lock("beat", replicated=1, ttl=0.9, wait=0):
            replicas[1].thaw()
