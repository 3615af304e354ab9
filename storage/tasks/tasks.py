"""Tasks: work that agents hand to each other."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from storage import queries
from storage.database import Database, Transaction, Violation
from storage.domain import Reads, View, Way, Writes, each
from storage.errors import InvalidValue, NotFound
from storage.model import values
from storage.model.command import Command
from storage.model.tasks import (
    CHANGES,
    PRIORITIES,
    STATUSES,
    CreateTask,
    DeleteTask,
    MoveTask,
    Task,
    UpdateTask,
)
from storage.rows import Rows
from storage.search import Search

SQL = queries.load("storage.tasks", "tasks.sql")

_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

#: Held while a task is completed, and while it is looked up what a new one waits for: the one would
#: otherwise not see the other, and the new task wait for ever.
_DEPENDENCIES: Final = "tasks.depends_on"

#: Shortest beginning of an id that stands for the whole.
SHORTEST_PREFIX = 4


class Tasks(View):
    """What one agent may do with tasks.

    An agent sees and changes the tasks that it made, those assigned to it, and those of nobody.

    Raises:
        NotFound: out of every method that changes a task: there is none, or not for this agent.
            Over the bus, of an id that is given in full, the sidecar finds that out: the change is
            a dead letter then.
    """

    async def get_task(self, task_id: str) -> Task | None:
        """The task with that id, or the only one whose id begins so (4 characters at least).

        Raises:
            InvalidValue: several ids begin so, or it is too short.
        """
        task: Task | None = await self._port.read("tasks", "get_task", task_id=task_id)
        return task

    async def list_tasks(
        self,
        *,
        status: str | None = None,
        priority: str | None = None,
        assignee: str | None = None,
        project: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Task]:
        """Tasks, the most urgent first, then by due date and age. A project is a parent task.

        Args:
            limit, offset: Most tasks, up to 10,000, and how many of the first to pass over.

        Raises:
            InvalidValue: there is no such status or priority.
        """
        tasks: list[Task] = await self._port.read(
            "tasks",
            "list_tasks",
            status=status,
            priority=priority,
            assignee=assignee,
            project=project,
            limit=limit,
            offset=offset,
        )
        return tasks

    async def search_tasks(self, query: str, *, limit: int = 10) -> list[Task]:
        """Tasks with any word of `query` in title, description or tags, the best first.

        Args:
            limit: Most tasks, up to 1000.
        """
        tasks: list[Task] = await self._port.read("tasks", "search_tasks", query=query, limit=limit)
        return tasks

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
        """Change columns of a task; its status is changed by `start`, `complete` and so on."""
        await self._port.write(
            UpdateTask(
                agent_id=self.agent,
                task_id=await self._whole(task_id),
                changes=changes,
                at=values.now(),
            )
        )

    async def start(self, task_id: str) -> None:
        """Mark a task as being worked on."""
        await self._move(task_id, "in_progress", None)

    async def complete(self, task_id: str) -> None:
        """Mark a task as done; what waited for nothing else becomes pending."""
        await self._move(task_id, "completed", None)

    async def block(self, task_id: str, note: str) -> None:
        """Mark a task as waiting for something, and say for what."""
        await self._move(task_id, "blocked", note)

    async def fail(self, task_id: str, note: str) -> None:
        """Mark a task as failed, and say why."""
        await self._move(task_id, "failed", note)

    async def cancel(self, task_id: str, note: str | None = None) -> None:
        """Mark a task as no longer wanted."""
        await self._move(task_id, "cancelled", note)

    async def delete_task(self, task_id: str) -> None:
        """Remove a task; one that is not there is no error."""
        await self._port.write(DeleteTask(agent_id=self.agent, task_id=await self._whole(task_id)))

    async def ready(self, *, limit: int = 50) -> list[Task]:
        """Tasks that can be started now, the most urgent first.

        Args:
            limit: Most tasks, up to 10,000.
        """
        return await self.list_tasks(status="pending", limit=limit)

    async def _move(self, task_id: str, status: str, note: str | None) -> None:
        await self._port.write(
            MoveTask(
                agent_id=self.agent,
                task_id=await self._whole(task_id),
                status=status,
                at=values.now(),
                note=note,
            )
        )

    async def _whole(self, task_id: str) -> str:
        """The whole id: a UUID is one."""
        if _UUID.fullmatch(task_id):
            return task_id
        task = await self.get_task(task_id)
        if task is None:
            raise NotFound(f"there is no task {task_id} that {self.agent or 'anybody'} may see")
        return task.id


class TaskReads(Reads):
    """Reads of tasks."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Task, database.spelling, "tasks")
        self._search = Search(database, self._rows, "visible_tasks")

    async def get_task(self, agent: str, task_id: str) -> Task | None:
        behind = values.text("task_id", task_id, least=1) + "\U0010ffff"
        found = await self._all(agent, self._rows, SQL["get_task"], task_id, behind)
        exact = next((task for task in found if task.id == task_id), None)
        if exact is None and len(task_id) < SHORTEST_PREFIX:
            raise InvalidValue("task_id", f"give at least {SHORTEST_PREFIX} characters of the id")
        if exact is None and len(found) > 1:
            raise InvalidValue("task_id", f"several tasks begin with {task_id}: give more of it")
        return exact or (found[0] if found else None)

    async def list_tasks(
        self,
        agent: str,
        *,
        status: str | None = None,
        priority: str | None = None,
        assignee: str | None = None,
        project: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Task]:
        if status:
            values.one_of("status", status, STATUSES)
        if priority:
            values.one_of("priority", priority, PRIORITIES)
        return await self._all(
            agent,
            self._rows,
            SQL["list_tasks"],
            status or "",
            priority or "",
            values.text("assignee", assignee or ""),
            values.text("project", project or ""),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def search_tasks(self, agent: str, query: str, *, limit: int = 10) -> list[Task]:
        return await self._search.keyword(agent, query, limit)


class TaskWrites(Writes):
    """Applies task commands within a transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._own_sql = queries.load(database.package, "tasks.sql")
        self._rows = Rows(Task, database.spelling, "tasks")
        self._keys = ((self._rows.columns.index("id"),),)

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            CreateTask: Way(self._create, kind=lambda command: bool(command.task.depends_on)),
            UpdateTask: each(self._update),
            MoveTask: each(self._move),
            DeleteTask: each(self._delete),
        }

    async def _create(self, transaction: Transaction, commands: Sequence[CreateTask]) -> None:
        if not commands[0].task.depends_on:
            rows = [self._rows.to_row(command.task) for command in commands]
            await self._insert(transaction, rows)
            return
        await transaction.hold(_DEPENDENCIES)
        for command in commands:
            row = self._rows.to_row(command.task)
            if command.task.status == "pending" and not await self._resolved(
                transaction, command.task
            ):
                row[self._rows.columns.index("status")] = "blocked"
            await self._insert(transaction, [row])

    async def _insert(self, transaction: Transaction, rows: list[list[Any]]) -> None:
        try:
            await transaction.execute_many(SQL["create_task"], rows, keys=self._keys)
        except Violation as error:
            if "created_at" in str(error):
                raise Violation(f"there is another task {rows[0][0]} already") from error
            raise

    async def _resolved(self, transaction: Transaction, task: Task) -> bool:
        for needed in task.depends_on:
            rows = await transaction.fetch(SQL["status_of"], needed)
            if not rows or rows[0][0] != "completed":
                return False
        return True

    async def _update(self, transaction: Transaction, command: UpdateTask) -> None:
        changes = CHANGES.converted(command.changes) | {"updated_at": command.at}
        target = (command.task_id, command.agent_id)
        if not await self._change(transaction, self._rows, SQL["update_task"], changes, *target):
            raise _missing(*target)

    async def _move(self, transaction: Transaction, command: MoveTask) -> None:
        if command.status == "completed":
            await transaction.hold(_DEPENDENCIES)
        at = self._spelling.time_in(command.at)
        rows = await transaction.fetch(
            SQL["move_task"], command.task_id, command.agent_id, command.status, at
        )
        if not rows:
            raise _missing(command.task_id, command.agent_id)
        if command.note is not None:
            metadata = self._spelling.json_out(rows[0][0]) | {"note": command.note}
            await transaction.fetch(
                SQL["set_metadata"], command.task_id, self._spelling.json_in(metadata)
            )
        if command.status == "completed":
            await transaction.fetch(self._own_sql["unblock"], command.task_id, at)

    async def _delete(self, transaction: Transaction, command: DeleteTask) -> None:
        await transaction.fetch(SQL["delete_task"], command.task_id, command.agent_id)


def _missing(task_id: str, agent: str) -> NotFound:
    return NotFound(f"there is no task {task_id} that {agent or 'anybody'} may change")
