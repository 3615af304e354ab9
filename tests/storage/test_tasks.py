"""Tasks: their life, what they wait for, who sees them, and in which order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage import CommandRefused, InvalidValue, NotFound, Task
from storage.adapter import DatabaseAdapter
from storage.tasks import Tasks

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def read(tasks: Tasks, task_id: str) -> Task:
    task = await tasks.get_task(task_id)
    assert task is not None
    return task


async def status(tasks: Tasks, task_id: str) -> str:
    return (await read(tasks, task_id)).status


async def test_a_task_comes_back_as_it_was_written(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("scout").tasks
    written = await tasks.create_task(
        title="Prüfen ✔",
        task_id="task-1",
        created_at=START,
        description="all of it",
        priority="high",
        source="schedule",
        assignee="writer",
        due_at=START + timedelta(days=1),
        session_id="s",
        channel_id="c",
        parent_task_id="comes-later",
        team_id="t",
        tags=["a", "ü"],
        metadata={"n": [1, {}]},
    )
    assert await tasks.get_task("task-1") == written
    assert (written.agent_id, written.status, written.created_at) == ("scout", "pending", START)


async def test_each_move_sets_its_times_and_its_note(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("scout").tasks
    ids = {}
    for name in ("complete", "fail", "cancel", "block"):
        ids[name] = (await tasks.create_task(title=name, metadata={"kept": 1})).id
        await tasks.start(ids[name])
    started = await read(tasks, ids["complete"])
    assert (started.status, started.completed_at) == ("in_progress", None)
    assert started.started_at == started.updated_at
    await tasks.complete(ids["complete"])
    await tasks.fail(ids["fail"], "broke")
    await tasks.cancel(ids["cancel"])
    await tasks.block(ids["block"], "waits for rain")
    for name, expected in (("complete", "completed"), ("fail", "failed"), ("cancel", "cancelled")):
        task = await read(tasks, ids[name])
        assert task.status == expected
        assert task.completed_at == task.updated_at
    blocked = await read(tasks, ids["block"])
    assert (blocked.status, blocked.completed_at) == ("blocked", None)
    assert blocked.metadata == {"kept": 1, "note": "waits for rain"}
    assert (await read(tasks, ids["fail"])).metadata["note"] == "broke"
    first_start = blocked.started_at
    await tasks.start(ids["block"])
    assert (await read(tasks, ids["block"])).started_at == first_start
    await tasks.start(ids["complete"])
    assert (await read(tasks, ids["complete"])).completed_at is None, "it was taken up again"


async def test_a_task_is_blocked_until_all_that_it_needs_is_completed(
    storage: DatabaseAdapter,
) -> None:
    tasks, other = storage.scoped("scout").tasks, storage.scoped("writer").tasks
    one = await tasks.create_task(title="one")
    two = await other.create_task(title="two")
    both = await tasks.create_task(title="both", depends_on=[one.id, two.id])
    early = await tasks.create_task(title="early", depends_on=["not-there-yet"])
    assert await status(tasks, both.id) == "blocked"
    assert {task.id for task in await tasks.ready()} == {one.id}
    await tasks.complete(one.id)
    assert await status(tasks, both.id) == "blocked"
    await other.fail(two.id, "no")
    assert await status(tasks, both.id) == "blocked", "failed is not completed"
    await other.complete(two.id)
    assert await status(tasks, both.id) == "pending"
    assert (await tasks.create_task(title="now", depends_on=[one.id])).title == "now"
    assert [task.title for task in await tasks.list_tasks(status="blocked")] == ["early"]
    await tasks.create_task(title="late", task_id="not-there-yet")
    await tasks.complete("not-there-yet")
    assert await status(tasks, early.id) == "pending"


async def test_completing_does_not_disturb_what_is_not_blocked(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("scout").tasks
    one = await tasks.create_task(title="one")
    task = await tasks.create_task(title="two", depends_on=[one.id])
    await tasks.cancel(task.id)
    await tasks.complete(one.id)
    assert await status(tasks, task.id) == "cancelled"


async def test_a_beginning_of_an_id_stands_for_the_only_one(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("scout").tasks
    for task_id in ("abcd-1", "abcd-2", "abcdef", "abcd\u00ff", "x1"):
        await tasks.create_task(title=task_id, task_id=task_id)
    await storage.scoped("other").tasks.create_task(title="hidden", task_id="abcde-hidden")
    assert (await read(tasks, "abcde")).id == "abcdef", "what one may not see does not count"
    assert (await read(tasks, "abcd-2")).id == "abcd-2"
    assert (await read(tasks, "x1")).id == "x1", "a whole id may be short"
    assert await tasks.get_task("zzzz") is None
    for beginning in ("abcd", "abcd-"):
        with pytest.raises(InvalidValue, match="task_id: several tasks begin with"):
            await tasks.get_task(beginning)
    for short in ("abc", "x", "%", ""):
        with pytest.raises(InvalidValue, match="task_id"):
            await tasks.get_task(short)
    await tasks.start("abcde")
    assert await status(tasks, "abcdef") == "in_progress"
    with pytest.raises(NotFound, match="no task zzzz that scout may see"):
        await tasks.complete("zzzz")


async def test_an_update_changes_what_it_names(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("scout").tasks
    task = await tasks.create_task(title="old words", created_at=START, tags=["kept"])
    await tasks.update_task(task.id, title="new words", due_at=START, assignee="writer")
    changed = await read(tasks, task.id)
    assert (changed.title, changed.due_at, changed.assignee) == ("new words", START, "writer")
    assert (changed.tags, changed.created_at) == (["kept"], START)
    assert changed.updated_at > START
    assert [task.id for task in await tasks.search_tasks("new")] == [task.id]
    assert await tasks.search_tasks("old") == []
    for field in ("status", "id", "agent_id", "claim_id", "nonsense"):
        with pytest.raises(InvalidValue, match=f"{field}: cannot be changed"):
            await tasks.update_task(task.id, **{field: "x"})


async def test_deleting_is_for_good_and_twice_is_no_error(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("scout").tasks
    project = await tasks.create_task(title="project")
    child = await tasks.create_task(title="child", parent_task_id=project.id)
    await tasks.delete_task(project.id)
    await tasks.delete_task(project.id)
    assert await tasks.get_task(project.id) is None
    assert await tasks.search_tasks("project") == []
    assert [task.id for task in await tasks.list_tasks(project=project.id)] == [child.id]


async def test_its_agent_its_assignee_and_where_it_has_none_all_may_see_and_change(
    storage: DatabaseAdapter,
) -> None:
    mine = await storage.scoped("a").tasks.create_task(title="apple", assignee="b")
    free = await storage.scoped("a").tasks.create_task(title="apple", agent_id=None)
    may = {"a": {mine.id, free.id}, "b": {mine.id, free.id}, "c": {free.id}}
    for agent, expected in may.items():
        tasks = storage.scoped(agent).tasks
        assert {task.id for task in await tasks.list_tasks()} == expected
        assert {task.id for task in await tasks.search_tasks("apple")} == expected
        got = [await tasks.get_task(task_id) for task_id in (mine.id, free.id)]
        assert {task.id for task in got if task} == expected
    stranger = storage.scoped("c").tasks
    with pytest.raises(CommandRefused, match="that c may change"):
        await stranger.complete(mine.id)
    with pytest.raises(CommandRefused, match="that c may change"):
        await stranger.update_task(mine.id, title="theirs")
    await stranger.delete_task(mine.id)
    assert await storage.scoped("a").tasks.get_task(mine.id) == mine
    await storage.scoped("b").tasks.complete(mine.id)
    await stranger.complete(free.id)


async def test_lists_are_by_urgency_then_due_date_then_age(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("scout").tasks
    made: list[tuple[str, str, int | None]] = [
        ("background", "background", None),
        ("normal-old", "normal", None),
        ("normal-new", "normal", None),
        ("normal-late", "normal", 9),
        ("normal-soon", "normal", 1),
        ("low", "low", 0),
        ("urgent", "urgent", None),
        ("high", "high", 5),
    ]
    for n, (title, priority, due) in enumerate(made):
        await tasks.create_task(
            title=title,
            priority=priority,
            created_at=START + timedelta(seconds=n),
            due_at=None if due is None else START + timedelta(days=due),
            assignee="writer" if "normal" in title else None,
        )

    async def titles(**filters: Any) -> list[str]:
        return [task.title for task in await tasks.list_tasks(**filters)]

    expected = [
        *("urgent", "high"),
        *("normal-soon", "normal-late", "normal-old", "normal-new"),
        *("low", "background"),
    ]
    assert await titles() == expected
    assert await titles(limit=3, offset=1) == expected[1:4]
    assert await titles(priority="low") == ["low"]
    assert await titles(assignee="writer") == expected[2:6]
    assert await titles(status="completed") == []
    assert (await storage.stats()).tasks == 8


async def test_the_same_task_again_is_no_news_and_another_with_its_id_is_refused(
    storage: DatabaseAdapter,
) -> None:
    tasks = storage.scoped("scout").tasks
    for _ in range(2):
        await tasks.create_task(title="one", task_id="task-1", created_at=START)
    await tasks.start("task-1")
    await tasks.create_task(title="one", task_id="task-1", created_at=START)
    assert await status(tasks, "task-1") == "in_progress"
    for depends_on in ([], ["task-2"]):
        with pytest.raises(CommandRefused, match="another task task-1 already"):
            await storage.scoped("other").tasks.create_task(
                title="two", task_id="task-1", depends_on=depends_on
            )
    assert (await read(tasks, "task-1")).title == "one"
