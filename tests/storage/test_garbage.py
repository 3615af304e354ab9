"""Whatever stands in Redis where storage looks: set aside or refused, and nobody held up by it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import Bus, BusError, LogEntry
from bus.deadletter import DeadLetter, dead_letter
from bus.envelope import wrap
from bus.log import _entry
from storage import InvalidValue, StorageConfig
from storage.client import StorageClient
from storage.log import COMMITTED, Committed, committed_name, log_of, partition_of
from storage.model.memory import CreateItem, DeleteItem, MemoryItem, ReinforceItem
from storage.model.tasks import MoveTask
from storage.model.values import now
from storage.reads import READS
from storage.sidecar.batch import MOST_ENTRIES, next_limit, read_batch
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


def enveloped(body: object, sender: str = "scout", type: str | None = None) -> bytes:
    return wrap(body, sender=sender, type=type)[1]


def item_of(agent: str, **columns: Any) -> CreateItem:
    item = MemoryItem(
        id=f"by-{agent}", agent_id=agent, memory_type="event", summary="x", created_at=now(),
        updated_at=now(),
    )  # fmt: skip
    return CreateItem(item=msgspec.structs.replace(item, **columns))


def nested(depth: int) -> bytes:
    """A msgpack array in an array, and so on."""
    return b"\x91" * depth + b"\x90"


def raw_command(body: bytes, type: str = "CreateItem") -> bytes:
    """An envelope around bytes that nobody's encoder would make."""
    message = enveloped(msgspec.Raw(body), type=type)
    assert body in message
    return message


def late(hours: str) -> dict[str, Any]:
    """A command as plain data, with a time that overflows in UTC."""
    at = f"9999-12-31T23:59:59{hours}"
    return {"type": "ReinforceItem", "agent_id": "scout", "item_id": "kept", "at": at}


def deep_extra(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    plain: dict[str, Any] = msgspec.to_builtins(item_of("scout"))
    plain["item"]["extra"] = value
    return plain


def garbage() -> dict[str, tuple[bytes, str]]:
    """Entries, by what is wrong with them: the bytes, and a part of the reason."""
    good = enveloped(item_of("scout"))
    return {
        "random bytes": (b"\xff\x00 garbage \xfe", "not an envelope"),
        "nothing": (b"", "not an envelope"),
        "truncated": (good[: len(good) // 2], "not an envelope"),
        "trailing": (good + b"\x00", "not an envelope"),
        "JSON": (b'{"summary": "x"}', "not an envelope"),
        "nested": (nested(100_000), "not an envelope"),
        "a bomb": (b"\xdd\xff\xff\xff\xff" + b"\x00", "not an envelope"),
        "another type": (enveloped({"a": 1}, type="Mood"), "'Mood' is not a command"),
        "no type": (enveloped({"a": 1}, type="__class__"), "is not a command"),
        "a control sequence": (enveloped({}, type="\x1b[2J"), r"'\x1b[2J' is not a command"),
        "another body": (enveloped({"a": 1}, type="CreateItem"), "is not a CreateItem"),
        "another command": (
            enveloped(DeleteItem(agent_id="scout", item_id="x"), type="CreateItem"),
            "is not a CreateItem",
        ),
        "a body that is nested": (raw_command(nested(50_000)), "not a"),
        "a body that is a bomb": (raw_command(b"\x81\xa4item\xdf\xff\xff\xff\xff"), "not an"),
        "deep extra": (enveloped(deep_extra(500), type="CreateItem"), "nested deeper"),
        "another's name": (enveloped(item_of("writer")), "'scout' may not write as 'writer'"),
        "another's name, sent": (enveloped(item_of("scout"), "writer"), "may not write as"),
        "nobody's name": (enveloped(item_of("", id="n"), ""), "agent_id: has 0 characters"),
        "a NUL": (enveloped(item_of("scout", summary="a\0b")), "summary: has a NUL"),
        "a wrong vector": (enveloped(item_of("scout", embedding=b"123")), "embedding"),
        "a time without a zone": (enveloped(late(""), type="ReinforceItem"), "at: must be"),
        "a time that overflows": (enveloped(late("-05:00"), type="ReinforceItem"), "at: must"),
        "what is not there": (
            enveloped(ReinforceItem(agent_id="scout", item_id="nope", at=now())),
            "no memory item nope",
        ),
        "a status that is none": (
            enveloped(MoveTask(agent_id="scout", task_id="t", status="done", at=now())),
            "status: is 'done'",
        ),
    }


async def dead_letters(bus: Bus, partition: int) -> list[DeadLetter]:
    key = log_of(bus, partition).key
    return [dead_letter(row) for row in await bus.link.call("XRANGE", f"{key}:dead", "-", "+")]


async def test_garbled_entries_are_set_aside_with_a_reason_once_and_hold_nobody_up(
    bus: Bus, config: StorageConfig, path: Path
) -> None:
    wrong = garbage()
    async with bus.join("scout") as scout, bus.join("g") as other:
        clients = [StorageClient(scout), StorageClient(other)]
        assert {partition_of("scout", 2), partition_of("g", 2)} == {0, 1}
        await bus.put_value("storage.partitions", b"2")
        for partition in range(2):
            key = log_of(bus, partition).key
            for message, _ in wrong.values():
                await bus.link.call("XADD", key, "*", "e", message)
            await bus.link.call("XADD", key, "*", "command", b"x", "body", b"y")
        for client in clients:
            await client.memory.create_item(
                summary="kept", memory_type="event", item_id=f"of-{client.agent_id}"
            )
        for _ in range(2):  # the second one finds nothing more to set aside
            async with sidecar(config):
                with anyio.fail_after(10):
                    for client in clients:
                        await client.flush()
                        await client.memory.list_items()
        for partition in range(2):
            assert await log_of(bus, partition).length() == 0
            letters = await dead_letters(bus, partition)
            assert len(letters) == len(wrong) + 1
            by_message = {letter.message: letter.reason for letter in letters}
            for what, (message, reason) in wrong.items():
                assert reason in by_message[message], what
                assert len(by_message[message]) < 1000, what
            assert any("no field named e" in letter.reason for letter in letters)
    assert query(path, "SELECT id FROM memory_items ORDER BY id") == [("of-g",), ("of-scout",)]


@given(st.binary(max_size=200) | st.binary(max_size=30).map(raw_command))
def test_no_bytes_are_more_than_a_rejected_entry(raw: bytes) -> None:
    [(_, reason)] = read_batch([_entry("1-1", [b"e", raw])]).rejected
    assert reason


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
        {"domain": "memory", "method": "get_item"},
        {"domain": 1, "method": 2, "args": 3},
        {"domain": "memory", "method": "get_item", "args": {"item_id": "x"}},
        {"domain": "memory", "method": "delete_item", "args": {"item_id": "x"}},
        {"domain": "__class__", "method": "__init__", "args": {}},
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
            body = {"domain": domain, "method": method, "args": {"item_id": "x"}}
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
        with pytest.raises(BusError, match="wrong kind of value"):
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
        with pytest.raises(BusError, match="wrong kind of value"):
            await StorageClient(scout).memory.create_item(summary="x", memory_type="event")
        client = StorageClient(other)
        await client.memory.create_item(summary="y", memory_type="event")
        await client.flush(10)
        await bus.link.call("DEL", broken)
        mended = StorageClient(scout)
        await mended.memory.create_item(summary="x", memory_type="event")
        await mended.flush(10)
    assert query(path, "SELECT count(*) FROM memory_items") == [(2,)]


def test_large_entries_are_read_a_few_at_a_time() -> None:
    small = [LogEntry("1-1", None, b"x" * 200)] * 64
    large = [LogEntry("1-1", None, b"x" * (8 << 20))] * 64
    assert next_limit(64, small) == 256
    assert next_limit(900, small) == MOST_ENTRIES
    assert next_limit(1000, large) == 4
    assert next_limit(1, [LogEntry("1-1", None, b"x" * (64 << 20))]) == 1
    assert next_limit(1, [LogEntry("1-1", None, b"")]) == 4
