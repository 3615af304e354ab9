"""Tasks: what they wait for, who claims them, and to whom they are passed on."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from storage.model.claims import ClaimTasks, ExtendClaim, HandOffTask, ReleaseTask
from storage.model.command import Command
from storage.model.tasks import STATUSES, CreateTask, DeleteTask, MoveTask, Task, UpdateTask
from storage.parts import Scoped
from tests.storage.histories import START, moment

_numbers = st.integers(0, 3)
#: One that makes the tasks, one that is in a team with it at times, and operators.
_agents = st.sampled_from(["scout", "scout", "mate", ""])
_claimers = st.sampled_from(["scout", "mate"])
_needs = st.lists(_numbers, max_size=2, unique=True)
#: A claim that is there, as they are numbered below; or none.
_claims = st.one_of(st.none(), _numbers)

plans = st.one_of(
    st.tuples(
        st.just("create task"),
        _agents,
        _needs,
        st.one_of(st.none(), _numbers),
        st.sampled_from([None, None, "team-0"]),
        st.sampled_from(["urgent", "normal"]),
    ),
    st.tuples(st.just("move task"), _agents, _numbers, st.sampled_from(STATUSES), _claims),
    st.tuples(st.just("needs"), _agents, _numbers, _needs),
    st.tuples(
        st.just("update task"),
        _agents,
        _numbers,
        st.sampled_from(
            [
                {"parent_task_id": "t-0"},
                {"parent_task_id": "t-1"},
                {"parent_task_id": None},
                {"assignee": "mate"},
                {"team_id": "team-0"},
                {"title": "task 1", "tags": ["x"]},
            ]
        ),
    ),
    st.tuples(st.just("delete task"), _agents, _numbers),
    st.tuples(
        st.just("claim"),
        _claimers,
        _numbers,
        st.integers(1, 3),
        st.sampled_from([0.5, 3.0, 100.0]),
        st.sampled_from([{}, {}, {"team": "team-0"}, {"tags": ["x"]}]),
    ),
    st.tuples(st.just("extend"), _claimers, _numbers),
    st.tuples(st.just("release"), _agents, _numbers, _claims),
    st.tuples(st.just("hand off"), _agents, _numbers, _claimers, _claims),
)


def _claim_id(which: int | None) -> str | None:
    return None if which is None else f"claim-{which}"


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create task", by, needs, parent, team, priority):
            own = f"t-{n % 5}"
            task = Task(
                id=own,
                agent_id=by or None,
                title=f"task {n}",
                depends_on=[f"t-{which}" for which in needs if f"t-{which}" != own],
                parent_task_id=None if parent is None or f"t-{parent}" == own else f"t-{parent}",
                team_id=team,
                priority=priority,
                created_at=now,
                updated_at=now,
            )
            return CreateTask(by=by or "scout", task=task)
        case ("delete task", by, which):
            return DeleteTask(agent_id=by or "scout", task_id=f"t-{which}", at=now)
        case ("claim", by, which, limit, lease, filters):
            return ClaimTasks(
                claim_id=f"claim-{which}",
                agent_id=by,
                at=now,
                limit=limit,
                lease=lease,
                filters=filters,
            )
        case ("extend", by, which):
            return ExtendClaim(claim_id=f"claim-{which}", agent_id=by, at=now, lease=5.0)
    return _change(n, plan)


def _change(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("move task", by, which, status, claim):
            return MoveTask(
                agent_id=by or "scout",
                task_id=f"t-{which}",
                status=status,
                at=now,
                claim_id=_claim_id(claim),
                note="noted" if n % 2 else None,
            )
        case ("needs", by, which, needs):
            changes = {"depends_on": [f"t-{one}" for one in needs if one != which]}
            return UpdateTask(agent_id=by or "scout", task_id=f"t-{which}", changes=changes, at=now)
        case ("update task", by, which, changes):
            itself = changes.get("parent_task_id") == f"t-{which}"
            return UpdateTask(
                agent_id=by or "scout",
                task_id=f"t-{which}",
                changes={} if itself else changes,
                at=now,
            )
        case ("release", by, which, claim):
            return ReleaseTask(
                agent_id=by or "scout", task_id=f"t-{which}", at=now, claim_id=_claim_id(claim)
            )
        case ("hand off", by, which, to, claim):
            return HandOffTask(
                agent_id=by or "scout",
                task_id=f"t-{which}",
                to=to,
                at=now,
                claim_id=_claim_id(claim),
            )
    return None


async def reads(view: Scoped) -> list[Any]:
    tasks = view.tasks
    found, listed = await tasks.search_tasks("task 1"), await tasks.list_tasks()
    later = START + timedelta(days=1)
    ready = await tasks._port.read("claims", "ready", at=later, limit=9, filters={})
    return [
        {task.id for task in found},
        listed,
        ready,
        [await tasks.claimed(f"claim-{n}") for n in range(4)],
        [await tasks.history(f"t-{n}") for n in range(5)],
        [await tasks.get_project(task.id) for task in listed],
    ]
