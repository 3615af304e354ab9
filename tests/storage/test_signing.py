"""A sidecar that requires signatures: writes in another's name are refused, and set aside once."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import psutil
import pytest

from bus import Bus, RequestTimeout, Signing
from bus.messages.envelope import unwrap, wrap
from bus.messages.signing import derive
from storage import StorageConfig
from storage.client import StorageClient
from storage.errors import DatabaseUnavailable
from storage.log import log_of, partition_of
from storage.reads import READS, ReadRequest
from tests.storage.garbled import item_of
from tests.storage.rows import query
from tests.storage.sidecars import environment, process, sidecar, until_it_holds
from tests.storage.test_garbage import dead_letters
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

MASTER = secrets.token_bytes(32)
SCOUT = Signing({"scout": derive(MASTER, "scout")})
WRITER = Signing({"writer": derive(MASTER, "writer")})


@pytest.fixture
def config(config: StorageConfig, tmp_path: Path) -> StorageConfig:
    keys = tmp_path / "signing.key"
    keys.write_text(f"* {MASTER.hex()}\n")
    keys.chmod(0o600)
    return msgspec.structs.replace(config, signing_key_file=keys)


@pytest.fixture
async def scouts(config: StorageConfig) -> AsyncIterator[Bus]:
    async with Bus.connect(config.redis_url, namespace=config.namespace, signing=SCOUT) as bus:
        yield bus


async def test_forged_changed_readdressed_and_repeated_writes_are_set_aside(
    config: StorageConfig, bus: Bus, scouts: Bus, path: Path
) -> None:
    await bus.put_value("storage.partitions", b"2")
    partition = partition_of("scout", 2)
    log, other = log_of(bus, partition), log_of(bus, 1 - partition)

    def message(id: str, signing: Signing | None = SCOUT, to: str = log.key) -> bytes:
        command = item_of("scout", id=id)
        return wrap(command, sender="scout", signing=signing, destination=to)[1]

    true = message("true")
    changed = msgspec.structs.replace(
        unwrap(true), body=msgspec.Raw(msgspec.msgpack.encode(item_of("scout", id="changed")))
    )
    as_writer = wrap(item_of("scout", id="by-writer"), sender="writer", signing=WRITER,
                     destination=log.key)[1]  # fmt: skip
    forged = msgspec.structs.replace(unwrap(as_writer), sender="scout")
    old = SCOUT.sign(msgspec.structs.replace(unwrap(message("old")), sent_at=1e9), log.key)
    wrong = {
        message("unsigned", None): "is not signed",
        msgspec.msgpack.encode(changed): "is not that of 'scout'",
        as_writer: "'writer' may not write as 'scout'",
        msgspec.msgpack.encode(forged): "is not that of 'scout'",
        message("of-another-place", to=other.key): "re-addressed",
        msgspec.msgpack.encode(old): "a repetition",
    }
    with anyio.fail_after(40):
        async with scouts.join("scout") as scout:
            client = StorageClient(scout)
            for entry in [true, *wrong, true]:
                await bus.link.call("XADD", log.key, "*", "e", entry)
            await client.memory.create_item(summary="mine", memory_type="event", item_id="mine")
            async with sidecar(config):
                await client.flush()
                assert {item.id for item in await client.memory.list_items()} == {"true", "mine"}
            # To a sidecar that did not see the first:
            await bus.link.call("XADD", log.key, "*", "e", true)
            async with sidecar(config):
                await client.memory.create_item(summary="y", memory_type="event", item_id="last")
                await client.flush()
    letters = await dead_letters(bus, partition)
    reasons = [(letter.message, letter.reason) for letter in letters]
    assert len(letters) == len(wrong) + 2
    assert [text for entry, text in reasons if entry == true and "a repetition of entry" in text]
    for entry, reason in wrong.items():
        assert any(reason in text for found, text in reasons if found == entry), reason
    ids = {row[0] for row in query(path, "SELECT id FROM memory_items")}
    assert ids == {"true", "last", "mine"}


async def test_an_entry_that_was_claimed_before_a_crash_is_still_applied(
    config: StorageConfig, bus: Bus, scouts: Bus, path: Path
) -> None:
    from bus.messages.seen import without_repetitions

    async with (
        scouts.join("scout") as scout,
        Bus.connect(
            config.redis_url, namespace=config.namespace, signing=Signing(master=MASTER)
        ) as reader,
    ):
        await bus.put_value("storage.partitions", b"2")
        client = StorageClient(scout)
        await client.memory.create_item(summary="mine", memory_type="event", item_id="mine")
        log = log_of(reader, partition_of("scout", 2))
        for _ in range(2):
            (entry,) = await without_repetitions(reader, log, await log.read())
            assert entry.error is None
        with anyio.fail_after(20):
            async with sidecar(config):
                await client.flush()
    assert query(path, "SELECT id FROM memory_items") == [("mine",)]


async def test_reads_are_in_the_scope_of_who_signed(
    config: StorageConfig, bus: Bus, scouts: Bus
) -> None:
    async with scouts.join("scout") as scout, sidecar(config):
        client = StorageClient(scout)
        await client.memory.create_item(summary="secret", memory_type="event")
        assert len(await client.memory.list_items()) == 1
        queue = bus.queue(READS, ReadRequest)
        with pytest.raises(RequestTimeout):  # unsigned
            await bus.request(
                queue, ReadRequest("items", "list_items", {}), Any, timeout=1, sender="scout"
            )
        assert "is not signed" in (await queue.dead_letters())[0].reason


async def test_who_does_not_sign_is_told_that_the_sidecar_asks_for_it(
    config: StorageConfig, bus: Bus
) -> None:
    async with sidecar(config), bus.join("scout") as scout:

        async def says_so() -> bool:
            states = (await bus.registry.snapshot()).states.values()
            return any(state.fields.get("signatures") == "required" for state in states)

        await eventually(says_so)
        with pytest.raises(DatabaseUnavailable, match=r"refuses what is not signed.*KEY_FILE"):
            await StorageClient(scout, timeout=0.5).memory.list_items()
    async with bus.join("scout") as scout:
        with pytest.raises(DatabaseUnavailable, match="none is present: start one"):
            await StorageClient(scout, timeout=0.5).memory.list_items()


async def test_a_sidecar_process_has_its_secret_from_a_file_and_shows_it_nowhere(
    config: StorageConfig, bus: Bus, scouts: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = config.signing_key_file
    monkeypatch.setattr(
        "tests.storage.sidecars.environment",
        lambda config: environment(config) | {"ARGENTBUS_SIGNING_KEY_FILE": str(keys)},
    )
    log = tmp_path / "sidecar.log"
    with process(config, log) as started:
        await until_it_holds(bus, started, 2)
        shown = psutil.Process(started.pid)
        said = " ".join([*shown.cmdline(), *shown.environ().values()])
        async with scouts.join("scout") as scout:
            client = StorageClient(scout)
            await client.memory.create_item(summary="x", memory_type="event")
            assert len(await client.memory.list_items()) == 1
    assert MASTER.hex() not in said + log.read_text()
    loaded = StorageConfig.load({"home": tmp_path}, {"ARGENTBUS_SIGNING_KEY_FILE": str(keys)})
    assert loaded.signing_key_file == keys
    assert MASTER.hex() not in repr(loaded) + repr(loaded.signing())
