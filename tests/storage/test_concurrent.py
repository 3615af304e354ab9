"""Processes that write the same at once: one fact is one item, one name one row, a link one."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec.structs import replace

from storage import Position
from storage.adapter import DatabaseAdapter
from storage.model.command import Command
from storage.model.items import CreateItem
from tests.storage.backends import Raw
from tests.storage.sidecars import ROOT
from tests.storage.test_apply import create

pytestmark = pytest.mark.anyio

PROCESSES = 4
EACH = 25


class Adder:
    """A process of `tests.storage.adder`."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._lines = BufferedByteReceiveStream(process.stdout)

    @classmethod
    @asynccontextmanager
    async def started(cls, where: str) -> "AsyncIterator[Adder]":
        command = [sys.executable, "-m", "tests.storage.adder", where, str(EACH)]
        async with await anyio.open_process(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.STDOUT
        ) as process:
            try:
                yield cls(process)
            finally:
                if process.returncode is None:
                    process.kill()

    async def line(self) -> str:
        """What it says next."""
        return (await self._lines.receive_until(b"\n", 1_000_000)).decode()

    async def go(self) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send(b"go\n")


async def test_what_four_processes_add_100_times_is_there_once(
    storage: DatabaseAdapter, raw: Raw, path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    where = str(path)
    if database:
        where = request.getfixturevalue("postgres_server").user_url(database)
    told: list[dict[str, Any]] = []
    with anyio.fail_after(50):
        async with AsyncExitStack() as stack:
            adders = [
                await stack.enter_async_context(Adder.started(where)) for _ in range(PROCESSES)
            ]
            for adder in adders:
                assert await adder.line() == "ready"
            for adder in adders:
                await adder.go()
            told = [json.loads(await adder.line()) for adder in adders]
    assert all(one == told[0] for one in told), "all were told of the same rows"
    assert [len(ids) for ids in told[0].values()] == [1, 1, 1]
    assert await raw.query("SELECT id, reinforcement_count FROM memory_items") == [
        (told[0]["items"][0], PROCESSES * EACH)
    ]
    assert await raw.query("SELECT id FROM categories") == [(told[0]["categories"][0],)]
    assert await raw.query("SELECT id, memory_count FROM entities") == [(told[0]["entities"][0], 1)]
    assert await raw.query("SELECT count(*) FROM item_categories") == [(1,)]
    assert await storage.scoped("scout").memory.items_of_category(told[0]["categories"][0]) != []


async def test_a_batch_of_the_same_fact_applied_twice_changes_nothing(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    batch: list[Command] = [create(n, "The sky is blue") for n in range(100)]
    position = Position(0, "e1", "1000-100", 1)
    await storage.apply(batch, position=position)
    once = await raw.everything()
    [item] = once["memory_items"]
    assert item.reinforcement_count == 100
    again = await storage.apply(batch, position=position)
    assert (again.applied, again.skipped) == (0, 100)
    # Under a later lease, too, and an item that is sent again by itself.
    await storage.apply(batch, position=replace(position, fence=2))
    await storage.apply([CreateItem(item=replace(item, reinforcement_count=1))])
    assert await raw.everything() == once
