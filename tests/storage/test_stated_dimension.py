"""The dimension over the bus: clients know the storage's own, and a sidecar of another one ends."""

import anyio
import msgspec
import pytest

from bus import Bus
from storage import InvalidValue, SchemaMismatch, StorageConfig, stated
from storage.client import StorageClient
from storage.embedding import CallableEmbedder
from storage.log import DIMENSION_VALUE, log_of, partition_of, stated_dimension
from storage.sidecar import run_sidecar
from tests.storage.places import Place
from tests.storage.sidecars import sidecar

pytestmark = pytest.mark.anyio


@pytest.fixture
def config(config: StorageConfig, place: Place) -> StorageConfig:
    """Settings for a sidecar on each of the databases."""
    return msgspec.structs.replace(config, **place.settings(3))


def made(dimensions: int) -> CallableEmbedder:
    return CallableEmbedder(lambda texts: [[1.0] * dimensions for _ in texts], dimensions)


async def test_a_client_takes_the_dimension_that_the_storage_has(
    bus: Bus, config: StorageConfig
) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        assert await stated_dimension(bus) == 3
        for client in (
            StorageClient(scout),
            StorageClient(scout, dimensions=3),
            StorageClient(scout, dimensions=3, embedder=made(3)),
        ):
            memory = client.memory
            await memory.create_item(summary="x", memory_type="event", embedding=[0.0, 1.0, 0.0])
            [hit] = await memory.search("", embedding=[0.0, 1.0, 0.0])
            assert hit.item.vector == [0.0, 1.0, 0.0]
            with pytest.raises(InvalidValue, match="embedding: has 2 dimensions, and .* keeps 3"):
                await memory.create_item(summary="y", memory_type="event", embedding=[1.0, 0.0])


async def test_a_client_of_another_dimension_is_refused_where_it_comes_to_vectors(
    bus: Bus, config: StorageConfig
) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        given = StorageClient(scout, dimensions=4)
        item = await given.memory.create_item(summary="no vector", memory_type="event")
        for vector in ([1.0] * 4, [1.0] * 3):
            with pytest.raises(InvalidValue, match="dimensions: are 4, and .* keeps vectors of 3"):
                await given.memory.embed_item(item.id, vector)
            with pytest.raises(InvalidValue, match="dimensions: are 4"):
                await given.memory.search("x", embedding=vector)
            with pytest.raises(InvalidValue, match="dimensions: are 4"):
                await given.memory.create_category("x", embedding=vector)
        asked = 0

        async def embed(texts: list[str]) -> list[list[float]]:
            nonlocal asked
            asked += 1
            return [[1.0] * 4 for _ in texts]

        embedding = StorageClient(scout, embedder=CallableEmbedder(embed, 4))
        refused = "embedder: makes vectors of 4 dimensions, and this storage keeps 3"
        with pytest.raises(InvalidValue, match=refused):
            await embedding.memory.create_item(summary="x", memory_type="event")
        with pytest.raises(InvalidValue, match=refused):
            await embedding.memory.search("x")
        assert asked == 0, "it was not put to work for nothing"
        assert [one.id for one in await given.memory.list_items()] == [item.id]
    with pytest.raises(InvalidValue, match="embedder: makes vectors of 384"):
        StorageClient(scout, dimensions=3, embedder=made(384))


@pytest.mark.parametrize("value", [b"", b"many", b"-3", b"\xff", b"9" * 50, None])
async def test_where_nobody_says_it_a_client_goes_by_what_it_was_made_for(
    bus: Bus, value: bytes | None
) -> None:
    if value is None:
        await bus.link.call("RPUSH", bus.keys.value(DIMENSION_VALUE), "a list")
    else:
        await bus.put_value(DIMENSION_VALUE, value)
    async with bus.join("scout") as scout:
        assert await StorageClient(scout).dimension() == 768
        assert await StorageClient(scout, dimensions=4).dimension() == 4
        assert await StorageClient(scout, embedder=made(5)).dimension() == 5


async def test_a_change_under_a_sidecar_ends_it_and_the_next_one_loses_nothing(
    bus: Bus, config: StorageConfig, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stated, "LOOK_AGAIN", 0.0)
    await bus.put_value("storage.partitions", b"2")
    async with bus.join("scout") as scout:
        client = StorageClient(scout, timeout=20)
        ready, ended = anyio.Event(), anyio.Event()

        async def until_it_ends() -> None:
            with pytest.raises(ExceptionGroup) as ending:
                await run_sidecar(config, ready=ready)
            assert ending.value.subgroup(SchemaMismatch) is not None
            ended.set()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(until_it_ends)
                await ready.wait()
                await client.memory.create_item(
                    summary="before", memory_type="event", embedding=[1.0, 0.0, 0.0]
                )
                await client.flush()
                await place.change(4)
                # Sent by who has not heard of it.
                await client.memory.create_item(summary="between", memory_type="event")
                await client.memory.create_item(
                    summary="old", memory_type="event", embedding=[1.0, 0.0, 0.0]
                )
                await ended.wait()
        now = msgspec.structs.replace(config, **place.settings(4))
        async with sidecar(now):
            await client.memory.create_item(
                summary="after", memory_type="event", embedding=[1.0, 0.0, 0.0, 0.0]
            )
            found = await client.memory.list_items()
            assert {item.summary for item in found} == {"before", "between", "after"}
            with pytest.raises(InvalidValue, match="has 3 dimensions, and this storage keeps 4"):
                await client.memory.search("x", embedding=[1.0, 0.0, 0.0])
        # What came with a vector that fits no more is not lost either.
        assert await log_of(bus, partition_of("scout", 2)).dead_length() == 1
