"""`argentbus acl`: a user for one agent, made, shown and removed; and its memories."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from argentbus.embedded import free_port
from bus import Bus, ServerRefused, Signing
from storage import StorageConfig
from storage.client import StorageClient
from tests.conftest import RedisServer
from tests.shell import Shell
from tests.storage.sidecars import sidecar

pytestmark = pytest.mark.anyio


@pytest.fixture
def redis_with_aclfile(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that keeps its users in a file."""
    users = tmp_path / "users.acl"
    users.write_text("")
    server = RedisServer(tmp_path / "redis", free_port(), settings={"aclfile": str(users)})
    server.start()
    try:
        yield server
    finally:
        server.stop()


def login(url: str, granted: dict[str, Any]) -> str:
    user = granted["user"].replace(":", "%3A")
    return url.replace("redis://", f"redis://{user}:{granted['password']}@")


async def test_a_granted_agent_writes_memories_and_loses_its_user(
    shell: Shell, redis_server: Any, namespace: str, tmp_path: Path
) -> None:
    where = ["--redis-url", redis_server.url, "--namespace", namespace]
    config = StorageConfig(
        redis_url=redis_server.url, namespace=namespace, sqlite_path=tmp_path / "m.db", lease=1.0,
        dimensions=3,
    )  # fmt: skip
    granted = json.loads(shell.run("acl", "grant", "scout", "--json", *where).stdout)
    assert granted["applied"]
    assert granted["persisted"] is False
    async with Bus.connect(login(redis_server.url, granted), namespace=namespace) as bus:
        with anyio.fail_after(30):
            async with sidecar(config), bus.join("scout") as scout:
                client = StorageClient(scout)
                for number in range(3):
                    await client.memory.create_item(  # it may know the storage's dimension
                        summary=f"n{number}", memory_type="event", embedding=[1.0, 0.0, 0.0]
                    )
                    await client.flush()
                assert len(await client.memory.list_items()) == 3
                with pytest.raises(ServerRefused):
                    await scout.queue("reviews", str).put("x")
                # Granted anew: what is new counts at once, the password stays.
                again = ("acl", "grant", "scout", "--queue", "reviews", "--keep-password")
                assert shell.run(*again, *where).returncode == 0
                await scout.queue("reviews", str).put("x")
        shown = shell.run("acl", "show", "scout", *where).stdout
        assert f"{namespace}:{{queue:reviews}}" in shown
        assert granted["password"] not in shown
        assert "rules" in json.loads(shell.run("acl", "show", "scout", "--json", *where).stdout)
        assert "is removed" in shell.run("acl", "revoke", "scout", *where).stdout
    with pytest.raises(ServerRefused):
        async with Bus.connect(login(redis_server.url, granted), namespace=namespace):
            pass
    for command in ("show", "revoke"):
        assert "argentbus acl grant scout" in shell.fails("acl", command, "scout", *where)
    kept = ("acl", "grant", "scout", "--keep-password")
    assert "there is no user" in shell.fails(*kept, *where)
    assert "cannot name a" in shell.fails("acl", "grant", "*", *where)


async def test_a_dry_run_changes_nothing(shell: Shell, redis_server: Any, namespace: str) -> None:
    where = ["--redis-url", redis_server.url, "--namespace", namespace]
    said = shell.run("acl", "grant", "scout", "--topic", "mood", "--dry-run", *where).stdout
    assert f"ACL SETUSER {namespace}:scout" in said
    assert f"&{namespace}:topic:mood" in said
    shell.fails("acl", "show", "scout", *where)
    async with Bus.connect(redis_server.url, namespace=namespace) as bus:
        assert await bus.get_value("storage.partitions") is None


async def test_users_are_kept_where_the_server_has_a_file_for_them(
    shell: Shell, redis_with_aclfile: RedisServer
) -> None:
    where = ["--redis-url", redis_with_aclfile.url]
    granted = json.loads(shell.run("acl", "grant", "scout", "--json", *where).stdout)
    assert granted["persisted"]
    redis_with_aclfile.stop()
    redis_with_aclfile.start()
    async with Bus.connect(login(redis_with_aclfile.url, granted)) as bus, bus.join("scout"):
        pass


def test_key_files_are_made_of_what_secret_prints(shell: Shell, tmp_path: Path) -> None:
    keys, own = tmp_path / "signing.key", tmp_path / "scout.key"
    for path in (keys, own):
        path.touch(0o600)
    keys.write_text(shell.run("acl", "secret").stdout)
    where = {"ARGENTBUS_SIGNING_KEY_FILE": str(keys)}
    own.write_text(shell.run("acl", "secret", "scout", **where).stdout)
    master, scout = Signing.read(keys), Signing.read(own)
    assert master.required
    assert not scout.required
    assert master.secret("scout") == scout.secret("scout")
    assert scout.secret("writer") is None
    assert keys.read_text() != shell.run("acl", "secret").stdout
    assert "ARGENTBUS_SIGNING_KEY_FILE" in shell.fails("acl", "secret", "scout")
