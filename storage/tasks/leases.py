"""The leases behind claims: what is ready, who has it, and until when."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from storage.database import Database, Transaction, Violation
from storage.domain import Reads, Way, Writes, each
from storage.model import values
from storage.model.claims import ClaimTasks, ExtendClaim, HandOffTask, ReleaseTask
from storage.model.command import Command
from storage.model.filters import TaskFilter
from storage.model.history import change_id, claim_change_id
from storage.model.tasks import FINAL, Task

from . import dependencies
from .filters import QUEUE, conditions
from .ledger import SQL, By, Ledger, check_holder, differences, noted

#: Seconds that a lease is left in peace after its end: so much may clocks of claimers differ.
SKEW: Final = 1.0

#: Filters that leave few tasks, which are quicker found by their own index than by the queue's.
_NARROW: Final = frozenset({"id", "project", "team"})


class ClaimReads(Reads):
    """Reads of what is ready, and claimed."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._ledger = Ledger(database)

    async def ready(
        self, agent: str, *, at: datetime, limit: int = 50, filters: dict[str, Any]
    ) -> list[Task]:
        values.known_moment("at", at)
        sql, args = _ready(self._ledger, agent, at, values.at_most("limit", limit, 10_000), filters)
        found = await self._database.fetch(sql, *args, scope=agent)
        return [self._ledger.rows.from_row(row) for row in found]

    async def claimed(self, agent: str, claim_id: str) -> list[Task]:
        rows = self._ledger.rows
        sql = SQL["claimed"] % {"columns": rows.selected, "queue": QUEUE}
        values.text("claim_id", claim_id)
        found = await self._database.fetch(sql, agent, claim_id, scope=agent)
        return [rows.from_row(row) for row in found]


class ClaimWrites(Writes):
    """Applies commands on claims within a transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._ledger = Ledger(database)

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            ClaimTasks: each(self._claim),
            ExtendClaim: each(self._extend),
            ReleaseTask: each(self._release),
            HandOffTask: each(self._hand_off),
        }

    async def _claim(self, transaction: Transaction, command: ClaimTasks) -> None:
        await transaction.hold(f"tasks.claim.{command.claim_id}")
        if not _NARROW & command.filters.keys():
            await transaction.fetch(self._ledger.own["follow_queue"])
        first = claim_change_id(command.claim_id, 0)
        if await transaction.fetch(SQL["is_recorded"], first):
            return
        ledger, agent, at = self._ledger, command.agent_id, command.at
        sql, args = _ready(
            ledger, agent, at, command.limit, command.filters, ledger.own["unless_locked"]
        )
        found = [ledger.rows.from_row(row) for row in await transaction.fetch(sql, *args)]
        if not found:
            return
        until = at + timedelta(seconds=command.lease)
        places = ", ".join(f"${n}" for n, _ in enumerate(found, 5))
        times = (self._spelling.time_in(until), self._spelling.time_in(at))
        ids = [task.id for task in found]
        await transaction.fetch(SQL["claim_tasks"] % places, agent, command.claim_id, *times, *ids)
        for place, task in enumerate(found):
            claimed = replace(
                task,
                status="in_progress",
                assignee=agent,
                claim_id=command.claim_id,
                started_at=task.started_at or at,
            )
            by = By(agent, claim_change_id(command.claim_id, place), "claimed", at)
            await ledger.record(transaction, task.id, differences(task, claimed), by)

    async def _extend(self, transaction: Transaction, command: ExtendClaim) -> None:
        until = self._spelling.time_in(command.at + timedelta(seconds=command.lease))
        if not await transaction.fetch(
            SQL["extend_claim"], command.claim_id, command.agent_id, until
        ):
            raise Violation(over(command.claim_id))

    async def _release(self, transaction: Transaction, command: ReleaseTask) -> None:
        await self._pass_on(transaction, command, "released", None)

    async def _hand_off(self, transaction: Transaction, command: HandOffTask) -> None:
        await self._pass_on(transaction, command, "handed_off", command.to)

    async def _pass_on(
        self,
        transaction: Transaction,
        command: ReleaseTask | HandOffTask,
        what: str,
        to: str | None,
    ) -> None:
        await dependencies.hold_dependencies(transaction)
        task = await self._ledger.get(transaction, command.task_id, command.agent_id)
        check_holder(task, command.agent_id, command.claim_id, owner_may=to is not None)
        if task.status in FINAL:
            raise Violation(f"task {task.id} is {task.status}: start it again first")
        passed = replace(
            task,
            assignee=to,
            status=await _again(transaction, task),
            metadata=noted(task, command.note),
            claim_id=None,
            claim_expires_at=None,
        )
        by = By(command.agent_id, change_id(command, task.id), what, command.at)
        await self._ledger.put(transaction, task, passed, by)


def _ready(
    ledger: Ledger,
    agent: str,
    at: datetime,
    limit: int,
    filters: Mapping[str, Any],
    lock: str = "",
) -> tuple[str, list[Any]]:
    """The statement that finds what is ready, with its values."""
    more, args = conditions(TaskFilter.of(filters), ledger.own, ledger.spelling, 4)
    sql = SQL["ready"] % {
        "columns": ledger.rows.selected,
        "filters": more,
        "queue": QUEUE,
        "lock": lock,
        "by_lease": ledger.own["by_lease"],
        "by_queue": "" if _NARROW & filters.keys() else ledger.own["by_queue"],
    }
    lapsed_by = ledger.spelling.time_in(at - timedelta(seconds=SKEW))
    return sql, [agent, lapsed_by, limit, *args]


async def _again(transaction: Transaction, task: Task) -> str:
    """The status of a task on which nobody works any more."""
    if task.status != "in_progress":
        return task.status
    waits = not await dependencies.resolved(transaction, task.depends_on)
    return "blocked" if waits else "pending"


def over(claim_id: str) -> str:
    """That a claim is over, in words."""
    return f"the claim {claim_id} is over: its tasks are done, given back, or claimed by others"
