"""Reads of tasks, and of their history."""

from collections.abc import Sequence
from typing import Any, Final

from storage.database import Database
from storage.domain import Reads
from storage.errors import InvalidValue
from storage.model import values
from storage.model.filters import TaskFilter
from storage.model.history import TaskChange
from storage.model.tasks import Task
from storage.rows import Rows
from storage.search import Search

from . import projects
from .filters import QUEUE, conditions
from .ledger import SQL, Ledger
from .projects import Project

#: Shortest beginning of an id that stands for the whole.
SHORTEST_PREFIX: Final = 4

#: Ids that one statement asks for.
_AT_ONCE: Final = 10_000


class TaskReads(Reads):
    """Reads of tasks."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._ledger = Ledger(database)
        self._rows = self._ledger.rows
        self._changes = Rows(TaskChange, database.spelling, "task_history")
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
        self, agent: str, *, filters: dict[str, Any], limit: int = 50, offset: int = 0
    ) -> list[Task]:
        ledger = self._ledger
        more, args = conditions(TaskFilter.of(filters), ledger.own, ledger.spelling, 4)
        sql = SQL["list_tasks"] % {"columns": "%s", "filters": more, "queue": QUEUE}
        return await self._all(
            agent,
            self._rows,
            sql,
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
            *args,
        )

    async def search_tasks(self, agent: str, query: str, *, limit: int = 10) -> list[Task]:
        return await self._search.keyword(agent, query, limit)

    async def history(
        self, agent: str, task_id: str, *, limit: int = 100, offset: int = 0
    ) -> list[TaskChange]:
        return await self._all(
            agent,
            self._changes,
            SQL["list_changes"],
            values.text("task_id", task_id, least=1),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )

    async def change(self, agent: str, change_id: str) -> TaskChange | None:
        values.text("change_id", change_id)
        return await self._one(agent, self._changes, SQL["get_change"], change_id)

    async def project(self, agent: str, task_id: str) -> Project | None:
        task = await self.get_task(agent, task_id)
        if task is None:
            return None
        below = await self._all(agent, self._rows, SQL["list_below"], task.id, projects.MOST + 1)
        if len(below) > projects.MOST:
            raise InvalidValue(
                "task_id", f"has more than {projects.MOST:,} tasks below it: ask for parts of it"
            )
        needed = {one for t in below if t.status == "blocked" for one in t.depends_on}
        return projects.summed_up(task, below, await self._completed(agent, sorted(needed)))

    async def _completed(self, agent: str, ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            places = ", ".join(f"${n}" for n, _ in enumerate(some, 2))
            sql = SQL["list_completed"] % places
            rows = await self._database.fetch(sql, agent, *some, scope=agent)
            found.update(str(row[0]) for row in rows)
        return found
