"""Projects: tasks that have others below them, summed up."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from storage.model.tasks import FINAL, Task

#: Most tasks that are summed up.
MOST: Final = 10_000


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """How far a project is, as one agent sees it.

    Attributes:
        task: The task that the others are part of.
        by_status: How many tasks are below it, in whatever depth, by status.
        percent_done: 0 to 100, of those that are not cancelled; where there are none, 100 if it is
            completed itself.
        next_due: Of those that are not ended.
        blocked_by: What each blocked task waits for: ids of tasks that are not completed, or not
            to be seen. Empty where it was blocked for another reason.
        projects: The same of each task directly below that has others below itself.

    Example:
        parser = await mine.tasks.create_task(title="the parser")
        for title in ("write it", "review it"):
            step = await mine.tasks.create_task(title=title, parent_task_id=parser.id)
        await mine.tasks.complete(step.id)
        project: Project = await mine.tasks.get_project(parser.id)
        print(project.percent_done, project.by_status)  #> 50.0 {'completed': 1, 'pending': 1}
    """

    task: Task
    by_status: dict[str, int]
    percent_done: float
    next_due: datetime | None
    blocked_by: dict[str, list[str]]
    projects: list["Project"]


def summed_up(task: Task, below: Sequence[Task], completed: Collection[str]) -> Project:
    """Sum a project up.

    Args:
        below: All tasks below it.
        completed: Those of their dependencies that are completed.
    """
    children: dict[str, list[Task]] = {}
    for one in below:
        children.setdefault(one.parent_task_id or "", []).append(one)
    return _project(task, children, completed)


def _project(
    task: Task, children: Mapping[str, Sequence[Task]], completed: Collection[str]
) -> Project:
    below: list[Task] = []
    found = list(children.get(task.id, ()))
    while found:
        one = found.pop()
        below.append(one)
        found.extend(children.get(one.id, ()))
    by_status: dict[str, int] = {}
    for one in below:
        by_status[one.status] = by_status.get(one.status, 0) + 1
    wanted = len(below) - by_status.get("cancelled", 0)
    done = by_status.get("completed", 0)
    return Project(
        task=task,
        by_status=dict(sorted(by_status.items())),
        percent_done=_percent(done, wanted) if wanted else _percent(task.status == "completed", 1),
        next_due=min((t.due_at for t in below if t.due_at and t.status not in FINAL), default=None),
        blocked_by={
            one.id: [needed for needed in one.depends_on if needed not in completed]
            for one in sorted(below, key=lambda one: one.id)
            if one.status == "blocked"
        },
        projects=[
            _project(one, children, completed)
            for one in children.get(task.id, ())
            if one.id in children
        ],
    )


def _percent(done: int, wanted: int) -> float:
    return round(100 * done / wanted, 1)
