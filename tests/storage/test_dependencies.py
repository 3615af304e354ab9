"""What tasks wait for: none waits for itself, and each is unblocked by the last that it needs."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from storage import CommandRefused, InvalidValue
from storage.adapter import DatabaseAdapter
from storage.model.tasks import CreateTask, Task
from storage.tasks import Tasks
from tests.storage.backends import Raw
from tests.storage.test_claims import START, read

pytestmark = pytest.mark.anyio


def create(task_id: str, *depends_on: str, parent: str | None = None) -> CreateTask:
    return CreateTask(
        by="a",
        task=Task(
            id=task_id,
            agent_id="a",
            title=task_id,
            depends_on=list(depends_on),
            parent_task_id=parent,
            created_at=START,
            updated_at=START,
        ),
    )


async def status(tasks: Tasks, task_id: str) -> str:
    return (await read(tasks, task_id)).status


async def test_a_task_that_would_wait_for_itself_is_refused(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    with pytest.raises(InvalidValue, match="depends_on: has the task t-1 itself"):
        await storage.write(create("t-1", "t-1"))
    await storage.apply([create("t-1", "t-2"), create("t-2", "t-3")])
    with pytest.raises(CommandRefused, match="t-3 cannot depend on t-1, which depends on it"):
        await storage.write(create("t-3", "t-0", "t-1"))
    assert await tasks.list_tasks(id="t-3") == []
    await storage.write(create("t-3"))
    await storage.write(create("t-4", "t-1"))
    for needed in ("t-2", "t-1", "t-4"):
        with pytest.raises(CommandRefused, match=f"t-3 cannot depend on {needed}"):
            await tasks.update_task("t-3", depends_on=["t-9", needed])
    with pytest.raises(InvalidValue, match="depends_on: has the task t-3 itself"):
        await tasks.update_task("t-3", depends_on=["t-3"])
    await tasks.update_task("t-2", depends_on=[])
    await tasks.update_task("t-3", depends_on=["t-2", "t-1"])
    with pytest.raises(CommandRefused, match="t-1 cannot depend on t-3"):
        await tasks.update_task("t-1", depends_on=["t-3"])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_within_a_batch_the_command_that_closes_a_circle_is_refused(
    storage: DatabaseAdapter, raw: Raw, order: Sequence[int]
) -> None:
    circle = [create("t-0", "t-1"), create("t-1", "t-2"), create("t-2", "t-0")]
    batch = [create("free"), *(circle[n] for n in order), create("last", "t-0")]
    with pytest.raises(CommandRefused) as caught:
        await storage.apply(batch)
    assert [*caught.value.refused] == [3]
    await storage.apply([command for n, command in enumerate(batch) if n != 3])
    assert len(await raw.query("SELECT * FROM task_dependencies")) == 3


async def test_a_project_is_not_part_of_itself(storage: DatabaseAdapter, raw: Raw) -> None:
    tasks = storage.scoped("a").tasks
    with pytest.raises(InvalidValue, match="parent_task_id: is the task t-1 itself"):
        await storage.write(create("t-1", parent="t-1"))
    circle = [create("t-0", parent="t-1"), create("t-1", parent="t-2"), create("t-2", parent="t-0")]
    with pytest.raises(CommandRefused, match="cannot be part of a project that is part") as caught:
        await storage.apply([create("free"), *circle])
    assert [*caught.value.refused] == [3]
    await storage.apply(circle[:2])
    await storage.write(create("t-2"))
    for parent in ("t-0", "t-1"):
        with pytest.raises(CommandRefused, match="task t-2 cannot be part of a project"):
            await tasks.update_task("t-2", parent_task_id=parent)
    await tasks.update_task("t-1", parent_task_id=None)
    await tasks.update_task("t-2", parent_task_id="t-0")
    assert [task.id for task in await tasks.get_tasks_by_project("t-0")] == ["t-2"]


async def test_other_dependencies_block_and_unblock(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    await storage.apply([create("one"), create("two"), create("t-1"), create("t-2", "one")])
    await tasks.update_task("t-1", depends_on=["one", "two"])
    assert await status(tasks, "t-1") == "blocked"
    await tasks.complete("two")
    assert await status(tasks, "t-1") == "blocked"
    await tasks.update_task("t-1", depends_on=["two"])
    assert await status(tasks, "t-1") == "pending"
    await tasks.update_task("t-1", depends_on=["one"])
    await tasks.start("t-2")
    await tasks.update_task("t-2", depends_on=["one", "t-1"])
    assert await status(tasks, "t-2") == "in_progress", "whoever works on it goes on"
    await tasks.block("two", "rain")
    await tasks.update_task("two", depends_on=[])
    assert await status(tasks, "two") == "blocked", "for another reason"


async def test_what_failed_was_cancelled_or_deleted_leaves_dependents_blocked(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    tasks = storage.scoped("a").tasks
    await storage.apply([create("f"), create("c"), create("d"), create("t-1", "f", "c", "d")])
    await tasks.fail("f", "no")
    await tasks.cancel("c")
    await tasks.delete_task("d")
    assert await status(tasks, "t-1") == "blocked"
    await tasks.complete("f")
    assert await status(tasks, "t-1") == "blocked"
    await tasks.update_task("t-1", depends_on=["f"])
    assert await status(tasks, "t-1") == "pending"
    await tasks.delete_task("t-1")
    assert await raw.query("SELECT * FROM task_dependencies") == []


async def test_of_dependencies_completed_at_once_the_last_unblocks(
    storage: DatabaseAdapter,
) -> None:
    tasks = storage.scoped("a").tasks
    for n in range(10):
        needed = [f"{n}-{k}" for k in range(4)]
        await storage.apply([create(one) for one in needed])

        async def depend(task_id: str, needed: list[str] = needed) -> None:
            await storage.write(create(task_id, *needed))

        async with anyio.create_task_group() as group:
            group.start_soon(depend, f"{n} early")
            for one in needed:
                group.start_soon(tasks.complete, one)
            group.start_soon(depend, f"{n} late")
        assert await status(tasks, f"{n} early") == await status(tasks, f"{n} late") == "pending"


async def test_circles_that_are_closed_from_both_sides_at_once_are_refused(
    storage: DatabaseAdapter,
) -> None:
    tasks = storage.scoped("a").tasks
    for n in range(10):
        one, other = f"{n}-one", f"{n}-other"
        await storage.apply([create(one), create(other)])
        outcomes: list[bool] = []

        async def tie(task: str, changes: dict[str, Any], to: list[bool] = outcomes) -> None:
            try:
                await tasks.update_task(task, **changes)
            except CommandRefused:
                to.append(False)
            else:
                to.append(True)

        async with anyio.create_task_group() as group:
            group.start_soon(tie, one, {"depends_on": [other]})
            group.start_soon(tie, other, {"depends_on": [one]})
            group.start_soon(tie, one, {"parent_task_id": other})
            group.start_soon(tie, other, {"parent_task_id": one})
        assert sorted(outcomes) == [False, False, True, True]


async def test_a_long_chain_is_built_and_walked_in_good_time(storage: DatabaseAdapter) -> None:
    chain = [create("c-0000"), *(create(f"c-{n:04}", f"c-{n - 1:04}") for n in range(1, 1000))]
    with anyio.fail_after(20):
        await storage.apply(chain)
        with pytest.raises(CommandRefused, match="c-0000 cannot depend on c-0999"):
            await storage.scoped("a").tasks.update_task("c-0000", depends_on=["c-0999"])


async def test_too_many_dependencies_are_refused(storage: DatabaseAdapter) -> None:
    with pytest.raises(InvalidValue, match="depends_on: has 1,001 tasks"):
        await storage.write(create("t-1", *(f"n-{n}" for n in range(1001))))
    await storage.write(create("t-1", *(f"n-{n}" for n in range(1000))))
