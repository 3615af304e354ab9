"""Tasks of `a`: kept for itself, given to `b`, or its team's."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import Read, Shown, each, seen

ALL = ("of-a", "to-b", "team-ab", "team-ad")
SEEN = seen(a={*ALL}, b={"to-b", "team-ab"})


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    tasks = storage.scoped("a").tasks
    await tasks.create_task(title="apple of-a", task_id="of-a")
    await tasks.create_task(title="apple to-b", task_id="to-b", assignee="b")
    await tasks.create_task(title="apple", task_id="team-ab", team_id="ab")
    await tasks.create_task(title="apple", task_id="team-ad", team_id="ad")


async def _listed(view: Scoped) -> list[str]:
    return [task.id for task in await view.tasks.list_tasks()]


async def _found(view: Scoped) -> list[str]:
    return [task.id for task in await view.tasks.search_tasks("apple")]


READS = {
    ("tasks", "get_task"): Read(lambda view: each(view.tasks.get_task, ALL), SEEN),
    ("tasks", "list_tasks"): Read(_listed, SEEN),
    ("tasks", "search_tasks"): Read(_found, SEEN),
}

SQL = {"tasks": Shown("SELECT id FROM tasks", SEEN)}
