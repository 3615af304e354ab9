"""Garbage in the other places where storage looks: handled or refused, and nothing hangs."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from bus import Bus, BusError, WrongType
from bus.messages.envelope import wrap
from storage import InvalidValue, StorageConfig, WritesLost
from storage.client import StorageClient
from storage.log import COMMITTED, Committed, committed_name, log_of, partition_of
from storage.reads import READS
from tests.storage.garbled import enveloped, nested, raw_command
from tests.storage.rows import query
from tests.storage.sidecars import sidecar
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Garbage is no surprise: nothing is logged with a traceback."""
    caplog.set_level(logging.INFO, "argentbus")
    yield
    assert [record for record in caplog.records if record.exc_info] == []


async def test_notices_that_are_lies_or_garbage_do_not_end_or_break_a_flush(
    bus: Bus, config: StorageConfig, path: Path
) -> None:
    async with bus.join("scout") as scout, anyio.create_task_group() as tasks:
        client = StorageClient(scout)
        await client.memory.create_item(summary="kept", memory_type="event")
        partition = partition_of("scout", 4)
        epoch = await log_of(bus, partition).epoch()
        lies = [
            enveloped(Committed(partition, epoch, entry_id))
            for entry_id in ("", "x", "9-9-9", "-", "1", "9" * 5000, "99999999999999-0")
        ]
        lies += [enveloped({"a": 1}), b"\xff", b"", nested(100_000), enveloped([1, 2])]

        async def lie() -> None:
            while True:
                for message in lies:
                    await bus.publish(bus.keys.topic(COMMITTED), message)
                await anyio.sleep(0.01)  # so often

        tasks.start_soon(lie)
        done = anyio.Event()

        async def flush() -> None:
            await client.flush()
            done.set()

        tasks.start_soon(flush)
        await eventually(lambda: _heard(bus))
        assert not done.is_set()
        async with sidecar(config):
            with anyio.fail_after(10):
                await done.wait()
        tasks.cancel_scope.cancel()
    assert query(path, "SELECT summary FROM memory_items") == [("kept",)]


async def _heard(bus: Bus) -> bool:
    return await bus.publish(bus.keys.topic(COMMITTED), b"\xff") > 0


@pytest.mark.parametrize("kind", ["bytes", "nothing", "an entry id that is none", "old", "a list"])
async def test_what_stands_where_the_committed_position_was_is_put_right(
    bus: Bus, config: StorageConfig, kind: str
) -> None:
    partition = partition_of("scout", 4)
    key = bus.keys.value(committed_name(partition))
    async with bus.join("scout") as scout:
        client = StorageClient(scout)
        async with sidecar(config):
            await client.memory.create_item(summary="one", memory_type="event")
            await client.flush()
            goal = await bus.link.call("GET", key)
            fresh = StorageClient(scout)
            fresh._newest = client._newest  # has written, and knows nothing of the commit
            epoch = client._newest.epoch
            await bus.link.call("DEL", key)
            match kind:
                case "bytes":
                    await bus.link.call("SET", key, b"\xff\x00")
                case "an entry id that is none":
                    lie = Committed(partition, epoch, "x-y")
                    await bus.link.call("SET", key, msgspec.msgpack.encode(lie))
                case "old":  # as a sidecar says that has not heard that it was deposed
                    old = Committed(partition, epoch, "1-1")
                    await bus.link.call("SET", key, msgspec.msgpack.encode(old))
                case "a list":
                    await bus.link.call("RPUSH", key, "x")
            with anyio.fail_after(10):
                await fresh.flush()
            assert await bus.link.call("GET", key) == goal


async def test_garbage_among_the_reads_is_buried_and_the_others_are_answered(
    bus: Bus, config: StorageConfig
) -> None:
    queue = bus.keys.queue(READS)
    reads: list[object] = [
        {"part": "items", "method": "get_item"},
        {"part": 1, "method": 2, "args": 3},
        {"part": "items", "method": "get_item", "args": {"item_id": "x"}},
        {"part": "items", "method": "delete_item", "args": {"item_id": "x"}},
        {"part": "__class__", "method": "__init__", "args": {}},
    ]
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout)
        item = await client.memory.create_item(summary="kept", memory_type="event")
        for body in reads:
            await bus.link.call("XADD", queue, "*", "e", enveloped(body))
        for message in (b"\xff", b"", nested(100_000), raw_command(nested(50_000))):
            await bus.link.call("XADD", queue, "*", "e", message)
        await bus.link.call("XADD", queue, "*", "other", "field")
        with anyio.fail_after(10):
            assert await client.memory.get_item(item.id) == item
        for reply_to in ("", "nobody", bus.keys.instance("x" * 1000), bus.keys.topic("t")):
            _, message = wrap(reads[2], sender="scout", reply_to=reply_to)
            await bus.link.call("XADD", queue, "*", "e", message)
        for domain, method in (("memory", "delete_item"), ("__class__", "x"), ("tasks", "_write")):
            with pytest.raises((InvalidValue, KeyError)):
                await client.read(domain, method, item_id=item.id)
        with anyio.fail_after(10):
            assert await client.memory.get_item(item.id) == item
        dead = bus.queue(READS, dict)
        await eventually(lambda: _dead(dead, len(reads) + 5))
        reasons = [letter.reason for letter in await dead.dead_letters()]
        assert reasons.count("nobody waits for an answer to this read") == 3


async def _dead(queue: Any, count: int) -> bool:
    statistics = await queue.statistics()
    return statistics.dead == count and statistics.length == 0


async def test_a_method_that_is_not_offered_is_refused_by_the_sidecar_too(
    bus: Bus, config: StorageConfig
) -> None:
    async with sidecar(config), bus.join("scout"):
        queue = bus.queue(READS, dict, sender="scout")
        for domain, method in (("memory", "delete_item"), ("tasks", "__init__"), ("x" * 999, "")):
            body = {"part": domain, "method": method, "args": {"item_id": "x"}}
            with pytest.raises(BusError, match=r"InvalidValue: method: .*cannot be asked for"):
                await bus.request(queue, body, dict, timeout=5, sender="scout")


async def test_a_reads_queue_that_is_no_stream_does_not_stop_the_writing(
    bus: Bus, config: StorageConfig, path: Path
) -> None:
    queue = bus.keys.queue(READS)
    await bus.link.call("SET", queue, "not a stream")
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout, timeout=10)
        await client.memory.create_item(summary="kept", memory_type="event")
        await client.flush(10)
        assert query(path, "SELECT summary FROM memory_items") == [("kept",)]
        with pytest.raises(WrongType, match="is a string, where argentbus keeps a stream"):
            await client.memory.list_items()
        await bus.link.call("DEL", queue)
        assert len(await client.memory.list_items()) == 1


async def test_garbage_on_its_own_channel_does_not_disturb_an_instance(
    bus: Bus, config: StorageConfig
) -> None:
    channel = bus.keys.instance(bus.instance)
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout)
        item = await client.memory.create_item(summary="kept", memory_type="event")
        await client.memory.list_items()
        for message in (
            *(b"\xff", b"", b"wake:", b"wake:\xff", nested(100_000)),
            *(enveloped({"a": 1}), enveloped({}, type="!error")),
        ):
            assert await bus.publish(channel, message) == 1
        assert await client.memory.get_item(item.id) == item


@pytest.mark.parametrize(
    "value", [b"", b"0", b"-1", b"four", b"9" * 5000, b"1025", b"\xff", b"4\n"]
)
async def test_a_number_of_partitions_that_is_none_is_a_clear_error(
    bus: Bus, config: StorageConfig, value: bytes
) -> None:
    await bus.link.call("SET", bus.keys.value("storage.partitions"), value)
    async with bus.join("scout") as scout:
        with anyio.fail_after(5):
            with pytest.raises(BusError, match="number of partitions .* from 1 to 1024"):
                await StorageClient(scout).memory.create_item(summary="x", memory_type="event")
    with anyio.fail_after(5):
        with pytest.raises(BusError, match="number of partitions"):
            async with sidecar(config):
                pass


async def test_a_log_that_is_no_stream_stops_its_own_partition_only(
    bus: Bus, config: StorageConfig, path: Path
) -> None:
    await bus.put_value("storage.partitions", b"2")
    broken = log_of(bus, partition_of("scout", 2)).key
    await bus.link.call("SET", broken, "not a stream")
    async with sidecar(config), bus.join("scout") as scout, bus.join("g") as other:
        with pytest.raises(WrongType, match="is a string, where argentbus keeps a stream"):
            await StorageClient(scout).memory.create_item(summary="x", memory_type="event")
        client = StorageClient(other)
        await client.memory.create_item(summary="y", memory_type="event")
        await client.flush(10)
        await bus.link.call("DEL", broken)
        mended = StorageClient(scout)
        await mended.memory.create_item(summary="x", memory_type="event")
        await mended.flush(10)
    assert query(path, "SELECT count(*) FROM memory_items") == [(2,)]


async def test_an_epoch_that_is_garbage_is_an_epoch_like_any_other(
    bus: Bus, config: StorageConfig, path: Path
) -> None:
    async with bus.join("scout") as scout:
        client = StorageClient(scout)
        await client.memory.create_item(summary="before", memory_type="event")
        key = f"{log_of(bus, partition_of('scout', 4)).key}:epoch"
        await bus.link.call("SET", key, b"\xff\x00")
        after = StorageClient(scout)
        await after.memory.create_item(summary="after", memory_type="event")
        async with sidecar(config):
            await after.flush(10)
            with pytest.raises(WritesLost):  # as far as this one can tell
                await client.flush(10)
    assert query(path, "SELECT count(*) FROM memory_items") == [(2,)]
