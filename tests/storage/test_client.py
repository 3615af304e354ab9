"""Storage over the bus: what a client writes is in the database after a flush, for all to read."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import anyio
import msgspec
import pytest

from bus import Bus
from storage import (
    DatabaseUnavailable,
    InvalidValue,
    NotFound,
    StorageConfig,
    WritesLost,
)
from storage.client import StorageClient
from storage.log import log_of, partition_of
from tests.storage.backends import Raw, RawPostgres, RawSQLite
from tests.storage.sidecars import sidecar
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(backend: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL database as it is set up by default, where that is the backend."""
    if backend == "sqlite":
        yield ""
    else:
        with request.getfixturevalue("postgres_server").database(768) as name:
            yield name


@pytest.fixture
def config(config: StorageConfig, database: str, request: pytest.FixtureRequest) -> StorageConfig:
    """Settings for a sidecar on this backend."""
    if not database:
        return config
    url = request.getfixturevalue("postgres_server").user_url(database)
    return msgspec.structs.replace(
        config, backend="postgres", read_from="postgres", write_to=("postgres",), postgres_url=url
    )


@pytest.fixture
async def raw(
    config: StorageConfig, database: str, request: pytest.FixtureRequest
) -> AsyncIterator[Raw]:
    """The database behind the sidecar."""
    if not database:
        yield RawSQLite(config.sqlite_path)
    else:
        url = request.getfixturevalue("postgres_server").url(database)
        async with RawPostgres.open(url) as raw:
            yield raw


async def test_what_is_flushed_is_in_the_database_and_out_of_redis(
    bus: Bus, config: StorageConfig, raw: Raw
) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout)
        item = await client.memory.create_item(
            summary="Käse 🧀", memory_type="event", embedding=[0.5] * 768, extra={"a": [1]}
        )
        task = await client.tasks.create_task(title="Fix it", tags=["x"])
        with anyio.fail_after(10):
            await client.flush()
        assert await raw.query("SELECT id, agent_id, summary FROM memory_items") == [
            (item.id, "scout", "Käse 🧀")
        ]
        assert await raw.query("SELECT id, title FROM tasks") == [(task.id, "Fix it")]
        assert await client.memory.get_item(item.id) == item
        assert await client.tasks.get_task(task.id[:30]) == task
        log = log_of(bus, partition_of("scout", 2))
        await eventually(lambda: _is_empty(log))
        assert await log.dead_length() == 0


async def _is_empty(log: object) -> bool:
    return await log.length() == 0  # type: ignore[attr-defined, no-any-return]


async def test_a_client_reads_what_it_has_just_written(bus: Bus, config: StorageConfig) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout)
        for n in range(20):
            item = await client.memory.create_item(summary=f"fact {n}", memory_type="event")
            got = await client.memory.get_item(item.id)
            assert got == item, "without a flush of one's own"
        assert len(await client.memory.list_items()) == 20
        assert [hit.item.summary for hit in await client.memory.search("7")] == ["fact 7"]
        task = await client.tasks.create_task(title="t")
        await client.tasks.start(task.id[:35])
        assert [t.status for t in await client.tasks.list_tasks()] == ["in_progress"]
        assert [t.id for t in await client.tasks.search_tasks("T")] == [task.id]
        await client.memory.delete_item(item.id)
        assert await client.memory.get_item(item.id) is None


async def test_after_a_flush_others_read_it_and_what_is_private_stays_so(
    bus: Bus, config: StorageConfig
) -> None:
    async with (
        sidecar(config),
        Bus.connect(config.redis_url, namespace=config.namespace, ttl=5.0) as elsewhere,
        bus.join("a") as a,
        elsewhere.join("b") as b,
    ):
        writer, reader = StorageClient(a), StorageClient(b)
        public = await writer.memory.create_item(
            summary="apple public", memory_type="event", visibility="public"
        )
        private = await writer.memory.create_item(summary="apple private", memory_type="event")
        await writer.flush()
        assert await reader.memory.get_item(public.id) == public
        assert await reader.memory.get_item(private.id) is None
        assert await reader.memory.list_items() == [public]
        assert [hit.item for hit in await reader.memory.search("apple")] == [public]
        assert await reader.memory.find_by_hash(private.content_hash or "") is None


async def test_clients_of_many_agents_write_at_once(
    bus: Bus, config: StorageConfig, raw: Raw
) -> None:
    async def write(name: str) -> None:
        async with bus.join(name) as agent:
            client = StorageClient(agent)
            async with anyio.create_task_group() as tasks:
                for n in range(100):
                    tasks.start_soon(_create, client, f"{name} {n}")
            await client.flush()

    async with sidecar(config), anyio.create_task_group() as agents:
        for n in range(8):
            agents.start_soon(write, f"agent-{n}")
    assert await raw.query("SELECT count(*), sum(reinforcement_count) FROM memory_items") == [
        (800, 800)
    ]


async def _create(client: StorageClient, summary: str) -> None:
    await client.memory.create_item(summary=summary, memory_type="event")


async def test_errors_of_the_storage_arrive_as_themselves(bus: Bus, config: StorageConfig) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout)
        with pytest.raises(InvalidValue, match="summary") as caught:
            await client.memory.create_item(summary="\0", memory_type="event")
        assert caught.value.field == "summary"
        await client.tasks.create_task(title="1", task_id="abcd-1")
        await client.tasks.create_task(title="2", task_id="abcd-2")
        with pytest.raises(InvalidValue, match="several tasks begin with abcd") as caught:
            await client.tasks.get_task("abcd")
        assert caught.value.field == "task_id"
        with pytest.raises(InvalidValue, match="memory_type") as caught:
            await client.memory.list_items(memory_type="rumour")
        assert caught.value.field == "memory_type"
        with pytest.raises(InvalidValue, match="args: do not fit list_items"):
            await client.read("items", "list_items", nonsense=1)
        with pytest.raises(InvalidValue, match="query: has half of a surrogate"):
            await client.memory.search("\ud800")
        with pytest.raises(InvalidValue, match="embedding: has 2 dimensions"):
            await client.memory.search("x", embedding=[1.0, 2.0])
        with pytest.raises(InvalidValue, match="due_at"):
            await client.tasks.create_task(title="x", due_at=datetime(2026, 1, 1))  # noqa: DTZ001
        with pytest.raises(NotFound, match="no task zzzz"):
            await client.tasks.complete("zzzz")


async def test_an_answer_that_is_too_large_is_said_to_be(bus: Bus, config: StorageConfig) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout)
        for n in range(10):
            await client.memory.create_item(summary=f"{n}" * 1_000_000, memory_type="event")
        with pytest.raises(InvalidValue, match="limit: the answer is too large: ask for fewer"):
            await client.memory.list_items()
        assert len(await client.memory.list_items(limit=3)) == 3


async def test_without_a_sidecar_writing_goes_on_and_waiting_ends_in_time(
    bus: Bus, config: StorageConfig, raw: Raw
) -> None:
    async with bus.join("scout") as scout:
        client = StorageClient(scout, timeout=1.0)
        item = await client.memory.create_item(summary="kept", memory_type="event")
        with anyio.fail_after(3):
            with pytest.raises(
                DatabaseUnavailable, match=r"after 0\.5 s \(nothing is lost.*doctor"
            ):
                await client.flush(timeout=0.5)
        with anyio.fail_after(4):
            with pytest.raises(DatabaseUnavailable, match="after 1 s"):
                await client.memory.get_item(item.id)
        reader = StorageClient(scout, timeout=1.0)
        with anyio.fail_after(4):
            with pytest.raises(
                DatabaseUnavailable, match="no sidecar answered get_item within 1 s"
            ):
                await reader.memory.get_item(item.id)
        async with sidecar(config):
            await client.flush()
        assert await raw.query("SELECT summary FROM memory_items") == [("kept",)]
        await client.flush(timeout=0.1)  # it knows already


async def test_a_flush_of_redis_before_the_commit_is_told_once(
    bus: Bus, config: StorageConfig, raw: Raw
) -> None:
    async with bus.join("scout") as scout:
        client = StorageClient(scout, timeout=2.0)
        await client.memory.create_item(summary="lost", memory_type="event")
        await _forget(bus)
        with pytest.raises(WritesLost, match="write it again"):
            await client.flush()
        await client.flush(timeout=0.1)
        await client.memory.create_item(summary="lost too", memory_type="event")
        await _forget(bus)
        await client.memory.create_item(summary="kept", memory_type="event")
        async with sidecar(config):
            with pytest.raises(WritesLost):
                await client.flush()
            await client.flush()
        assert await raw.query("SELECT summary FROM memory_items") == [("kept",)]


async def test_a_loss_is_noticed_although_others_have_written_since(
    bus: Bus, config: StorageConfig
) -> None:
    async with bus.join("a") as a, bus.join("e") as other:
        assert partition_of("a", 2) == partition_of("e", 2)
        client = StorageClient(a)
        await client.memory.create_item(summary="lost", memory_type="event")
        await _forget(bus)
        await StorageClient(other).memory.create_item(summary="kept", memory_type="event")
        async with sidecar(config):
            with pytest.raises(WritesLost):
                await client.flush()


async def test_what_was_committed_before_redis_was_flushed_is_not_called_lost(
    bus: Bus, config: StorageConfig, raw: Raw
) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout)
        await client.memory.create_item(summary="one", memory_type="event")
        await client.flush()
        await _forget(bus)
        await client.memory.create_item(summary="two", memory_type="event")
        with anyio.fail_after(15):
            await client.flush()
    assert await raw.query("SELECT summary FROM memory_items ORDER BY id") == [("one",), ("two",)]


async def test_a_flush_that_waits_learns_that_redis_was_flushed(bus: Bus) -> None:
    async with bus.join("scout") as scout, anyio.create_task_group() as tasks:
        client = StorageClient(scout)
        await client.memory.create_item(summary="lost", memory_type="event")

        async def forget() -> None:
            await eventually(lambda: _listens(bus))
            await _forget(bus)

        tasks.start_soon(forget)
        with anyio.fail_after(10):
            with pytest.raises(WritesLost):
                await client.flush()


async def _listens(bus: Bus) -> bool:
    channel = bus.keys.topic("storage.committed")
    return bool((await bus.link.call("PUBSUB", "NUMSUB", channel))[1])


async def _forget(bus: Bus) -> None:
    """Drop everything of this namespace, as FLUSHALL would."""
    keys = await bus.link.call("KEYS", f"{bus.namespace}:*")
    await bus.link.call("DEL", *keys)


async def test_the_number_of_partitions_belongs_to_the_namespace(
    bus: Bus, config: StorageConfig, raw: Raw
) -> None:
    async with bus.join("scout") as scout:
        client = StorageClient(scout)
        await client.memory.create_item(summary="first", memory_type="event")  # fixes it at 4
        async with sidecar(config):  # which was told 2
            await client.flush()
    assert await raw.query("SELECT count(*) FROM memory_items") == [(1,)]
    assert await raw.query("SELECT partition FROM positions") == [(partition_of("scout", 4),)]


async def test_times_are_kept_to_the_microsecond_over_the_bus(
    bus: Bus, config: StorageConfig
) -> None:
    moment = datetime(1, 1, 3, 0, 0, 0, 1, tzinfo=UTC)
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout)
        item = await client.memory.create_item(
            summary="x", memory_type="event", happened_at=moment, created_at=moment
        )
        await client.memory.update_item(item.id, happened_at=moment)
        got = await client.memory.get_item(item.id)
    assert got is not None
    assert (got.happened_at, got.created_at) == (moment, moment)
