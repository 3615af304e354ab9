"""Redis is killed under everything at once, and comes back on its files: all go on."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from bus import Bus, BusUnavailable, Lease
from storage import StorageConfig
from storage.client import StorageClient
from storage.errors import WritesLost
from storage.log import log_of
from tests.storage.rows import query
from tests.storage.sidecars import process, sidecar, until_it_holds
from tests.storage.test_sidecar_kill import no_traceback, watch_for_doubles
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

KILLS = 3


class Job(msgspec.Struct):
    n: int


class Mood(msgspec.Struct):
    name: str


class Crew:
    """Everything that agents do, all the time, until it is told to stop."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.stopping = False
        self.acknowledged: set[str] = set()
        self.put: set[int] = set()
        self.handled: set[int] = set()
        self.heard = 0
        self.lease: Lease | None = None
        self.answered = 0

    async def write(self, name: str) -> None:
        """Memory items, ten at a time."""
        async with self.bus.join(name) as agent:
            client = StorageClient(agent)

            async def create(n: int) -> None:
                item = await client.memory.create_item(summary=f"{name} {n}", memory_type="event")
                self.acknowledged.add(item.id)

            n = 0
            while not self.stopping:
                async with anyio.create_task_group() as tasks:
                    for _ in range(10):
                        n += 1
                        tasks.start_soon(create, n)
            await client.flush(60)

    async def read(self) -> None:
        """A read of what was just written, again and again."""
        async with self.bus.join("reader") as agent:
            client, n = StorageClient(agent, timeout=40), 0
            while not self.stopping:
                n += 1
                item = await client.memory.create_item(summary=f"read {n}", memory_type="event")
                self.acknowledged.add(item.id)
                assert await client.memory.get_item(item.id) == item
                self.answered += 1

    async def put_jobs(self) -> None:
        queue, n = self.bus.queue("jobs", Job), 0
        while not self.stopping:
            n += 1
            await queue.put(Job(n))
            self.put.add(n)

    async def handle_jobs(self) -> None:
        async with self.bus.queue("jobs", Job).consume("workers") as deliveries:
            async for delivery in deliveries:
                async with delivery:
                    self.handled.add(delivery.body.n)

    async def hold(self) -> None:
        """One lease from beginning to end."""
        async with self.bus.lock("held", ttl=15) as lease:
            self.lease = lease
            await anyio.sleep_forever()

    async def listen(self) -> None:
        async with self.bus.topic("mood", Mood).subscribe() as feed:
            async for _ in feed:
                self.heard += 1


async def test_a_kill_of_redis_loses_nothing_that_was_acknowledged_and_all_go_on(
    own_redis: Any, namespace: str, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "argentbus")
    config = StorageConfig(
        redis_url=own_redis.url, namespace=namespace, sqlite_path=path, partitions=2, lease=5.0
    )
    await watch_for_doubles(path)
    async with (
        Bus.connect(own_redis.url, namespace=namespace, ttl=5.0) as bus,
        anyio.create_task_group() as tasks,
    ):
        await bus.put_value("storage.partitions", b"2")
        crew = Crew(bus)
        with process(config, tmp_path / "sidecar.log") as sidecar, anyio.fail_after(50):
            await until_it_holds(bus, sidecar, 2)
            for work in (crew.handle_jobs, crew.hold, crew.listen):
                tasks.start_soon(work)
            async with anyio.create_task_group() as writers:
                for name in ("ada", "bob"):
                    writers.start_soon(crew.write, name)
                writers.start_soon(crew.read)
                writers.start_soon(crew.put_jobs)
                for _ in range(KILLS):
                    await progress(crew)
                    await outage(own_redis)
                await progress(crew)
                crew.stopping = True
            assert sidecar.poll() is None
            stored = {row[0] for row in query(path, "SELECT id FROM memory_items")}
            assert crew.acknowledged - stored == set()
            assert query(path, "SELECT count(*) FROM doubles") == [(0,)]
            assert query(path, "SELECT max(reinforcement_count) FROM memory_items") == [(1,)]
            await eventually(lambda: crew.put <= crew.handled)
            assert crew.lease is not None
            assert crew.lease.remaining > 0, "the lease was held all the time"
        tasks.cancel_scope.cancel()
    no_traceback(tmp_path / "sidecar.log")
    assert [record for record in caplog.records if record.exc_info] == []


async def outage(redis: Any) -> None:
    """Kill Redis, and start it again while everybody tries to reach it."""
    await anyio.to_thread.run_sync(redis.kill)
    await anyio.sleep(1.0)  # the thing under test
    await anyio.to_thread.run_sync(redis.start)


async def progress(crew: Crew) -> None:
    """Wait until everything has gone on since."""
    written, handled = len(crew.acknowledged), len(crew.handled)
    heard, answered = crew.heard, crew.answered

    async def so() -> bool:
        with suppress(BusUnavailable):  # said once, to whoever was publishing just then
            await crew.bus.topic("mood", Mood).publish(Mood("calm"))
        present = (await crew.bus.registry.snapshot()).agents
        return (
            len(crew.acknowledged) > written + 100
            and len(crew.handled) > handled + 20
            and crew.heard > heard
            and crew.answered > answered
            and crew.lease is not None
            and {"ada", "bob", "reader"} <= set(present)
        )

    await eventually(so, timeout=30)


async def test_what_redis_acknowledged_before_it_was_killed_is_written_by_a_later_sidecar(
    own_redis: Any, namespace: str, path: Path, tmp_path: Path
) -> None:
    config = StorageConfig(
        redis_url=own_redis.url, namespace=namespace, sqlite_path=path, partitions=2, lease=2.0
    )
    async with (
        Bus.connect(own_redis.url, namespace=namespace) as bus,
        bus.join("scout") as scout,
    ):
        client = StorageClient(scout)
        async with anyio.create_task_group() as tasks:
            for n in range(500):
                tasks.start_soon(_create, client, n)
        await outage(own_redis)
        with process(config, tmp_path / "sidecar.log"):
            await client.flush(30)
            assert query(path, "SELECT count(*) FROM memory_items") == [(500,)]


async def test_a_log_that_lost_its_tail_goes_on_and_its_writers_are_told(
    own_redis: Any, namespace: str, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = StorageConfig(
        redis_url=own_redis.url, namespace=namespace, sqlite_path=path, partitions=1, lease=2.0
    )
    async with (
        Bus.connect(own_redis.url, namespace=namespace) as bus,
        bus.join("scout") as scout,
    ):
        client, log = StorageClient(scout), log_of(bus, 0)
        await bus.put_value("storage.partitions", b"1")
        await _create(client, 1)
        async with sidecar(config):
            await client.flush(10)
            kept = own_redis.written
            seconds, _ = await bus.link.call("TIME")
            await bus.link.call("XSETID", log.key, f"{(int(seconds) + 3600) * 1000}-0")
            await _create(client, 2)
            await client.flush(10)  # the position is in the future now
            await anyio.to_thread.run_sync(own_redis.lose_tail, kept)
            await _create(client, 3)  # with an id that the sidecar has passed
            with anyio.fail_after(20):
                with suppress(WritesLost):
                    await client.flush(15)
                await _create(client, 4)
                await client.flush(15)
        assert query(path, "SELECT count(*) FROM memory_items") == [(4,)]
        assert "lost the end of the write log" in caplog.text


async def test_flush_tells_of_a_write_that_redis_lost_although_others_came_after_it(
    own_redis: Any, namespace: str, path: Path
) -> None:
    config = StorageConfig(
        redis_url=own_redis.url, namespace=namespace, sqlite_path=path, partitions=1, lease=2.0
    )
    async with (
        Bus.connect(own_redis.url, namespace=namespace) as bus,
        Bus.connect(own_redis.url, namespace=namespace) as elsewhere,
        bus.join("scout") as scout,
        elsewhere.join("writer") as writer,
    ):
        await bus.put_value("storage.partitions", b"1")
        client, other = StorageClient(scout), StorageClient(writer)
        await _create(client, 1)
        kept = own_redis.written
        await _create(client, 2)
        await anyio.to_thread.run_sync(own_redis.lose_tail, kept)
        await _create(other, 3)
        async with sidecar(config):
            await other.flush(20)
            with pytest.raises(WritesLost, match="write it again"):
                await client.flush(20)
            await _create(client, 2)
            await client.flush(20)
        assert query(path, "SELECT count(*) FROM memory_items") == [(3,)]


async def _create(client: StorageClient, n: int) -> None:
    await client.memory.create_item(summary=f"fact {n}", memory_type="event")
