"""How the ready queue is read: by its index, past what others lock."""

from typing import Any

import anyio
import pytest

from storage.adapter import DatabaseAdapter
from storage.model.tasks import CreateTask, Task
from storage.postgres.catalog import APP_ROLE, SIDECAR_ROLE
from storage.tasks.leases import _ready
from storage.tasks.ledger import Ledger
from tests.storage.backends import Raw
from tests.storage.test_claims import START

pytestmark = pytest.mark.anyio


async def fill(storage: DatabaseAdapter, count: int) -> None:
    await storage.apply(
        [
            CreateTask(
                by="a",
                task=Task(id=f"t-{n:04}", title="x", created_at=START, updated_at=START),
            )
            for n in range(count)
        ]
    )


async def explained(raw: Raw, sql: str, args: list[Any], role: str, before: str) -> str:
    """How PostgreSQL would carry a statement out, in a role and an agent's scope."""
    await raw.query("BEGIN")
    await raw.query(f"SET LOCAL ROLE {role}")
    await raw.query("SELECT set_config('app.agent_id', 'a', true)")
    await raw.query(before)
    rows = await raw.query(f"EXPLAIN {sql}", *args)
    await raw.query("ROLLBACK")
    return "\n".join(row[0] for row in rows)


async def test_the_queue_is_followed_by_its_index_and_leases_by_theirs(
    storage: DatabaseAdapter, raw: Raw, backend: str
) -> None:
    await fill(storage, 1000)
    ledger = Ledger(storage._database)
    lock = ledger.own["unless_locked"]
    sql, args = _ready(ledger, "a", START, 3, {}, lock)
    if backend == "sqlite":
        plan = str(await raw.query(f"EXPLAIN QUERY PLAN {sql}", *args))
        assert "SCAN tasks USING INDEX tasks_ready" in plan
        assert "SEARCH tasks USING INDEX tasks_claimed_until" in plan
        return
    # To claim, before the table has statistics; to read, under row-level security, with them.
    plan = await explained(raw, sql, args, SIDECAR_ROLE, ledger.own["follow_queue"])
    assert "Index Scan using tasks_ready" in plan, plan
    await storage.scoped("a").tasks.claim(500)
    await raw.query("ANALYZE tasks")
    sql, args = _ready(ledger, "a", START, 3, {})
    plan = await explained(raw, sql, args, APP_ROLE, "SELECT 1")
    assert "Index Scan using tasks_ready" in plan, plan
    assert "Index Scan using tasks_claimed_until" in plan, plan


@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
async def test_a_claim_waits_for_no_other(storage: DatabaseAdapter, raw: Raw) -> None:
    await fill(storage, 3)
    await raw.query("BEGIN")
    await raw.query("SELECT id FROM tasks WHERE id = 't-0000' FOR UPDATE")
    with anyio.fail_after(10):
        found = await storage.scoped("a").tasks.claim(2)
    assert [task.id for task in found] == ["t-0001", "t-0002"]
    await raw.query("ROLLBACK")
    assert [task.id for task in await storage.scoped("a").tasks.claim(2)] == ["t-0000"]
