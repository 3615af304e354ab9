"""What tasks wait for, and what they are part of: looked at within a transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from storage import queries
from storage.database import Transaction, Violation
from storage.model.tasks import Task
from storage.rows import Spelling

SQL: Final = queries.load("storage.tasks", "dependencies.sql")

#: Held alone while it is looked up and written what a task waits for, and together with others
#: while tasks are completed: the one would otherwise not see the other, and the task wait for ever.
_DEPENDENCIES: Final = "tasks.depends_on"

#: Held by who completes what others wait for: of two things that one task waits for, completed at
#: once, each would otherwise leave it to the other to unblock the task.
_UNBLOCKING: Final = "tasks.unblock"

#: Held while tasks become part of others.
_PARENTS: Final = "tasks.parent_task_id"


async def hold_dependencies(transaction: Transaction) -> None:
    """Nobody completes tasks, or changes what they wait for, until the transaction ends."""
    await transaction.hold(_DEPENDENCIES)


async def hold_parents(transaction: Transaction) -> None:
    """Nobody else changes what tasks are part of until the transaction ends."""
    await transaction.hold(_PARENTS)


async def hold_for_completion(transaction: Transaction) -> None:
    """Nobody changes what tasks wait for until the transaction ends."""
    await transaction.hold(_DEPENDENCIES, shared=True)


async def check_needs(transaction: Transaction, task_id: str, depends_on: Sequence[str]) -> None:
    """See that nothing that a task is to wait for waits for it.

    Raises:
        Violation: something does.
    """
    if not depends_on or not await transaction.fetch(SQL["is_needed"], task_id):
        return
    for needed in depends_on:
        if await transaction.fetch(SQL["needs"], needed, task_id):
            raise Violation(
                f"task {task_id} cannot depend on {needed}, which depends on it, directly or by "
                "way of others: neither would ever start"
            )


async def check_new(transaction: Transaction, task: Task) -> None:
    """See that a task that was written does not wait for itself: something may have waited for it
    before it was there.

    Raises:
        Violation: it does.
    """
    if not await transaction.fetch(SQL["is_needed"], task.id):
        return
    if await transaction.fetch(SQL["needs"], task.id, task.id):
        await check_needs(transaction, task.id, task.depends_on)


async def check_parent(transaction: Transaction, task_id: str, parent: str) -> None:
    """See that a project that a task is to be part of is not part of it.

    Raises:
        Violation: it is.
    """
    if await transaction.fetch(SQL["is_within"], parent, task_id):
        raise _within_itself(task_id)


async def check_parents(transaction: Transaction, tasks: Sequence[Task]) -> None:
    """See that tasks that were written are not parts of themselves.

    Raises:
        Violation: one is.
    """
    ids = [task.id for task in tasks]
    places = ", ".join(f"${n}" for n, _ in enumerate(ids, 1))
    found = await transaction.fetch(SQL["are_within_themselves"] % places, *ids)
    if found:
        raise _within_itself(str(found[0][0]))


async def resolved(transaction: Transaction, depends_on: Sequence[str]) -> bool:
    """Whether all that a task waits for is completed."""
    ids = sorted(set(depends_on))
    if not ids:
        return True
    places = ", ".join(f"${n}" for n, _ in enumerate(ids, 1))
    [(count,)] = await transaction.fetch(SQL["count_completed"] % places, *ids)
    return int(count) == len(ids)


async def unblock(
    transaction: Transaction, completed: str, at: datetime, spelling: Spelling
) -> list[str]:
    """Let what waited for a task, and waits for nothing else, be pending: its ids."""
    if not await transaction.fetch(SQL["is_waited_for"], completed):
        return []
    await transaction.hold(_UNBLOCKING)
    rows = await transaction.fetch(SQL["unblock"], completed, spelling.time_in(at))
    return sorted(str(row[0]) for row in rows)


def _within_itself(task_id: str) -> Violation:
    return Violation(
        f"task {task_id} cannot be part of a project that is part of it, directly or by way of "
        "others"
    )
