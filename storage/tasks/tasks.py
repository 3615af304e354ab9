"""Tasks: work that agents do, wait for, and look back at."""

import re
from datetime import datetime
from typing import Any, Unpack

from storage.domain import View
from storage.errors import NotFound
from storage.model import values
from storage.model.filters import AllFilters, TaskFilter
from storage.model.history import TaskChange
from storage.model.tasks import CreateTask, DeleteTask, MoveTask, Task, UpdateTask

from .claims import Claims
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


class TaskViews(TaskReadView, Claims):
    """What one agent may know of tasks, and do with them."""

    async def create_task(
        self,
        *,
        title: str,
        task_id: str | None = None,
        created_at: datetime | None = None,
        **columns: Any,
    ) -> Task:
        """Add a task; blocked while one of its `depends_on` is not completed.

        Args:
            title: 1 to 10,000 characters.
            task_id: A UUIDv7 is made where none is given.
            columns: Other columns of `Task`.

        Returns:
            The task as it was written.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: it would depend on itself, or be part of itself, by way of others.
        """
        moment = values.moment("created_at", created_at) or values.now()
        columns.setdefault("agent_id", self.agent or None)
        task = Task(
            id=task_id or values.new_id(),
            title=title,
            created_at=moment,
            updated_at=moment,
            **columns,
        )
        await self._port.write(CreateTask(by=self.agent, task=task))
        return task

    async def update_task(self, task_id: str, **changes: Any) -> None:
        """Change columns of a task; its status is changed by `start`, `complete` and so on.

        With other `depends_on`, what is pending may be blocked, and what was blocked by the old
        ones pending. With another `assignee`, a claim ends.

        Raises:
            InvalidValue: a value that no table may hold, or a column that stays as it is.
            CommandRefused: it would depend on itself, or be part of itself, by way of others; or
                another has claimed it, who keeps it.
        """
        await self._port.write(
            UpdateTask(
                agent_id=self.agent,
                task_id=await self._whole(task_id),
                changes=changes,
                at=values.now(),
            )
        )

    async def start(self, task_id: str) -> None:
        """Mark a task as being worked on, without a lease: see `claim`.

        Raises:
            CommandRefused: there is no such task that this agent may change, or another has claimed
                it. Not over the bus: there the command is a dead letter of the write log.
        """
        await self._move(task_id, "in_progress", None, None)

    async def complete(self, task_id: str, *, claim_id: str | None = None) -> None:
        """Mark a task as done; what waited for nothing else becomes pending.

        Args:
            claim_id: Under which it was claimed: give it, so that what another has claimed since
                is not touched, be it another process of the same agent.

        Raises:
            CommandRefused: the claim is over, and who has the task; or it is claimed by another.
                Over the bus, only where `claim_id` is given.
        """
        await self._move(task_id, "completed", None, claim_id)

    async def block(self, task_id: str, note: str, *, claim_id: str | None = None) -> None:
        """Mark a task as waiting for something, and say for what; this ends a claim.

        Args:
            note: Kept in the task's metadata.
            claim_id: As for `complete`, which is refused alike.
        """
        await self._move(task_id, "blocked", note, claim_id)

    async def fail(self, task_id: str, note: str, *, claim_id: str | None = None) -> None:
        """Mark a task as failed, and say why. What waits for it stays blocked, until the task is
        completed after all, or `update_task` lets it wait for something else.

        Args:
            note: Kept in the task's metadata.
            claim_id: As for `complete`, which is refused alike.
        """
        await self._move(task_id, "failed", note, claim_id)

    async def cancel(
        self, task_id: str, note: str | None = None, *, claim_id: str | None = None
    ) -> None:
        """Mark a task as no longer wanted. What waits for it stays blocked, as with `fail`.

        Whoever made it may do so also while another has claimed it.

        Args:
            note: Why, kept in the task's metadata.
            claim_id: As for `complete`, which is refused alike.
        """
        await self._move(task_id, "cancelled", note, claim_id)

    async def delete_task(self, task_id: str) -> None:
        """Remove a task; one that is not there is no error. What waits for it stays blocked, what
        is part of it stays, and its history is kept.

        Raises:
            CommandRefused: another has claimed it, and this agent did not make it. Not over the
                bus, as with `start`.
        """
        await self._port.write(
            DeleteTask(agent_id=self.agent, task_id=await self._whole(task_id), at=values.now())
        )

    async def _move(
        self, task_id: str, status: str, note: str | None, claim_id: str | None
    ) -> None:
        command = MoveTask(
            agent_id=self.agent,
            task_id=await self._whole(task_id),
            status=status,
            at=values.now(),
            note=note,
            claim_id=claim_id,
        )
        await self._under_claim(command, command.task_id, claim_id)
