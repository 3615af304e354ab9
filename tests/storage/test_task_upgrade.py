"""Tasks that were there before dependencies had a table of their own."""

from pathlib import Path
from typing import Any

import pytest

from storage import CommandRefused, migrations
from storage.model.tasks import MoveTask, UpdateTask
from storage.postgres import migrations as postgres
from storage.postgres.setup import setup
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.database import bring_up
from tests.postgres import PostgresServer, execute
from tests.storage.backends import Raw, RawPostgres, RawSQLite, opened
from tests.storage.test_claims import START

pytestmark = pytest.mark.anyio

NOW = "'2026-01-02T00:00:00.000000Z'"


async def add(raw: Raw) -> None:
    """Tasks as an earlier program left them."""
    for task_id, status, needs in (
        ("one", "pending", "[]"),
        ("two", "blocked", '["one", "one"]'),
        ("three", "blocked", '["two"]'),
    ):
        await raw.query(
            "INSERT INTO tasks (id, title, status, depends_on, created_at, updated_at) "
            f"VALUES ('{task_id}', 'x', '{status}', '{needs}', {NOW}, {NOW})"
        )


async def check(storage: Any, raw: Raw) -> None:
    """They wait as they did, and what they wait for is known."""
    edges = await raw.query("SELECT task_id, needed_id FROM task_dependencies ORDER BY 1")
    assert edges == [("three", "two"), ("two", "one")]
    circle = UpdateTask(agent_id="a", task_id="one", changes={"depends_on": ["three"]}, at=START)
    with pytest.raises(CommandRefused, match="one cannot depend on three"):
        await storage.write(circle)
    tasks = storage.scoped("a").tasks
    for task_id in ("one", "two", "three"):
        [task] = await tasks.claim()
        assert task.id == task_id
        await storage.write(MoveTask(agent_id="a", task_id=task_id, status="completed", at=START))


def before_0004(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the migrations that there were."""
    known = migrations.known
    monkeypatch.setattr(migrations, "known", lambda package: known(package)[:3])


async def test_a_sqlite_file_keeps_its_tasks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = RawSQLite(path)
    with monkeypatch.context() as patched:
        before_0004(patched)
        await bring_up(path, 3)
    await add(raw)
    async with SQLiteAdapter.open(path, dimensions=3) as storage:
        await check(storage, raw)


async def test_a_postgresql_keeps_its_tasks(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    name, admin = "upgraded", postgres_server.url()
    await setup(admin, postgres_server.user_url(name))
    try:
        with monkeypatch.context() as patched:
            before_0004(patched)
            await postgres.run(postgres_server.url(name), dimensions=3)
        async with RawPostgres.open(postgres_server.url(name)) as raw:
            await add(raw)
        await postgres.run(postgres_server.url(name), dimensions=3)
        async with opened("postgres", path, postgres_server, name) as (storage, raw):
            await check(storage, raw)
    finally:
        await execute(admin, f"DROP DATABASE {name} WITH (FORCE)")
