"""Sidecars as processes that are killed and frozen: no row is lost, and none comes twice."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import anyio
import msgspec
import psutil
import pytest

from bus import Bus
from storage import FenceRefused, Position, StorageConfig
from storage.client import StorageClient
from storage.log import log_of, partition_of
from storage.sidecar.partition import PartitionWriter
from storage.sidecar.report import Report
from storage.sqlite.adapter import SQLiteAdapter
from tests.storage.rows import query
from tests.storage.sidecars import environment, process, until_it_holds
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

AGENTS = ("ada", "bob", "cyd", "dan")
EACH = 5000


async def watch_for_doubles(path: Path) -> None:
    """Have the database note each row that is written a second time, whoever does it."""
    async with SQLiteAdapter.open(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE doubles (id TEXT);"
            "CREATE TRIGGER doubled AFTER UPDATE ON memory_items BEGIN "
            "INSERT INTO doubles VALUES (new.id); END;"
        )


@contextmanager
def writer(config: StorageConfig, name: str, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes `count` items as the agent `name`."""
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.writer", name, str(count)],
        env=environment(config),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


def rows(path: Path) -> int:
    [(count,)] = query(path, "SELECT count(*) FROM memory_items")
    assert isinstance(count, int)
    return count


def no_traceback(log: Path) -> None:
    assert "Traceback" not in log.read_text(), log.read_text()[-5000:]


async def test_five_kills_during_20000_writes_lose_nothing_and_double_nothing(
    bus: Bus, config: StorageConfig, path: Path, tmp_path: Path
) -> None:
    log, total = tmp_path / "sidecar.log", EACH * len(AGENTS)
    await watch_for_doubles(path)
    await bus.put_value("storage.partitions", b"2")
    assert {partition_of(name, 2) for name in AGENTS} == {0, 1}
    seen = []
    with ExitStack() as writers, anyio.fail_after(55):
        processes = [writers.enter_context(writer(config, name, EACH)) for name in AGENTS]
        for kill in range(1, 6):
            with process(config, log) as sidecar:
                goal = total * kill // 6
                await eventually(lambda goal=goal: rows(path) >= goal, timeout=30)  # type: ignore[misc]
                # Somewhere between two batches, or in the middle of one.
                await anyio.sleep(random.uniform(0, 0.03))
                assert sidecar.poll() is None
                sidecar.kill()
                sidecar.wait()
                seen.append(rows(path))
        with process(config, log):
            for one in processes:
                assert one.stdout is not None
                assert await anyio.to_thread.run_sync(one.stdout.read) == b"written\n"
            await eventually(lambda: rows(path) >= total, timeout=30)
            for partition in range(2):
                await eventually(lambda p=partition: _is_empty(bus, p))  # type: ignore[misc]
    assert seen == sorted(seen)
    assert seen[-1] < total, "the last kill came after the work"
    assert query(path, "SELECT count(*), count(DISTINCT id) FROM memory_items") == [(total, total)]
    assert query(
        path,
        "SELECT agent_id, count(DISTINCT summary), min(reinforcement_count), "
        "max(reinforcement_count) FROM memory_items GROUP BY agent_id ORDER BY agent_id",
    ) == [(name, EACH, 1, 1) for name in AGENTS]
    assert query(path, "SELECT count(*) FROM doubles") == [(0,)]
    for partition in range(2):
        assert await log_of(bus, partition).dead_length() == 0
    no_traceback(log)


async def _is_empty(bus: Bus, partition: int) -> bool:
    return await log_of(bus, partition).length() == 0


async def test_another_sidecar_takes_over_within_one_lease(
    bus: Bus, config: StorageConfig, path: Path, tmp_path: Path
) -> None:
    config = msgspec.structs.replace(config, lease=3.0)
    await bus.put_value("storage.partitions", b"2")
    async with bus.join("scout") as scout:
        client = StorageClient(scout)
        with process(config, tmp_path / "a.log") as leader:
            await until_it_holds(bus, leader, 2)
            with process(config, tmp_path / "b.log") as other:
                await until_it_holds(bus, other, 0)
                await client.memory.create_item(summary="before", memory_type="event")
                await client.flush()
                leader.kill()
                killed = time.monotonic()
                await client.memory.create_item(summary="after", memory_type="event")
                await client.flush(timeout=20)
                took = time.monotonic() - killed
                assert len(await client.memory.list_items()) == 2
                await until_it_holds(bus, other, 2)
    assert took < config.lease + 1.5, took
    no_traceback(tmp_path / "b.log")


async def test_a_frozen_sidecar_that_wakes_cannot_commit_and_is_of_use_again(
    bus: Bus, config: StorageConfig, path: Path, tmp_path: Path
) -> None:
    await watch_for_doubles(path)
    await bus.put_value("storage.partitions", b"1")
    async with bus.join("scout") as scout:
        client = StorageClient(scout)

        async def write(start: int, count: int) -> None:
            async with anyio.create_task_group() as tasks:
                for n in range(start, start + count):
                    tasks.start_soon(_create, client, n)

        await write(0, 4000)
        with process(config, tmp_path / "a.log") as frozen:
            # In the middle of the work, with a batch in its hands.
            await eventually(lambda: rows(path) > 0, timeout=20)
            await stop(frozen)
            while _is_locked(path):  # it holds SQLite's own lock: nobody else could go on
                frozen.send_signal(signal.SIGCONT)
                await anyio.sleep(0.003)  # some other place to stop at
                await stop(frozen)
            with process(config, tmp_path / "b.log") as other:
                await until_it_holds(bus, other, 1)
                await client.flush()
                [(fence,)] = query(path, "SELECT fence FROM positions")
                frozen.send_signal(signal.SIGCONT)
                await until_it_holds(bus, frozen, 0)
                await eventually(
                    lambda: (
                        "a partition was given up: partition=0" in (tmp_path / "a.log").read_text()
                    )
                )
                await write(4000, 1000)
                await client.flush()
                assert query(path, "SELECT fence FROM positions") == [(fence,)]
                other.kill()
            await until_it_holds(bus, frozen, 1)
            await write(5000, 1000)
            await client.flush()
            [(later,)] = query(path, "SELECT fence FROM positions")
            assert later > fence
    assert query(path, "SELECT count(*) FROM memory_items") == [(6000,)]
    assert query(path, "SELECT count(*) FROM doubles") == [(0,)]
    no_traceback(tmp_path / "a.log")


async def _create(client: StorageClient, n: int) -> None:
    await client.memory.create_item(summary=f"fact {n}", memory_type="event")


async def stop(one: subprocess.Popen[bytes]) -> None:
    """Freeze a process; return when it stands still."""
    one.send_signal(signal.SIGSTOP)
    await eventually(lambda: psutil.Process(one.pid).status() == psutil.STATUS_STOPPED)


def _is_locked(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


async def test_a_writer_of_an_older_lease_is_refused_whatever_it_has_read(
    bus: Bus, sqlite: SQLiteAdapter, path: Path
) -> None:
    async with bus.join("scout") as scout:
        client = StorageClient(scout, dimensions=3)
        await client.memory.create_item(summary="kept for the other", memory_type="event")
        partition = partition_of("scout", 4)
        log = log_of(bus, partition)
        await sqlite.apply([], position=Position(partition, await log.epoch(), "1-1", 10))
        writer = PartitionWriter(partition, scout, sqlite, Report("sqlite"), lease=1.0)
        with anyio.fail_after(5):
            with pytest.raises(FenceRefused, match="9 is an older lease"):
                await writer._write(9)
        assert rows(path) == 0
        assert await log.length() == 1, "what is not committed is not trimmed"


async def test_a_redis_whose_clock_is_behind_does_not_stop_the_writing(
    bus: Bus, sqlite: SQLiteAdapter, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ahead = int((time.time() + 86_400) * 1_000_000)  # the fence of a lease of tomorrow
    async with bus.join("scout") as scout:
        client = StorageClient(scout, dimensions=3)
        partition = partition_of("scout", 4)
        await client.memory.create_item(summary="one", memory_type="event")
        await sqlite.apply([], position=Position(partition, "e", "1-1", ahead))
        writer = PartitionWriter(partition, scout, sqlite, Report("sqlite"), lease=1.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(writer.run)
            await client.flush(10)
            assert rows(path) == 1
            # Another has written since, under a lease that this one knows nothing of.
            epoch = await log_of(bus, partition).epoch()
            await sqlite.apply([], position=Position(partition, epoch, "1-1", ahead + 1000))
            await client.memory.create_item(summary="two", memory_type="event")
            await client.flush(10)
            tasks.cancel_scope.cancel()
    assert "is an older lease, and must stop" in caplog.text
    assert rows(path) == 2
    assert query(path, "SELECT fence > ? FROM positions", ahead + 1000) == [(1,)]


async def test_sigterm_ends_a_sidecar_in_good_order(
    bus: Bus, config: StorageConfig, path: Path, tmp_path: Path
) -> None:
    await bus.put_value("storage.partitions", b"2")
    async with bus.join("scout") as scout:
        client = StorageClient(scout)
        with process(config, tmp_path / "a.log") as first:
            await until_it_holds(bus, first, 2)
            first.terminate()
            assert await anyio.to_thread.run_sync(first.wait, 10) == 0
        with process(config, tmp_path / "b.log") as second:
            await until_it_holds(bus, second, 2)
            await client.memory.create_item(summary="x", memory_type="event")
            await client.flush(5)
    no_traceback(tmp_path / "a.log")
