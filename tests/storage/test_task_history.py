"""The history of tasks, and how projects are summed up."""

from datetime import timedelta
from typing import Any

import pytest

from storage import CommandRefused, InvalidValue
from storage.adapter import DatabaseAdapter
from storage.model.tasks import MoveTask, UpdateTask
from tests.storage.backends import Raw
from tests.storage.test_claims import START
from tests.storage.test_dependencies import create

pytestmark = pytest.mark.anyio


async def test_each_change_is_kept_with_who_made_it_and_what_it_was(
    storage: DatabaseAdapter,
) -> None:
    a, b = storage.scoped("a").tasks, storage.scoped("b").tasks
    await a.create_task(title="x", task_id="t-1", tags=["one"])
    await a.create_task(title="x", task_id="t-2", agent_id=None, depends_on=["t-1"])
    await a.update_task("t-1", title="y", tags=["two"], due_at=START)
    await a.update_task("t-1", title="y")
    [task] = await a.claim()
    await a.hand_off("t-1", "b", note="go on", claim_id=task.claim_id)
    await b.start("t-1")
    await b.complete("t-1")
    await storage.operator().tasks.update_task("t-1", priority="low")
    found = await a.history("t-1")
    assert [(change.agent_id, change.what) for change in found] == [
        ("a", "updated"),
        ("a", "claimed"),
        ("a", "handed_off"),
        ("b", "moved"),
        ("b", "moved"),
        ("", "updated"),
    ]
    assert found[0].changes == {
        "title": {"old": "x", "new": "y"},
        "tags": {"old": ["one"], "new": ["two"]},
        "due_at": {"old": None, "new": "2026-01-02T03:04:05Z"},
    }
    claimed = found[1].changes
    assert claimed["assignee"] == {"old": None, "new": "a"}
    assert claimed["claim_id"] == {"old": None, "new": task.claim_id}
    assert found[2].changes["metadata"] == {"old": {}, "new": {"note": "go on"}}
    assert found[3].changes == {"status": {"old": "pending", "new": "in_progress"}}
    assert [*found[4].changes] == ["status", "completed_at"]
    assert await a.history("t-1", limit=2, offset=1) == found[1:3]
    [unblocked] = await b.history("t-2")
    assert (unblocked.agent_id, unblocked.what) == ("", "unblocked")
    assert unblocked.changes == {"status": {"old": "blocked", "new": "pending"}}
    assert await storage.scoped("c").tasks.history("t-1") == []


async def test_a_change_that_is_applied_again_is_kept_once(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    await storage.apply([create("t-1"), create("t-2", "t-1")])
    commands = [
        UpdateTask(agent_id="a", task_id="t-1", changes={"title": "y"}, at=START),
        MoveTask(agent_id="a", task_id="t-1", status="completed", at=START, note="n"),
    ]
    await storage.apply(commands)
    before = await raw.everything()
    assert len(before["task_history"]) == 3
    await storage.apply(commands)
    assert await raw.everything() == before


async def test_what_is_deleted_is_still_known_to_who_deleted_it(storage: DatabaseAdapter) -> None:
    a = storage.scoped("a").tasks
    await a.create_task(title="x", task_id="t-1", team_id="t", description="all of it")
    await a.delete_task("t-1")
    [change] = await a.history("t-1")
    assert change.what == "deleted"
    assert change.changes["description"] == {"old": "all of it", "new": None}
    assert "depends_on" not in change.changes
    assert await storage.scoped("b").tasks.history("t-1") == []


async def test_what_is_refused_leaves_no_trace(storage: DatabaseAdapter, raw: Raw) -> None:
    task = await storage.scoped("a").tasks.create_task(title="x")
    for by in ("b", "c"):
        with pytest.raises(CommandRefused):
            await storage.scoped(by).tasks.complete(task.id)
        await storage.scoped(by).tasks.delete_task(task.id)
    assert await raw.query("SELECT * FROM task_history") == []


async def test_a_project_is_summed_up_to_its_depth(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    await storage.apply(
        [
            create("book"),
            create("part", parent="book"),
            create("p-1", parent="part"),
            create("p-2", "p-1", "gone", parent="part"),
            create("c-1", parent="book"),
            create("c-2", parent="book"),
            create("c-3", parent="book"),
        ]
    )
    await tasks.update_task("p-2", due_at=START + timedelta(days=2))
    await tasks.update_task("p-1", due_at=START + timedelta(days=1))
    await tasks.update_task("c-1", due_at=START)
    await tasks.complete("c-1")
    await tasks.cancel("c-2")
    await tasks.block("c-3", "rain")
    book = await tasks.get_project("book")
    assert book is not None
    assert book.by_status == {"blocked": 2, "cancelled": 1, "completed": 1, "pending": 2}
    assert book.percent_done == 20.0, "of those that are still wanted"
    assert book.next_due == START + timedelta(days=1), "what is done is due no more"
    assert book.blocked_by == {"c-3": [], "p-2": ["p-1", "gone"]}
    [part] = book.projects
    assert (part.task.id, part.by_status) == ("part", {"blocked": 1, "pending": 1})
    assert (part.percent_done, part.projects) == (0.0, [])
    await tasks.complete("p-1")
    book = await tasks.get_project("book")
    assert book is not None
    assert book.blocked_by["p-2"] == ["gone"]
    leaf = await tasks.get_project("c-1")
    assert leaf is not None
    assert (leaf.by_status, leaf.percent_done, leaf.next_due) == ({}, 100.0, None)
    assert await tasks.get_project("nowhere") is None


async def test_of_a_project_each_sees_what_it_may(storage: DatabaseAdapter) -> None:
    a = storage.scoped("a").tasks
    columns: dict[str, Any] = {"parent_task_id": "book"}
    await a.create_task(title="x", task_id="book", assignee="b")
    await a.create_task(title="x", task_id="secret", **columns)
    await a.create_task(title="x", task_id="shared", depends_on=["secret"], assignee="b", **columns)
    # What is below something that b does not see.
    await a.create_task(title="x", task_id="deep", assignee="b", parent_task_id="secret")
    for agent, count in (("a", 3), ("b", 1)):
        project = await storage.scoped(agent).tasks.get_project("book")
        assert project is not None
        assert sum(project.by_status.values()) == count
        assert project.blocked_by == {"shared": ["secret"]}
    assert await storage.scoped("c").tasks.get_project("book") is None


async def test_every_column_is_a_filter(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    later = START + timedelta(days=1)
    full: dict[str, Any] = {
        "description": "d",
        "priority": "high",
        "source": "job",
        "assignee": "b",
        "session_id": "s",
        "channel_id": "c",
        "team_id": "t",
        "parent_task_id": "p",
        "status": "blocked",
    }
    times = {"started_at": START, "completed_at": START, "due_at": START}
    await tasks.create_task(
        title="full",
        task_id="full",
        created_at=START,
        tags=["x", "y"],
        depends_on=["n"],
        metadata={"text": "x", "whole": 1, "half": 0.5, "yes": True, "nothing": None, "list": [1]},
        **full,
        **times,
    )
    await tasks.create_task(title="other", task_id="other", created_at=later, agent_id=None)
    names = {"parent_task_id": "project", "team_id": "team"}
    filters: list[dict[str, Any]] = [
        {names.get(name, name): value}
        for name, value in {**full, "id": "full", "title": "full", "agent_id": "a"}.items()
    ]
    filters += [
        {f"{name}_before": later, f"{name}_after": START}
        for name in ("started", "completed", "due", "created", "updated")
    ]
    filters += [{"tags": ["y"]}, {"depends_on": ["n"]}, {"status": ["failed", "blocked"]}]
    for key, value in (("text", "x"), ("whole", 1), ("whole", 1.0), ("half", 0.5), ("yes", True)):
        filters.append({"metadata": {key: value, "nothing": None}})
    for one in filters:
        assert [task.id for task in await tasks.list_tasks(**one)] == ["full"], one
    none: list[dict[str, Any]] = [
        {"started_before": START},
        {"tags": ["x", "z"]},
        {"metadata": {"text": "y"}},
        {"metadata": {"yes": 1}},
        {"metadata": {"whole": "1"}},
        {"metadata": {"absent": None}},
        {"title": "full", "without": ["due_at"]},
        {"title": []},
        {"title": "' OR 1=1 --"},
        {"claim_id": "x"},
        {"claim_expires_before": later},
    ]
    for one in none:
        assert await tasks.list_tasks(**one) == [], one
    assert [t.id for t in await tasks.list_tasks(without=["agent_id", "due_at"])] == ["other"]
    with pytest.raises(InvalidValue, match="parent_task_id: is no filter"):
        await tasks.list_tasks(parent_task_id="p")  # type: ignore[call-arg]
