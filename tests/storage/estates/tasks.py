"""Tasks of `a`: kept for itself, given to `b`, or its team's."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import Read, Shown, each, seen

ALL = ("of-a", "to-b", "team-ab", "team-ad")
SEEN = seen(a={*ALL}, b={"to-b", "team-ab"})
#: Whose history there is: of each task what its agent renamed, and what `b` did of what it lost.
CHANGED = seen(a={*ALL, "lost"}, b={"to-b", "team-ab", "lost"}, operator={*ALL, "lost"})


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    tasks = storage.scoped("a").tasks
    await tasks.create_task(title="of-a", task_id="of-a", tags=["own"])
    await tasks.create_task(title="to-b", task_id="to-b", assignee="b")
    await tasks.create_task(title="team", task_id="team-ab", team_id="ab")
    await tasks.create_task(title="team", task_id="team-ad", team_id="ad")
    for one in ALL:
        await tasks.update_task(one, title=f"apple {one}")
    assert len(await tasks.claim(tags=["own"], claim_id="claim-of-a")) == 1
    # What b did itself it knows, also when the task is another's again.
    await tasks.create_task(title="pear", task_id="lost", assignee="b")
    await storage.scoped("b").tasks.hand_off("lost", "a")
    await tasks.complete("lost")


async def _listed(view: Scoped) -> list[str]:
    return [task.id for task in await view.tasks.list_tasks(without=["completed_at"])]


async def _found(view: Scoped) -> list[str]:
    return [task.id for task in await view.tasks.search_tasks("apple")]


async def _project(view: Scoped) -> set[str]:
    """Those that are summed up where one is seen: they are below nothing, and so each by itself."""
    found = [await view.tasks.get_project(task_id) for task_id in ALL]
    return {project.task.id for project in found if project}


async def _changes(view: Scoped) -> list[str]:
    return [one for one in (*ALL, "lost") if await view.tasks.history(one)]


async def _change(view: Scoped) -> set[str]:
    ids = [change.id for one in (*ALL, "lost") for change in await view.tasks.history(one)]
    found = [await view.tasks._port.read("tasks", "change", change_id=one) for one in ids]
    assert all(found)
    return {change.task_id for change in found}


async def _ready(view: Scoped) -> list[str]:
    return [task.id for task in await view.tasks.ready()]


async def _claimed(view: Scoped) -> list[str]:
    return [task.id for task in await view.tasks.claimed("claim-of-a")]


READS = {
    ("tasks", "get_task"): Read(lambda view: each(view.tasks.get_task, ALL), SEEN),
    ("tasks", "list_tasks"): Read(_listed, SEEN),
    ("tasks", "search_tasks"): Read(_found, SEEN),
    ("tasks", "project"): Read(_project, SEEN),
    ("tasks", "history"): Read(_changes, CHANGED),
    ("tasks", "change"): Read(_change, CHANGED),
    # What is given to b is for b to claim, and not for a.
    ("claims", "ready"): Read(
        _ready,
        seen(
            a={"team-ab", "team-ad"},
            b={"to-b", "team-ab"},
            operator={"to-b", "team-ab", "team-ad"},
        ),
    ),
    ("claims", "claimed"): Read(_claimed, seen(a={"of-a"})),
}

SQL = {
    "tasks": Shown("SELECT id FROM tasks WHERE completed_at IS NULL", SEEN),
    "task_history": Shown("SELECT task_id FROM task_history", CHANGED),
}
