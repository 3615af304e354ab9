"""Memories reach the database once, on a Cluster and through sentinels, also over a failover."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from bus import Bus
from storage.client import StorageClient
from storage.config import StorageConfig
from storage.errors import WritesLost
from storage.log import partition_count
from storage.sidecar import run_sidecar
from tests.topology.servers import SentinelServers, Server
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["cluster", "sentinels"])
def servers(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def configured(url: str, namespace: str, place: Path) -> StorageConfig:
    return StorageConfig(
        redis_url=url,
        namespace=namespace,
        sqlite_path=place / "memory.db",
        home=place,
        partitions=1,
        lease=2.0,
    )


async def test_memories_over_a_failover(servers: Any, namespace: str, tmp_path: Path) -> None:
    config = configured(servers.url, namespace, tmp_path)
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


async def test_writes_that_a_failover_loses_are_told(
    sentinels: SentinelServers, namespace: str, tmp_path: Path
) -> None:
    """The log goes on with an older end: nobody waits for what is not in it."""
    config = configured(sentinels.url, namespace, tmp_path)
    async with (
        Bus.connect(config.redis_url, namespace=namespace) as bus,
        bus.join("scout", ttl=30.0) as agent,
    ):
        await partition_count(bus, config.partitions)
        storage = StorageClient(agent)
        await storage.memory.create_item(summary="kept", memory_type="event")
        primary = sentinels.primary()
        replicas = [server for server in sentinels.servers if server is not primary]
        await eventually(lambda: all(_has(server, bus) for server in replicas))
        for server in replicas:
            server.freeze()
        try:
            # What waits in their sockets they would still read.
            primary.call("CLIENT", "KILL", "TYPE", "replica")
            await storage.memory.create_item(summary="lost", memory_type="event", item_id="one")
            primary.kill()
        finally:
            for server in replicas:
                server.thaw()
        await bus.link.retrying(lambda: bus.link.call("SET", f"{namespace}:there", "again"))
        async with anyio.create_task_group() as tasks:
            ready = anyio.Event()
            tasks.start_soon(lambda: run_sidecar(config, ready=ready))
            await ready.wait()
            with anyio.fail_after(10), pytest.raises(WritesLost, match="failed over"):
                await storage.flush()
            await storage.memory.create_item(summary="again", memory_type="event", item_id="one")
            await storage.flush()
            items = await storage.memory.list_items()
            assert {item.summary for item in items} == {"kept", "again"}
            tasks.cancel_scope.cancel()


def _has(server: Server, bus: Bus) -> bool:
    return bool(server.call("XLEN", bus.keys.log("storage:0")))
