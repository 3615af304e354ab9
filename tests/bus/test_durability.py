"""Durability asked for, with a real replica, that may be frozen."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
import redis

from argentbus.embedded import free_port
from bus import FSYNCED, Bus, Durability, NotDurable, QueueFull, UnsupportedServer, replicated
from bus.servers.link import Link
from tests.conftest import RedisServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def replica(own_redis: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("repl-diskless-sync-delay", "0")
    settings = {"replicaof": f"127.0.0.1 {own_redis.port}"}
    server = RedisServer(tmp_path / "replica", free_port(), settings=settings)
    server.start()
    yield server
    server.stop()


async def synchronized(bus: Bus) -> None:
    async def online() -> bool:
        return b"state=online" in await bus.link.call("INFO", "replication")

    await eventually(online, timeout=20)


async def test_fsynced_and_replicated_puts_return_when_they_are(
    own_redis: RedisServer, replica: RedisServer, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        await synchronized(bus)
        queue = bus.queue("jobs", int)
        with anyio.fail_after(10):
            await queue.put(1, durability=FSYNCED)
            await queue.put(2, durability=replicated(1))
            await queue.put(3, durability=replicated(1, fsynced=True))
            await queue.put(4, dedupe="x", delay=60, durability=replicated(1))
        async with Bus.connect(replica.url, namespace=namespace) as copy:
            assert await copy.link.call("XLEN", bus.keys.queue("jobs")) == 3


async def test_a_frozen_replica_is_an_error_that_says_what_is_there(
    own_redis: RedisServer, replica: RedisServer, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        await synchronized(bus)
        queue = bus.queue("jobs", int)
        await queue.put(0, durability=replicated(1))
        replica.freeze()
        wanted = replicated(1, timeout=0.5)
        with pytest.raises(NotDurable, match="0 of 1 replicas had the message: it is in") as caught:
            await queue.put(1, durability=wanted)
        assert (caught.value.replicas, caught.value.fsynced) == (0, False)
        with pytest.raises(NotDurable, match="the server has it on disk") as caught:
            await queue.put(2, durability=replicated(1, fsynced=True, timeout=0.3))
        assert (caught.value.replicas, caught.value.fsynced) == (0, True)
        assert (await queue.statistics()).length == 3

        # Those who wait share the wait; those who do not are not held up by it.
        started = anyio.current_time()
        failed = 0

        async def put(n: int) -> None:
            nonlocal failed
            try:
                await queue.put(n, durability=wanted)
            except NotDurable:
                failed += 1

        async with anyio.create_task_group() as tasks:
            for n in range(100):
                tasks.start_soon(put, n)
            await anyio.lowlevel.checkpoint()
            for n in range(20):
                await queue.put(n)
            assert anyio.current_time() - started < 0.45
        assert failed == 100
        assert anyio.current_time() - started < 2.0
        assert (await queue.statistics()).length == 123
        replica.thaw()
        with anyio.fail_after(10):
            await queue.put(4, durability=replicated(1, timeout=8))


async def test_a_put_repeated_over_a_broken_connection_waits_all_the_same(
    own_redis: RedisServer, replica: RedisServer, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        await synchronized(bus)
        queue = bus.queue("jobs", int)
        await queue.put(0, durability=replicated(1))
        replica.freeze()
        outcome: list[str] = []

        async def arrived() -> bool:
            return (await queue.statistics()).length == 2

        async def put() -> None:
            try:
                await queue.put(1, durability=replicated(1, timeout=1.5))
                outcome.append("durable")
            except NotDurable:
                outcome.append("not durable")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(put)
            await eventually(arrived)
            # The message is there; the connection that waits for the replica breaks. The repeated
            # script appends nothing, and WAIT must not take that for nothing to wait for.
            await bus.link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert outcome == ["not durable"]
        assert (await queue.statistics()).length == 2


async def test_a_refused_message_is_refused_and_not_called_undurable(
    own_redis: RedisServer, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        queue = bus.queue("jobs", int, max_length=1)
        with pytest.raises(NotDurable):
            await queue.put(1, durability=replicated(1, timeout=0.05))
        with pytest.raises(QueueFull):
            await queue.put(2, durability=replicated(1, timeout=0.05))


async def test_what_an_old_server_or_one_without_a_file_cannot_do_is_said(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RedisServer(tmp_path / "plain", free_port(), settings={"appendonly": "no"})
    server.start()
    try:
        async with Bus.connect(server.url) as plain:
            with pytest.raises(NotDurable, match="cannot be waited for"):
                await plain.queue("jobs", int).put(1, durability=FSYNCED)
    finally:
        server.stop()
    monkeypatch.setattr(Link, "server_version", (7, 0, 15))
    queue = bus.queue("jobs", int)
    with pytest.raises(UnsupportedServer, match="7.2"):
        await queue.put(1, durability=FSYNCED)
    assert (await queue.statistics()).length == 0
    for wrong in ({}, {"replicas": -1}, {"fsynced": True, "timeout": 0.0}):
        with pytest.raises(ValueError, match="replicas is|timeout is"):
            Durability(**wrong)  # type: ignore[arg-type]
