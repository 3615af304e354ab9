"""Looking at tasks, by their ids or by what they are."""

import re
from typing import Unpack

from storage.domain import View
from storage.errors import NotFound
from storage.model.filters import AllFilters, TaskFilter
from storage.model.history import TaskChange
from storage.model.tasks import Task

from .projects import Project

_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class TaskReadView(View):
    """What one agent may know of tasks.

    Raises:
        NotFound: out of `get_tasks_by_project`, and of whatever changes a task, where that is not
            named by a whole UUID: there is none that this agent may see.
    """

    async def get_task(self, task_id: str) -> Task | None:
        """The task with that id, or the only one whose id begins so (4 characters at least).

        Raises:
            InvalidValue: several ids begin so, or it is too short.
        """
        task: Task | None = await self._port.read("tasks", "get_task", task_id=task_id)
        return task

    async def list_tasks(
        self, *, limit: int = 50, offset: int = 0, **filters: Unpack[AllFilters]
    ) -> list[Task]:
        """Tasks, the most urgent first, then by due date and age.

        Args:
            limit: Most tasks, up to 10,000.
            filters: The fields of `TaskFilter`: any column (several values mean any of them), a
                `project` (the parent task), a `team`, `tags` that they all have, `due_after` and
                `due_before` and so on, `without` for columns that are empty.

        Raises:
            InvalidValue: a filter that there is not, or a value that its column cannot have.
        """
        tasks: list[Task] = await self._port.read(
            "tasks",
            "list_tasks",
            filters=TaskFilter.of(filters).given(),
            limit=limit,
            offset=offset,
        )
        return tasks

    async def get_tasks_by_project(self, project: str, *, limit: int = 50) -> list[Task]:
        """The tasks directly below a project, the most urgent first: see `list_tasks`."""
        return await self.list_tasks(project=await self._whole(project), limit=limit)

    async def get_project(self, task_id: str) -> Project | None:
        """How far a project is: all tasks below it that this agent may see, summed up.

        Raises:
            InvalidValue: there are more than 10,000 of them.
        """
        project: Project | None = await self._port.read("tasks", "project", task_id=task_id)
        return project

    async def search_tasks(self, query: str, *, limit: int = 10) -> list[Task]:
        """Tasks with any word of `query` in title, description or tags, the best first.

        Args:
            limit: Most tasks, up to 1000.
        """
        tasks: list[Task] = await self._port.read("tasks", "search_tasks", query=query, limit=limit)
        return tasks

    async def history(self, task_id: str, *, limit: int = 100, offset: int = 0) -> list[TaskChange]:
        """Who changed a task in which way, the oldest change first by the clocks of who did it.

        That it was made is in the task itself; that a claim was extended is not kept. Of a task
        that this agent does not see (any more), what it did itself.

        Args:
            task_id: The whole of it.
            limit, offset: Most changes, up to 10,000, and how many of the oldest to pass over.

        Raises:
            InvalidValue: an id, a limit or an offset that cannot be.
        """
        changes: list[TaskChange] = await self._port.read(
            "tasks", "history", task_id=task_id, limit=limit, offset=offset
        )
        return changes

    async def _whole(self, task_id: str) -> str:
        """The whole id: a UUID is one."""
        if _UUID.fullmatch(task_id):
            return task_id
        task = await self.get_task(task_id)
        if task is None:
            raise NotFound(f"there is no task {task_id} that {self.agent or 'anybody'} may see")
        return task.id
