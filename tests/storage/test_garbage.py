"""Garbled entries in the write log: set aside with a reason, once, and nobody held up."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import Bus, Log, LogEntry
from bus.logs.log import _entry
from bus.queues.deadletter import DeadLetter, dead_letter
from storage import StorageConfig
from storage.client import StorageClient
from storage.log import log_of, partition_of
from storage.model.items import DeleteItem, ReinforceItem
from storage.model.tasks import MoveTask
from storage.model.values import now
from storage.sidecar.batch import MOST_ENTRIES, next_limit, read_batch
from storage.sqlite import database
from storage.sqlite.adapter import SQLiteAdapter
from tests.storage.garbled import enveloped, item_of, nested, raw_command
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
                summary="kept", memory_type="event", item_id=f"of-{client.agent}"
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


async def test_an_entry_that_is_read_again_after_a_crash_is_set_aside_once(
    bus: Bus, config: StorageConfig, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY", 0.2)
    await bus.put_value("storage.partitions", b"2")
    partition = partition_of("scout", 2)
    log = log_of(bus, partition)
    async with SQLiteAdapter.open(path):
        pass
    async with bus.join("scout") as scout:
        client = StorageClient(scout)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            async with sidecar(config):  # which sets aside, cannot commit, and ends
                other.execute("BEGIN IMMEDIATE")
                await bus.link.call("XADD", log.key, "*", "e", b"\xff")
                await eventually(lambda: _has_dead(log))
            assert await log.length() == 1
            other.execute("ROLLBACK")
        await client.memory.create_item(summary="kept", memory_type="event")
        async with sidecar(config):
            await client.flush(10)
        assert len(await dead_letters(bus, partition)) == 1
    assert query(path, "SELECT summary FROM memory_items") == [("kept",)]


async def _has_dead(log: Log) -> bool:
    return await log.dead_length() == 1


@given(st.binary(max_size=200) | st.binary(max_size=30).map(raw_command))
def test_no_bytes_are_more_than_a_rejected_entry(raw: bytes) -> None:
    [(_, reason)] = read_batch([_entry("1-1", [b"e", raw])]).rejected
    assert reason


def test_large_entries_are_read_a_few_at_a_time() -> None:
    small = [LogEntry("1-1", None, b"x" * 200)] * 64
    large = [LogEntry("1-1", None, b"x" * (8 << 20))] * 64
    assert next_limit(64, small) == 256
    assert next_limit(900, small) == MOST_ENTRIES
    assert next_limit(1000, large) == 4
    assert next_limit(1, [LogEntry("1-1", None, b"x" * (64 << 20))]) == 1
    assert next_limit(1, [LogEntry("1-1", None, b"")]) == 4
