"""Memories reach the database once, on a Cluster and through sentinels, also over a failover."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from bus import Bus
from storage.client import StorageClient
from storage.config import StorageConfig
from storage.sidecar import run_sidecar

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["cluster", "sentinels"])
def servers(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


async def test_memories_over_a_failover(servers: Any, namespace: str, tmp_path: Path) -> None:
    config = StorageConfig(
        redis_url=servers.url,
        namespace=namespace,
        sqlite_path=tmp_path / "memory.db",
        home=tmp_path,
        partitions=1,
        lease=2.0,
    )
    async with anyio.create_task_group() as tasks:
        ready = anyio.Event()
        tasks.start_soon(lambda: run_sidecar(config, ready=ready))
        await ready.wait()
        async with Bus.connect(config.redis_url, namespace=namespace) as bus:
            async with bus.join("scout") as agent:
                storage = StorageClient(agent)
                for n in range(20):
                    await storage.memory.create_item(summary=f"before {n}", memory_type="event")
                await storage.flush()
                servers.lose(bus.keys.log("storage:0"))
                for n in range(20):
                    await storage.memory.create_item(summary=f"after {n}", memory_type="event")
                await storage.flush()
                items = await storage.memory.list_items(limit=100)
                assert sorted(item.summary for item in items) == sorted(
                    f"{when} {n}" for when in ("before", "after") for n in range(20)
                )
        tasks.cancel_scope.cancel()
