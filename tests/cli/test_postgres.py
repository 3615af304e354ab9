"""The command line with PostgreSQL: `up` with one of its own, and setting up a server."""

import json
import signal
from pathlib import Path

import anyio
import pytest

from argentbus.embedded import EmbeddedPostgres, free_port
from argentbus.errors import EmbeddedServerFailed, PortTaken
from bus import Bus
from storage.client import StorageClient
from tests.postgres import PostgresServer, execute
from tests.shell import Shell
from tests.storage.backends import RawPostgres
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_up_brings_a_postgresql_along_and_keeps_what_is_in_it(shell: Shell) -> None:
    port = free_port()
    arguments = ("--backend", "postgres", "--postgres-port", str(port))
    copy = shell.up(*arguments)
    assert copy.running["backend"] == "postgres"
    assert f":{port}/" in copy.running["postgres_url"]
    item = await write_one(copy.redis_url)
    found = {
        finding["subject"]: finding for finding in json.loads(shell.run("doctor", "--json").stdout)
    }
    assert found["postgres"]["verdict"] == "fine", found
    assert "1 memory items" in found["postgres"]["detail"]
    password = (shell.data / "postgres" / "password").read_text().strip()
    assert (shell.data / "postgres" / "password").stat().st_mode & 0o077 == 0
    assert password not in json.dumps(found)
    processes = copy.processes()
    assert {"postgres", "sidecar"} <= processes.keys()
    # Killed, it is started again on its files, and the sidecar goes on.
    processes["postgres"].kill()
    with anyio.fail_after(30):
        await write_one(copy.redis_url)
    assert copy.end(signal.SIGTERM) == 0
    await shell.gone(processes)
    again = shell.up(*arguments)
    async with Bus.connect(again.redis_url) as bus, bus.join("scout") as scout:
        assert await StorageClient(scout, timeout=30).memory.get_item(item) is not None


async def write_one(redis_url: str) -> str:
    async with Bus.connect(redis_url) as bus, bus.join("scout") as scout:
        client = StorageClient(scout, timeout=30)
        item = await client.memory.create_item(summary="kept", memory_type="event")
        await client.flush()
        return item.id


async def test_a_server_is_set_up_step_by_step(
    shell: Shell, postgres_server: PostgresServer
) -> None:
    server, name = postgres_server, "by_hand"
    env = {
        "ARGENTBUS_BACKEND": "postgres",
        "ARGENTBUS_POSTGRES_URL": server.user_url(name),
        "ARGENTBUS_POSTGRES_ADMIN_URL": server.url(),
    }
    assert "--admin-url" in shell.fails(
        "setup", "postgres", **env | {"ARGENTBUS_POSTGRES_ADMIN_URL": ""}
    )
    assert "setup postgres" in shell.fails("migrate", "schema", **env)
    planned = shell.run("setup", "postgres", "--dry-run", **env)
    assert f"would make the database {name}" in planned.stdout
    assert server.password not in planned.stdout + planned.stderr
    done = shell.run("setup", "postgres", **env)
    assert f"done: make the database {name}" in done.stdout, done
    try:
        assert "Nothing is missing" in shell.run("setup", "postgres", **env).stdout
        assert "migrate schema" in shell.fails("sidecar", **env)
        assert (
            "0001_memory_and_tasks  not yet"
            in shell.run("migrate", "schema", "--status", **env).stdout
        )
        would = json.loads(shell.run("migrate", "schema", "--dry-run", "--json", **env).stdout)
        assert [one["version"] for one in would][:2] == [1, 2]
        assert "ran 0002_agents_and_teams" in shell.run("migrate", "schema", **env).stdout
        assert "up to date" in shell.run("migrate", "schema", **env).stdout
        assert "UTC" in shell.run("migrate", "schema", "--status", **env).stdout
        async with RawPostgres.open(server.url(name)) as raw:
            assert await raw.query("SELECT count(*) FROM memory_items") == [(0,)]
    finally:
        await execute(server.url(), f"DROP DATABASE {name} WITH (FORCE)")


def test_a_sqlite_file_has_a_status_too(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "memory.db"
    status = ("migrate", "schema", "--sqlite", str(file), "--status")
    assert "0001_memory_and_tasks  not yet" in shell.run(*status).stdout
    assert not file.exists()
    assert "ran 0001" in shell.run(*status[:-1]).stdout
    assert "UTC" in shell.run(*status).stdout
    file.write_bytes(b"notes" * 1000)
    assert "not a database" in shell.fails(*status)


async def test_a_killed_server_has_what_was_committed(own_postgres: PostgresServer) -> None:
    await execute(own_postgres.url(), "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    own_postgres.kill()
    assert not own_postgres.answers()
    own_postgres.start()
    await eventually(own_postgres.answers)
    async with RawPostgres.open(own_postgres.url()) as raw:
        assert await raw.query("SELECT n FROM kept") == [(1,)]
        assert await raw.query("SHOW listen_addresses") == [("127.0.0.1",)]


def test_a_taken_port_and_a_server_that_ends_are_told_apart(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with pytest.raises(PortTaken, match="taken by a PostgreSQL"):
        EmbeddedPostgres(tmp_path / "a", postgres_server.port).start()
    settings = {"shared_buffers": "nonsense"}
    with pytest.raises(EmbeddedServerFailed, match="shared_buffers"):
        EmbeddedPostgres(tmp_path / "a", free_port(), settings=settings).start()
