"""Tasks given back, handed to another, or taken away; and all of it over the bus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bus import Bus
from storage import CommandRefused, StorageConfig
from storage.adapter import DatabaseAdapter
from storage.client import StorageClient
from tests.storage.sidecars import sidecar
from tests.storage.test_claims import claimed_by, read

pytestmark = pytest.mark.anyio


async def test_a_released_task_is_for_all_again_and_blocked_if_it_waits(
    storage: DatabaseAdapter,
) -> None:
    a, b = storage.scoped("a").tasks, storage.scoped("b").tasks
    await a.create_task(title="x", task_id="free", agent_id=None, priority="high")
    await a.create_task(title="x", task_id="other", agent_id=None, depends_on=["free"])
    [task] = await a.claim()
    await a.release(task.id, note="no time", claim_id=task.claim_id)
    free = await read(b, "free")
    assert (free.status, free.assignee, free.claim_id) == ("pending", None, None)
    assert free.metadata == {"note": "no time"}
    assert [task.id for task in await b.claim()] == ["free"]
    await a.start("other")
    await a.release("other")
    assert (await read(a, "other")).status == "blocked"
    await b.complete("free")
    with pytest.raises(CommandRefused, match="task free is completed: start it again first"):
        await b.release("free")


async def test_a_task_is_handed_to_another_who_alone_may_claim_it(storage: DatabaseAdapter) -> None:
    a, b = storage.scoped("a").tasks, storage.scoped("b").tasks
    await a.create_task(title="x", agent_id=None)
    [task] = await a.claim()
    with pytest.raises(CommandRefused, match="claimed by a until"):
        await b.hand_off(task.id, "b")
    await a.hand_off(task.id, "b", note="you know parsers", claim_id=task.claim_id)
    handed = await read(b, task.id)
    assert (handed.assignee, handed.status, handed.claim_id) == ("b", "pending", None)
    assert handed.metadata["note"] == "you know parsers"
    assert await a.claim() == []
    assert [one.id for one in await b.claim()] == [task.id]
    *_, change, _ = await b.history(task.id)
    assert (change.what, change.agent_id) == ("handed_off", "a")
    assert change.changes["assignee"] == {"old": "a", "new": "b"}


async def test_who_made_a_task_may_take_it_back_and_an_operator_may_do_anything(
    storage: DatabaseAdapter,
) -> None:
    a, operator = storage.scoped("a").tasks, storage.operator().tasks
    for n in range(4):
        await a.create_task(title="x", task_id=f"t-{n}", assignee="b")
    assert len(await storage.scoped("b").tasks.claim(4)) == 4
    for refused in (a.complete, a.start, a.release):
        with pytest.raises(CommandRefused, match="claimed by b"):
            await refused("t-0")
    await a.cancel("t-0", "no longer wanted")
    await a.hand_off("t-1", "c")
    await a.update_task("t-2", assignee=None)
    assert (await read(a, "t-2")).status == "pending"
    await operator.complete("t-3")
    assert await claimed_by(storage) == {}


# Over the bus


@asynccontextmanager
async def two_clients(
    bus: Bus, config: StorageConfig
) -> AsyncIterator[tuple[StorageClient, StorageClient]]:
    async with sidecar(config), bus.join("a") as a, bus.join("b") as b:
        yield StorageClient(a), StorageClient(b)


async def test_over_the_bus_claims_are_the_same_and_a_lost_one_is_told(
    bus: Bus, config: StorageConfig
) -> None:
    async with two_clients(bus, config) as (a, b):
        for n in range(3):
            await a.tasks.create_task(title=f"{n}", agent_id=None)
        [first] = await a.tasks.claim(lease=0.01)
        assert (first.title, first.assignee) == ("0", "a")
        got = [first]
        while not [task for task in got if task.id == first.id and task.assignee == "b"]:
            got += await b.tasks.claim()
        assert sorted({task.title for task in got}) == ["0", "1", "2"]
        with pytest.raises(CommandRefused, match="claimed by b until"):
            await a.tasks.complete(first.id, claim_id=first.claim_id)
        with pytest.raises(CommandRefused, match="is over"):
            await a.tasks.extend_claim(first.claim_id or "")
        [again] = [task for task in got if task.id == first.id and task.assignee == "b"]
        await b.tasks.complete(again.id, claim_id=again.claim_id)
        assert (await read(a.tasks, again.id)).status == "completed"
        await b.tasks.hand_off(got[1].id, "a", claim_id=got[1].claim_id)
        await b.flush()
        assert [task.id for task in await a.tasks.claim(limit=9)] == [got[1].id]
