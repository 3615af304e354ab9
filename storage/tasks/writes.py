"""Applying commands that make, change, move and delete tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from storage.database import Database, Transaction, Violation
from storage.domain import Way, Writes, each, taken
from storage.model.command import Command
from storage.model.history import change_id
from storage.model.tasks import (
    CHANGES,
    FINAL,
    CreateTask,
    DeleteTask,
    MoveTask,
    Task,
    UpdateTask,
)

from . import dependencies
from .ledger import SQL, By, Ledger, check_holder, noted


class TaskWrites(Writes):
    """Applies task commands within a transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._ledger = Ledger(database)
        self._rows = self._ledger.rows
        self._keys = ((self._rows.columns.index("id"),),)

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            CreateTask: Way(self._create, kind=_ties),
            UpdateTask: each(self._update),
            MoveTask: each(self._move),
            DeleteTask: each(self._delete),
        }

    async def _create(self, transaction: Transaction, commands: Sequence[CreateTask]) -> None:
        depends, belongs = _ties(commands[0])
        tasks = [command.task for command in commands]
        if depends:
            await dependencies.hold_dependencies(transaction)
        if belongs:
            await dependencies.hold_parents(transaction)
        if depends:
            for task in tasks:
                await self._insert(transaction, [await _settled(transaction, task)])
                await dependencies.check_new(transaction, task)
        else:
            await self._insert(transaction, tasks)
        if belongs:
            await dependencies.check_parents(transaction, tasks)

    async def _insert(self, transaction: Transaction, tasks: Sequence[Task]) -> None:
        rows = [self._rows.to_row(task) for task in tasks]
        try:
            await transaction.execute_many(SQL["create_task"], rows, keys=self._keys)
        except Violation as error:
            if "created_at" in str(error):
                raise taken("task", tasks[0].id) from error
            raise

    async def _update(self, transaction: Transaction, command: UpdateTask) -> None:
        changes: dict[str, Any] = CHANGES.converted(command.changes)
        if "depends_on" in changes:
            await dependencies.hold_dependencies(transaction)
        if changes.get("parent_task_id") is not None:
            await dependencies.hold_parents(transaction)
        task = await self._ledger.get(transaction, command.task_id, command.agent_id)
        if changes.get("parent_task_id") is not None:
            await dependencies.check_parent(transaction, task.id, changes["parent_task_id"])
        if "depends_on" in changes:
            await dependencies.check_needs(transaction, task.id, changes["depends_on"])
            changes["status"] = await _waiting(transaction, task, changes["depends_on"])
        if changes.get("assignee", task.assignee) != task.assignee:
            check_holder(task, command.agent_id, None, owner_may=True)
            if task.claim_id is not None:
                changes |= {"status": "pending", "claim_id": None, "claim_expires_at": None}
        by = By(command.agent_id, change_id(command, task.id), "updated", command.at)
        await self._ledger.put(transaction, task, replace(task, **changes), by)

    async def _move(self, transaction: Transaction, command: MoveTask) -> None:
        status, at = command.status, command.at
        if status == "completed":
            await dependencies.hold_for_completion(transaction)
        task = await self._ledger.get(transaction, command.task_id, command.agent_id)
        check_holder(task, command.agent_id, command.claim_id, owner_may=status == "cancelled")
        moved = replace(
            task,
            status=status,
            started_at=task.started_at or at if status == "in_progress" else task.started_at,
            completed_at=at if status in FINAL else None,
            metadata=noted(task, command.note),
        )
        if status != "in_progress":
            moved = replace(moved, claim_id=None, claim_expires_at=None)
        by = By(command.agent_id, change_id(command, task.id), "moved", at)
        await self._ledger.put(transaction, task, moved, by)
        if status == "completed":
            await self._unblock(transaction, command)

    async def _unblock(self, transaction: Transaction, command: MoveTask) -> None:
        changes = {"status": {"old": "blocked", "new": "pending"}}
        for task_id in await dependencies.unblock(
            transaction, command.task_id, command.at, self._spelling
        ):
            by = By("", change_id(command, task_id), "unblocked", command.at)
            await self._ledger.record(transaction, task_id, changes, by)

    async def _delete(self, transaction: Transaction, command: DeleteTask) -> None:
        task = await self._ledger.find(transaction, command.task_id, command.agent_id)
        if task is not None:
            check_holder(task, command.agent_id, None, owner_may=True)
            by = By(command.agent_id, change_id(command, task.id), "deleted", command.at)
            await self._ledger.delete(transaction, task, by)


def _ties(command: CreateTask) -> tuple[bool, bool]:
    """Whether the new task waits for others, and is part of another."""
    return bool(command.task.depends_on), command.task.parent_task_id is not None


async def _settled(transaction: Transaction, task: Task) -> Task:
    """A new task: blocked while it waits for something."""
    if task.status != "pending" or await dependencies.resolved(transaction, task.depends_on):
        return task
    return replace(task, status="blocked")


async def _waiting(transaction: Transaction, task: Task, depends_on: Sequence[str]) -> str:
    """The status of a task that is to wait for others than before.

    What is blocked for another reason than what it waits for stays so.
    """
    resolved = await dependencies.resolved(transaction, depends_on)
    if task.status == "pending" and not resolved:
        return "blocked"
    if task.status != "blocked" or not resolved:
        return task.status
    waited = not await dependencies.resolved(transaction, task.depends_on)
    return "pending" if waited else "blocked"
