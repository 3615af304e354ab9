"""Claims: who gets which task, for how long, and what a lost lease means."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import msgspec
import pytest

from storage import CommandRefused, InvalidValue, Task
from storage.adapter import DatabaseAdapter
from storage.model.claims import ClaimTasks, ExtendClaim, ReleaseTask
from storage.model.tasks import MoveTask
from storage.tasks import Tasks
from storage.tasks.leases import SKEW
from tests.storage.backends import Raw

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def read(tasks: Tasks, task_id: str) -> Task:
    task = await tasks.get_task(task_id)
    assert task is not None
    return task


def claim_at(seconds: float, agent: str = "b", **more: Any) -> ClaimTasks:
    """A claim that is made so long after START, for ten seconds."""
    given = {"claim_id": f"{agent} at {seconds:g}", "lease": 10.0, "limit": 1, "filters": {}} | more
    return ClaimTasks(agent_id=agent, at=START + timedelta(seconds=seconds), **given)


async def claimed_by(storage: DatabaseAdapter) -> dict[str, str | None]:
    tasks = await storage.operator().tasks.list_tasks(status="in_progress")
    return {task.id: task.claim_id for task in tasks}


async def test_the_best_task_is_claimed_first_and_each_once(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    made: list[tuple[str, str, int | None]] = [
        ("low", "low", 0),
        ("later", "normal", 2),
        ("soon", "normal", 1),
        ("whenever", "normal", None),
        ("urgent", "urgent", None),
    ]
    for title, priority, due in made:
        due_at = None if due is None else START + timedelta(days=due)
        await tasks.create_task(title=title, priority=priority, due_at=due_at)
    order = ["urgent", "soon", "later", "whenever", "low"]
    assert [task.title for task in await tasks.ready()] == order
    assert [task.title for task in await tasks.ready(limit=2, priority="normal")] == order[1:3]
    [first] = await tasks.claim(lease=60)
    assert (first.title, first.status, first.assignee) == ("urgent", "in_progress", "a")
    assert first.started_at == first.updated_at
    assert first.claim_expires_at == first.started_at + timedelta(seconds=60)
    others = await tasks.claim(3)
    assert [task.title for task in others] == order[1:4]
    assert len({task.claim_id for task in others}) == 1
    assert [task.title for task in await tasks.claim(10)] == ["low"]
    assert await tasks.claim(10) == []
    assert await tasks.claimed(first.claim_id or "") == [first]


async def test_only_what_an_agent_may_see_and_is_for_nobody_else_is_claimed(
    storage: DatabaseAdapter,
) -> None:
    a, b = storage.scoped("a"), storage.scoped("b")
    await a.teams.create_team(name="ab", team_id="ab")
    await a.teams.add_member("ab", "b")
    await b.teams.join("ab")
    for task_id, columns in {
        "private": {},
        "for b": {"assignee": "b"},
        "for c": {"assignee": "c", "agent_id": None},
        "team": {"team_id": "ab"},
        "nobody's": {"agent_id": None},
        "not ready": {"agent_id": None, "depends_on": ["private"]},
    }.items():
        columns_: dict[str, Any] = columns
        await a.tasks.create_task(title=task_id, task_id=task_id, **columns_)
    assert {task.id for task in await b.tasks.claim(10, team="ab")} == {"team"}
    assert {task.id for task in await b.tasks.claim(10)} == {"for b", "nobody's"}
    assert {task.id for task in await a.tasks.claim(10)} == {"private"}
    assert await storage.scoped("d").tasks.claim(10) == []
    with pytest.raises(InvalidValue, match="only an agent can claim"):
        await storage.operator().tasks.claim()


FILTERS: list[tuple[Any, set[str]]] = [
    ({"tags": ["x"]}, {"1", "2"}),
    ({"tags": ["x", "y"]}, {"2"}),
    ({"team": "t"}, {"1"}),
    ({"project": "p"}, {"3"}),
    ({"priority": ["high", "low"]}, {"2", "3"}),
    ({"priority": []}, set()),
    ({"due_before": START}, {"3"}),
    ({"due_after": START}, {"2"}),
    ({"metadata": {"n": 1}}, {"1"}),
    ({"without": ["due_at"]}, {"1"}),
    ({"source": "job", "tags": ["y"]}, {"2"}),
]


async def test_claims_and_lists_take_the_same_filters(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    make = tasks.create_task
    await make(title="1", task_id="1", tags=["x"], team_id="t", metadata={"n": 1, "m": [1]})
    await make(title="2", task_id="2", tags=["y", "x"], priority="high", source="job", due_at=START)
    before = START - timedelta(microseconds=1)
    await make(title="3", task_id="3", priority="low", due_at=before, parent_task_id="p")
    for filters, expected in FILTERS:
        assert {task.id for task in await tasks.list_tasks(**filters)} == expected, filters
        assert {task.id for task in await tasks.ready(**filters)} == expected, filters
        claimed = await tasks.claim(10, **filters)
        assert {task.id for task in claimed} == expected, filters
        for task in claimed:
            await tasks.release(task.id)


async def test_a_lease_that_ran_out_lets_others_claim_and_its_holder_is_refused(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    a, b = storage.scoped("a").tasks, storage.scoped("b").tasks
    await storage.operator().tasks.create_task(title="x", task_id="t-1")
    await storage.apply([claim_at(0, "a")])
    held = await read(a, "t-1")
    await storage.apply([claim_at(10 + SKEW / 2)])
    assert await read(a, "t-1") == held, "so much may their clocks differ"
    await storage.apply([claim_at(10 + SKEW)])
    taken = await read(b, "t-1")
    assert (taken.assignee, taken.claim_id) == ("b", f"b at {10 + SKEW:g}")
    assert taken.started_at == START, "the first start"
    late = START + timedelta(seconds=11)
    for command in (
        MoveTask(agent_id="a", task_id="t-1", status="completed", at=late, claim_id="a at 0"),
        MoveTask(agent_id="a", task_id="t-1", status="completed", at=late),
        MoveTask(agent_id="a", task_id="t-1", status="in_progress", at=late),
        MoveTask(agent_id="a", task_id="t-1", status="cancelled", at=late),
        ReleaseTask(agent_id="a", task_id="t-1", at=late, claim_id="a at 0"),
    ):
        with pytest.raises(CommandRefused, match=r"is claimed by b until 2026-01-02T03:04:26.000"):
            await storage.apply([command])
    with pytest.raises(CommandRefused, match="the claim a at 0 is over"):
        await storage.apply([ExtendClaim(claim_id="a at 0", agent_id="a", at=late, lease=10.0)])
    assert await read(b, "t-1") == taken
    await b.complete("t-1", claim_id=taken.claim_id)
    with pytest.raises(CommandRefused, match="task t-1 is completed now"):
        await a.complete("t-1", claim_id="a at 0")


async def test_another_process_of_the_same_agent_is_told_apart_by_its_claim(
    storage: DatabaseAdapter,
) -> None:
    tasks = storage.scoped("a").tasks
    await tasks.create_task(title="x", task_id="t-1")
    await storage.apply([claim_at(0, "a")])
    await storage.apply([claim_at(20, "a")])
    with pytest.raises(CommandRefused, match="a at 0 is not, or no longer, one on"):
        await tasks.complete("t-1", claim_id="a at 0")
    with pytest.raises(CommandRefused, match=r"claim wrong is not.*, under another claim"):
        await tasks.complete("t-1", claim_id="wrong")
    await tasks.complete("t-1", claim_id="a at 20")


async def test_a_claim_that_is_late_but_not_lost_still_counts(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    await tasks.create_task(title="x", task_id="t-1")
    await storage.apply([claim_at(0, "a")])
    assert [task.id for task in await storage.scoped("a").tasks.ready()] == ["t-1"]
    assert [task.id for task in await tasks.extend_claim("a at 0", 60)] == ["t-1"]
    assert await tasks.ready() == []
    await tasks.complete("t-1", claim_id="a at 0")


async def test_an_extended_claim_is_kept_and_never_made_shorter(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    for n in range(3):
        await tasks.create_task(title="x", task_id=f"t-{n}")
    await storage.apply([claim_at(0, "a", limit=3)])
    await tasks.complete("t-1", claim_id="a at 0")
    extend = ExtendClaim(claim_id="a at 0", agent_id="a", at=START, lease=100.0)
    await storage.apply([extend])
    await storage.apply([msgspec.structs.replace(extend, lease=5.0)])
    kept = await tasks.claimed("a at 0")
    assert [(t.id, t.claim_expires_at) for t in kept] == [
        ("t-0", START + timedelta(seconds=100)),
        ("t-2", START + timedelta(seconds=100)),
    ]
    await storage.apply([claim_at(99, "a")])
    assert len(await tasks.claimed("a at 99")) == 0
    with pytest.raises(CommandRefused, match="the claim nonsense is over"):
        await tasks.extend_claim("nonsense")


async def test_the_same_claim_again_takes_nothing_more(storage: DatabaseAdapter, raw: Raw) -> None:
    tasks = storage.scoped("a").tasks
    for n in range(5):
        await tasks.create_task(title="x", task_id=f"t-{n}")
    command = claim_at(0, "a", limit=2)
    await storage.apply([command, command])
    before = await raw.everything()
    assert len(await tasks.claimed("a at 0")) == 2
    await storage.apply([command])
    assert await raw.everything() == before
    for task in await tasks.claimed("a at 0"):
        await tasks.complete(task.id, claim_id="a at 0")
    await storage.apply([command])
    assert await tasks.claimed("a at 0") == [], "not even when its tasks are done"
    assert len(await tasks.list_tasks(status="pending")) == 3


async def test_a_move_out_of_progress_ends_the_claim(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    for move in ("complete", "fail", "cancel", "block"):
        await tasks.create_task(title="x")
        [task] = await tasks.claim()
        arguments = () if move == "complete" else ("because",)
        await getattr(tasks, move)(task.id, *arguments, claim_id=task.claim_id)
        moved = await read(tasks, task.id)
        assert (moved.claim_id, moved.claim_expires_at, moved.assignee) == (None, None, "a")
        with pytest.raises(CommandRefused, match="and claimed by nobody"):
            await tasks.complete(task.id, claim_id=task.claim_id)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit"),
    ({"limit": 1001}, "limit"),
    ({"lease": 0}, "lease"),
    ({"lease": float("nan")}, "lease"),
    ({"lease": float("inf")}, "lease"),
    ({"claim_id": ""}, "claim_id"),
    ({"at": datetime(9999, 12, 30, tzinfo=UTC), "lease": 8e6}, "lease"),
    ({"filters": {"status": "done"}}, "status"),
    ({"filters": {"colour": "red"}}, "colour"),
    ({"filters": {"tags": "x"}}, "tags"),
    ({"filters": {"tags": ["\0"]}}, "tags"),
    ({"filters": {"due_before": datetime(2026, 1, 2)}}, "due_before"),  # noqa: DTZ001
    ({"filters": {"due_before": "soon"}}, "due_before"),
    ({"filters": {"metadata": {"a": [1]}}}, "metadata"),
    ({"filters": {"metadata": {"a": float("nan")}}}, "metadata"),
    ({"filters": {"without": ["title"]}}, "without"),
    ({"filters": {"project": 5}}, "project"),
]


async def test_what_cannot_be_claimed_is_refused_by_name(storage: DatabaseAdapter) -> None:
    for change, field in WRONG:
        with pytest.raises(InvalidValue) as caught:
            await storage.write(msgspec.structs.replace(claim_at(0), **change))
        assert caught.value.field.startswith(field), caught.value


async def test_many_who_claim_at_once_get_different_tasks(storage: DatabaseAdapter) -> None:
    tasks = storage.scoped("a").tasks
    for n in range(30):
        await tasks.create_task(title=f"{n}")
    got: list[str] = []

    async def work() -> None:
        while found := await tasks.claim(2):
            got.extend(task.id for task in found)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(work)
    assert len(got) == len(set(got)) == 30
