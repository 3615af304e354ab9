"""Writes that the sidecar refuses: the flush of who wrote them says which and why, once."""

import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import msgspec
import pytest

from bus import Bus, ServerRefused, acl
from bus.logs.rejection import MOST_TOLD
from storage import StorageConfig, WritesRefused, outcome
from storage.client import StorageClient
from storage.log import log_of, partition_of
from storage.sidecar.partition import PartitionWriter
from storage.sidecar.report import Report
from storage.sqlite.adapter import SQLiteAdapter
from tests.storage.rows import query
from tests.storage.sidecars import process, sidecar
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def postgres_url(postgres_server: Any) -> Iterator[str]:
    """A database as it is set up by default."""
    with postgres_server.database(768) as name:
        yield postgres_server.user_url(name)


async def refused(client: StorageClient) -> WritesRefused:
    """What a flush says that was refused; the next one says nothing."""
    with anyio.fail_after(30), pytest.raises(WritesRefused) as caught:
        await client.flush()
    await client.flush()
    return caught.value


async def changes_what_is_not_there(client: StorageClient) -> None:
    item, task = str(uuid4()), str(uuid4())
    kept = await client.memory.create_item(summary="kept", memory_type="event")
    await client.memory.update_item(item, summary="y")
    assert await client.memory.get_item(kept.id) == kept, "a read does not raise"
    assert client.refused == 1
    await client.tasks.complete(task)
    error = await refused(client)
    assert [one.kind for one in error.refused] == ["UpdateItem", "MoveTask"]
    assert item in error.refused[0].reason
    assert task in error.refused[1].reason
    assert item in str(error)
    assert (client.refused, error.unlisted) == (2, 0)


async def test_changes_of_what_is_not_there(bus: Bus, config: StorageConfig, path: Path) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        await changes_what_is_not_there(StorageClient(scout))
    assert query(path, "SELECT summary FROM memory_items") == [("kept",)]


async def test_changes_of_what_is_not_there_in_postgres(
    postgres_url: str, bus: Bus, config: StorageConfig
) -> None:
    config = msgspec.structs.replace(
        config,
        backend="postgres",
        read_from="postgres",
        write_to=("postgres",),
        postgres_url=postgres_url,
    )
    async with sidecar(config), bus.join("scout") as scout:
        await changes_what_is_not_there(StorageClient(scout))


async def test_a_write_that_is_not_signed(
    bus: Bus, config: StorageConfig, path: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "signing.key"
    keys.write_text(f"* {secrets.token_hex(32)}\n")
    keys.chmod(0o600)
    config = msgspec.structs.replace(config, signing_key_file=keys)
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout)
        await client.memory.create_item(summary="x", memory_type="event")
        [one] = (await refused(client)).refused
    assert one.kind == "CreateItem"
    assert "is not signed" in one.reason
    assert query(path, "SELECT count(*) FROM memory_items") == [(0,)]


async def test_a_vector_of_other_dimensions(bus: Bus, config: StorageConfig) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        client = StorageClient(scout, dimensions=3)
        await client.memory.create_item(summary="x", memory_type="event", embedding=[1.0, 2.0, 3.0])
        [one] = (await refused(client)).refused
    assert "has 3 dimensions" in one.reason
    assert "768" in one.reason


async def test_one_among_a_thousand_is_named_and_the_others_are_committed(
    bus: Bus, config: StorageConfig, path: Path
) -> None:
    async with bus.join("scout") as scout, sidecar(config):
        client = StorageClient(scout)
        missing = str(uuid4())

        async def write(n: int) -> None:
            if n == 500:
                await client.memory.update_item(missing, summary="y")
            else:
                await client.memory.create_item(summary=f"{n}", memory_type="event")

        async with anyio.create_task_group() as tasks:
            for n in range(1001):
                tasks.start_soon(write, n)
        [one] = (await refused(client)).refused
    assert missing in one.reason
    assert query(path, "SELECT count(*) FROM memory_items") == [(1000,)]


async def test_two_clients_of_one_agent_learn_each_its_own(bus: Bus, config: StorageConfig) -> None:
    async with bus.join("scout") as scout, sidecar(config):
        one, other, innocent = (StorageClient(scout) for _ in range(3))
        mine, its = str(uuid4()), str(uuid4())
        await innocent.memory.create_item(summary="x", memory_type="event")
        await one.memory.update_item(mine, summary="y")
        await other.memory.update_item(its, summary="y")
        await innocent.memory.create_item(summary="x", memory_type="event")
        await innocent.flush()
        assert [mine in r.reason for r in (await refused(one)).refused] == [True]
        assert [its in r.reason for r in (await refused(other)).refused] == [True]
        # Long ago, for one that comes now.
        late = StorageClient(scout)
        await late.memory.create_item(summary="x", memory_type="event")
        await late.flush()


async def test_a_sidecar_killed_between_the_note_and_the_commit(
    bus: Bus, config: StorageConfig, sqlite: SQLiteAdapter, path: Path, tmp_path: Path
) -> None:
    """The writer ends where it has set aside and not committed; a process goes on."""
    await bus.put_value("storage.partitions", b"2")
    async with bus.join("scout") as scout:
        client = StorageClient(scout, dimensions=3)
        partition = partition_of("scout", 2)
        await client.memory.update_item("missing", summary="y")
        await client.memory.create_item(summary="kept", memory_type="event")
        writer = PartitionWriter(partition, scout, sqlite, Report("sqlite"), lease=1.0)
        with anyio.CancelScope() as killed:

            async def kill(entry: object, *, reason: str) -> None:
                await reject(entry, reason=reason)  # type: ignore[arg-type]
                killed.cancel()
                await anyio.lowlevel.checkpoint()

            reject, writer._log.reject = writer._log.reject, kill  # type: ignore[method-assign]
            await writer._write(1)
        assert query(path, "SELECT count(*) FROM memory_items") == [(0,)]
        assert await log_of(bus, partition).dead_length() == 1
        with process(config, tmp_path / "sidecar.log"):
            [one] = (await refused(client)).refused
        assert "missing" in one.reason
        assert await log_of(bus, partition).dead_length() == 1
    assert query(path, "SELECT summary FROM memory_items") == [("kept",)]


async def test_a_sidecar_killed_at_any_time_with_refusals_in_its_hands(
    bus: Bus, config: StorageConfig, path: Path, tmp_path: Path
) -> None:
    await bus.put_value("storage.partitions", b"2")
    log = log_of(bus, partition_of("scout", 2))
    async with bus.join("scout") as scout:
        client = StorageClient(scout)
        for n in range(200):
            await client.memory.update_item(f"missing-{n}", summary="y")
            await client.memory.create_item(summary=f"{n}", memory_type="event")
        with process(config, tmp_path / "sidecar.log") as one:
            await eventually(lambda: _some(log), timeout=20)
            one.kill()
            one.wait()
        with process(config, tmp_path / "sidecar.log"):
            error = await refused(client)
    assert len(error.refused) == 200
    assert query(path, "SELECT count(*) FROM memory_items") == [(200,)]


async def _some(log: object) -> bool:
    return await log.dead_length() > 0  # type: ignore[attr-defined, no-any-return]


async def test_more_than_are_kept_are_not_passed_over_in_silence(
    bus: Bus, config: StorageConfig
) -> None:
    async with bus.join("scout") as scout, sidecar(config):
        client = StorageClient(scout)
        async with anyio.create_task_group() as tasks:
            for n in range(MOST_TOLD + 100):
                tasks.start_soon(_update, client, f"missing-{n}")
        error = await refused(client)
        assert len(error.refused) + error.unlisted == MOST_TOLD + 100
        assert error.unlisted >= 100
        late = StorageClient(scout)
        await late.memory.create_item(summary="x", memory_type="event")
        await late.flush()


async def _update(client: StorageClient, item_id: str) -> None:
    await client.memory.update_item(item_id, summary="y")


async def test_a_client_that_never_flushes_learns_at_a_later_write(
    bus: Bus,
    config: StorageConfig,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outcome, "LOOK_WRITES", 2)
    caplog.set_level(logging.WARNING, "argentbus.storage")
    async with bus.join("scout") as scout, sidecar(config):
        client = StorageClient(scout)
        await client.memory.update_item("missing", summary="y")

        async def learned() -> bool:
            await client.memory.create_item(summary="x", memory_type="event")
            return client.refused == 1

        await eventually(learned)
        assert "a write was refused" in caplog.text
        assert len((await refused(client)).refused) == 1


async def test_another_that_appends_the_same_message_again_is_not_the_client(
    bus: Bus, config: StorageConfig
) -> None:
    async with bus.join("scout") as scout:
        client = StorageClient(scout)
        await client.memory.create_item(summary="x", memory_type="event")
        log = log_of(bus, partition_of("scout", 4))
        [entry] = await log.read()
        await log.reject(msgspec.structs.replace(entry, id="5-0"), reason="a repetition")
        async with sidecar(config):
            await client.flush()


@asynccontextmanager
async def confined(config: StorageConfig, bus: Bus) -> AsyncIterator[Bus]:
    """A bus of a user that may do no more than the agent scout."""
    await bus.put_value("storage.partitions", b"2")
    user, password = acl.user_of(bus.keys, "scout"), secrets.token_hex()
    rules = acl.rules(bus.keys, "scout", acl.Grants(), partition=partition_of("scout", 2))
    await bus.link.call("ACL", "SETUSER", user, *rules, f">{password}")
    url = config.redis_url.replace("redis://", f"redis://{user.replace(':', '%3A')}:{password}@")
    try:
        async with Bus.connect(url, namespace=config.namespace) as mine:
            yield mine
    finally:
        await bus.link.call("ACL", "DELUSER", user)


async def test_an_agent_that_is_confined_learns_of_its_own_alone(
    bus: Bus, config: StorageConfig
) -> None:
    async with confined(config, bus) as mine, mine.join("scout") as scout, sidecar(config):
        client = StorageClient(scout)
        await client.memory.update_item("missing", summary="y")
        [one] = (await refused(client)).refused
        assert "missing" in one.reason
        log = log_of(mine, partition_of("scout", 2))
        with pytest.raises(ServerRefused):
            await log.rejections("writer")
