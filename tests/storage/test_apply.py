"""Batches with a position: each command takes effect once, whatever is delivered again."""

from datetime import UTC, datetime, timedelta

import anyio
import msgspec
import pytest

from storage import (
    ApplyResult,
    CommandRefused,
    DatabaseUnavailable,
    FenceRefused,
    MemoryItem,
    Position,
    Task,
)
from storage.adapter import DatabaseAdapter
from storage.commands import Command
from storage.model.items import CreateItem, DeleteItem, ReinforceItem, UpdateItem
from storage.model.tasks import CreateTask, DeleteTask, MoveTask, UpdateTask
from tests.storage.backends import Raw

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, tzinfo=UTC)


def create(n: int, summary: str | None = None) -> CreateItem:
    return CreateItem(
        item=MemoryItem(
            id=f"i-{n}",
            agent_id="scout",
            memory_type="event",
            summary=summary or f"fact {n}",
            created_at=START,
            updated_at=START,
        )
    )


def reinforce(n: int) -> ReinforceItem:
    return ReinforceItem(agent_id="scout", item_id=f"i-{n}", at=START + timedelta(hours=n))


def entries(*numbers: int) -> list[str]:
    return [f"1000-{n}" for n in numbers]


def at(n: int, *, fence: int = 1, epoch: str = "e1", partition: int = 0) -> Position:
    return Position(partition, epoch, f"1000-{n}", fence)


async def counts(raw: Raw) -> list[int]:
    rows = await raw.query("SELECT reinforcement_count FROM memory_items ORDER BY id")
    return [row[0] for row in rows]


async def test_a_batch_that_is_applied_again_has_no_effect(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    batch: list[Command] = [create(1), reinforce(1), create(2, "FACT 1")]
    first = await storage.apply(batch, position=at(3), entry_ids=entries(1, 2, 3))
    assert first == ApplyResult(applied=3, skipped=0)
    before = await raw.everything()
    again = await storage.apply(batch, position=at(3, fence=2), entry_ids=entries(1, 2, 3))
    assert again == ApplyResult(applied=0, skipped=3)
    assert await raw.everything() == before
    assert await counts(raw) == [3]
    assert await storage.positions() == {0: at(3, fence=2)}


async def test_of_an_overlapping_batch_the_rest_is_applied(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    await storage.apply([create(1), reinforce(1)], position=at(2), entry_ids=entries(1, 2))
    result = await storage.apply(
        [reinforce(1), create(2), reinforce(2)], position=at(10), entry_ids=entries(2, 9, 10)
    )
    assert result == ApplyResult(applied=2, skipped=1)
    assert await counts(raw) == [2, 2]
    assert await storage.positions() == {0: at(10)}, "10 is behind 9: ids are numbers, not text"


async def test_entry_ids_compare_as_numbers_in_both_parts(storage: DatabaseAdapter) -> None:
    for entry_id in ("9-9", "9-10", "10-0", "100-0"):
        position = Position(0, "e1", entry_id, 1)
        result = await storage.apply([create(1)], position=position, entry_ids=[entry_id])
        assert result.applied == 1
    with pytest.raises(ValueError, match="1 commands have 2 entry ids"):
        await storage.apply([create(1)], position=at(1), entry_ids=entries(1, 2))


async def test_an_older_lease_is_refused_and_nothing_applied(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    await storage.apply([create(1)], position=at(1, fence=7), entry_ids=entries(1))
    before = await raw.everything()
    with pytest.raises(FenceRefused, match="fence 7 by now; 6 is an older lease"):
        await storage.apply([create(2)], position=at(2, fence=6), entry_ids=entries(2))
    with pytest.raises(FenceRefused):
        await storage.apply([create(2)], position=at(2, fence=6, epoch="e2"), entry_ids=entries(2))
    with pytest.raises(FenceRefused):
        await storage.apply([], position=at(2, fence=6))
    assert await raw.everything() == before
    assert await storage.positions() == {0: at(1, fence=7)}
    await storage.apply([create(2)], position=at(2, fence=1, partition=1), entry_ids=entries(2))


async def test_another_epoch_is_not_taken_for_the_old_one(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    await storage.apply([create(1)], position=at(5), entry_ids=entries(5))
    result = await storage.apply([create(2)], position=at(1, epoch="e2"), entry_ids=entries(1))
    assert result == ApplyResult(applied=1, skipped=0)
    assert await counts(raw) == [1, 1]
    assert await storage.positions() == {0: at(1, epoch="e2")}


async def test_a_position_never_goes_back_in_its_epoch(storage: DatabaseAdapter, raw: Raw) -> None:
    # A batch of nothing but garbage, read before another sidecar went on.
    await storage.apply([create(1), reinforce(1)], position=at(3, fence=1), entry_ids=entries(2, 3))
    await storage.apply([], position=at(1, fence=2), entry_ids=[])
    assert await storage.positions() == {0: at(3, fence=2)}
    result = await storage.apply([reinforce(1)], position=at(3, fence=2), entry_ids=entries(3))
    assert result.skipped == 1
    assert await counts(raw) == [2]
    await storage.apply([], position=at(4, fence=2))
    assert await storage.positions() == {0: at(4, fence=2)}


@pytest.mark.parametrize(
    "bad",
    [
        UpdateItem(agent_id="scout", item_id="nope", changes={"lesson": "x"}, at=START),
        reinforce(99),
        create(1, "another fact with an id that is taken"),
        MoveTask(agent_id="scout", task_id="nope", status="completed", at=START),
        UpdateTask(agent_id="scout", task_id="nope", changes={}, at=START),
        CreateTask(by="scout", task=Task(id="t", title="", created_at=START, updated_at=START)),
    ],
    ids=lambda command: type(command).__name__,
)
async def test_a_command_that_breaks_a_rule_is_named_and_nothing_of_its_batch_applied(
    storage: DatabaseAdapter, raw: Raw, bad: Command
) -> None:
    await storage.apply([create(1)], position=at(1), entry_ids=entries(1))
    before = await raw.everything()
    batch = [create(2), reinforce(1), bad, create(3), bad]
    with pytest.raises(CommandRefused) as caught:
        await storage.apply(batch, position=at(6), entry_ids=entries(2, 3, 4, 5, 6))
    assert caught.value.index == 2
    assert set(caught.value.refused) == {2, 4}, "all of them at once"
    assert await raw.everything() == before
    assert await storage.positions() == {0: at(1)}
    good = [create(2), reinforce(1), create(3)]
    await storage.apply(good, position=at(6), entry_ids=entries(2, 3, 5))
    assert await counts(raw) == [2, 1, 1]


async def test_a_thousand_bad_commands_hold_nobody_up_for_long(storage: DatabaseAdapter) -> None:
    batch: list[Command] = []
    for n in range(1, 501):
        batch += [reinforce(10_000 + n), create(n)]
    with anyio.fail_after(10):
        with pytest.raises(CommandRefused) as caught:
            await storage.apply(batch, position=at(1))
        assert len(caught.value.refused) == 500
        good = [command for n, command in enumerate(batch) if n not in caught.value.refused]
        await storage.apply(good, position=at(1))
    assert (await storage.stats()).memory_items == 500


async def test_rows_and_position_come_together_or_not_at_all(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    await raw.refuse("memory_items", "new.id = 'i-2'", "not this one")
    with pytest.raises(CommandRefused, match="not this one") as caught:
        await storage.apply([create(1), create(2)], position=at(2), entry_ids=entries(1, 2))
    assert caught.value.refused.keys() == {1}
    assert (await raw.everything())["memory_items"] == []
    assert await storage.positions() == {}
    await raw.allow("memory_items")
    await raw.refuse("positions", "new.fence > 0", "no position")
    with pytest.raises(DatabaseUnavailable, match=r"position of partition 0 .*\(no position\)"):
        await storage.apply([create(1)], position=at(1), entry_ids=entries(1))
    assert (await raw.everything())["memory_items"] == []


async def test_commands_see_those_before_them(storage: DatabaseAdapter) -> None:
    task = Task(id="t-1", agent_id="scout", title="x", created_at=START, updated_at=START)
    after = msgspec.structs.replace(task, id="t-2", depends_on=["t-1"])
    await storage.apply(
        [
            create(1),
            UpdateItem(agent_id="scout", item_id="i-1", changes={"summary": "new"}, at=START),
            create(2, "fact 1"),
            create(3, "NEW"),
            DeleteItem(agent_id="scout", item_id="i-2"),
            CreateTask(by="scout", task=task),
            CreateTask(by="scout", task=after),
            MoveTask(agent_id="scout", task_id="t-1", status="completed", at=START),
            DeleteTask(agent_id="scout", task_id="t-1", at=START),
        ]
    )
    view = storage.scoped("scout")
    [item] = await view.memory.list_items()
    assert (item.id, item.summary, item.reinforcement_count) == ("i-1", "new", 2)
    [left] = await view.tasks.list_tasks()
    assert (left.id, left.status) == ("t-2", "pending")
