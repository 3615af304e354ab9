"""Connections break and sidecars come and go, all the time: each command takes effect once."""

from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from bus import Bus, BusUnavailable
from storage import StorageConfig
from storage.client import StorageClient
from tests.storage.rows import query
from tests.storage.sidecars import sidecar

pytestmark = pytest.mark.anyio

AGENTS = ("g", "scout", "writer")
EACH = 1000
AT_ONCE = 4


async def break_connections(bus: Bus) -> None:
    while True:
        await bus.link.retrying(lambda: bus.link.call("CLIENT", "KILL", "TYPE", "NORMAL"))
        await anyio.sleep(0.02)  # how often the fault strikes


async def come_and_go(config: StorageConfig) -> None:
    life = 0.7
    while True:
        # One that is struck while it starts says so, and ends.
        with suppress(BusUnavailable):
            async with sidecar(config):
                await anyio.sleep(life)  # how long each lives, once it is up
        # A slow machine needs the first ones to connect, and to take the lease over.
        life = min(life * 1.2, 10.0)


async def count(bus: Bus, name: str) -> None:
    """Have one fact counted `EACH` times, beside being stored."""
    async with bus.join(name) as agent:
        client = StorageClient(agent)
        item = await client.memory.create_item(summary=name, memory_type="event")

        async def reinforce() -> None:
            for _ in range(EACH // AT_ONCE):
                await client.memory.reinforce(item.id)

        async with anyio.create_task_group() as writes:
            for _ in range(AT_ONCE):
                writes.start_soon(reinforce)
        await client.flush(50)


async def test_what_counts_is_counted_exactly(bus: Bus, config: StorageConfig, path: Path) -> None:
    async with anyio.create_task_group() as faults:
        faults.start_soon(break_connections, bus)
        for _ in range(2):
            faults.start_soon(come_and_go, config)
        with anyio.fail_after(55):
            async with anyio.create_task_group() as agents:
                for name in AGENTS:
                    agents.start_soon(count, bus, name)
        faults.cancel_scope.cancel()
    sql = "SELECT agent_id, reinforcement_count FROM memory_items ORDER BY agent_id"
    assert query(path, sql) == [(name, EACH + 1) for name in AGENTS]
