"""Tasks as a transaction changes them: each change with a row in their history."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from storage import queries
from storage.database import Database, Transaction, Violation
from storage.errors import NotFound
from storage.model.history import TaskChange
from storage.model.tasks import Task
from storage.rows import Rows

SQL: Final = queries.load("storage.tasks", "tasks.sql")

#: What changes with the claim or with every change, and says nothing by itself.
_UNSAID: Final = ("updated_at", "claim_expires_at")


class By(NamedTuple):
    """Who changes a task, how, and when.

    Attributes:
        agent: Empty for operators, and for storage itself.
        change_id: See `history.change_id`.
        what: Of `history.WHAT`.
    """

    agent: str
    change_id: str
    what: str
    at: datetime


class Ledger:
    """Reads tasks for a change, and writes the change down."""

    def __init__(self, database: Database) -> None:
        self.own = queries.load(database.package, "tasks.sql")
        self.spelling = database.spelling
        self.rows = Rows(Task, database.spelling, "tasks")
        self._changes = Rows(TaskChange, database.spelling, "task_history")

    async def find(self, transaction: Transaction, task_id: str, agent: str) -> Task | None:
        """The task, which nobody else changes until the transaction ends, if `agent` may."""
        sql = SQL["task_to_change"] % (self.rows.selected, self.own["locked"])
        found = await transaction.fetch(sql, task_id, agent)
        return self.rows.from_row(found[0]) if found else None

    async def get(self, transaction: Transaction, task_id: str, agent: str) -> Task:
        """The same.

        Raises:
            NotFound: there is none.
        """
        task = await self.find(transaction, task_id, agent)
        if task is None:
            raise NotFound(f"there is no task {task_id} that {agent or 'anybody'} may change")
        return task

    async def put(self, transaction: Transaction, old: Task, new: Task, by: By) -> None:
        """Write what `new` has differently, and say so in the history."""
        changed = {c: getattr(new, c) for c in self.rows.columns if _differ(old, new, c)}
        changed["updated_at"] = by.at
        assignments = ", ".join(f"{column} = ${n}" for n, column in enumerate(changed, 2))
        values = [self.rows.value_in(column, value) for column, value in changed.items()]
        await transaction.fetch(SQL["update_task"] % assignments, old.id, *values)
        await self.record(transaction, old.id, differences(old, new), by)

    async def delete(self, transaction: Transaction, old: Task, by: By) -> None:
        """Remove a task; its history keeps what it was."""
        await transaction.fetch(SQL["delete_task"], old.id)
        plain = msgspec.to_builtins(old)
        was = {c: {"old": v, "new": None} for c, v in plain.items() if v not in (None, [], {})}
        await self.record(transaction, old.id, was, by)

    async def record(
        self, transaction: Transaction, task_id: str, changes: Mapping[str, Any], by: By
    ) -> None:
        """Add to the history of a task, unless nothing became different."""
        if changes:
            change = TaskChange(
                id=by.change_id,
                task_id=task_id,
                agent_id=by.agent,
                what=by.what,
                changes=dict(changes),
                at=by.at,
            )
            await transaction.fetch(SQL["record_change"], *self._changes.to_row(change))


def differences(old: Task, new: Task) -> dict[str, Any]:
    """What a change comes to, for its history."""
    was, becomes = msgspec.to_builtins(old), msgspec.to_builtins(new)
    return {
        column: {"old": was[column], "new": becomes[column]}
        for column in Task.__struct_fields__
        if column not in _UNSAID and _differ(old, new, column)
    }


def noted(task: Task, note: str | None) -> dict[str, Any]:
    """The metadata of a task, with a note."""
    return task.metadata if note is None else task.metadata | {"note": note}


def check_holder(task: Task, agent: str, claim_id: str | None, *, owner_may: bool = False) -> None:
    """See that no claim of another stands against a change.

    A claim counts until it is ended, or another takes the task: that its lease ran out only lets
    others claim.

    Args:
        claim_id: Under which the agent thinks to work.
        owner_may: Whether the agent that made the task may, too.

    Raises:
        Violation: somebody else has the task, or the claim is over.
    """
    if claim_id is not None and task.claim_id != claim_id:
        another = "" if task.claim_id is None else ", under another claim"
        raise Violation(
            f"claim {claim_id[:200]} is not, or no longer, one on task {task.id}: "
            f"{_holder(task)}{another}"
        )
    if task.claim_id is None or agent in ("", task.assignee):
        return
    if not (owner_may and agent == task.agent_id):
        raise Violation(f"{_holder(task)}: claim it when that lease has run out")


def _holder(task: Task) -> str:
    if task.claim_id is None or task.claim_expires_at is None:
        return f"task {task.id} is {task.status} now, and claimed by nobody"
    until = task.claim_expires_at.isoformat(timespec="milliseconds")
    return f"task {task.id} is claimed by {task.assignee} until {until}"


def _differ(old: Task, new: Task, column: str) -> bool:
    return bool(getattr(old, column) != getattr(new, column))
