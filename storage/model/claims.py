"""Claims on tasks: who works on them, until when, and how they go to somebody else."""

from datetime import datetime, timedelta
from typing import Any, Final, Self

from storage.errors import InvalidValue

from . import values
from .command import check_target
from .filters import TaskFilter
from .tasks import TaskCommand

#: Seconds that a lease may last.
LEASES: Final = (0.01, 366 * 86_400.0)

#: Most tasks of one claim.
MOST_CLAIMED: Final = 1_000


class ClaimTasks(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Take the best tasks that are ready and that the agent may see.

    Attributes:
        claim_id: What the tasks are found by afterwards. Carried out again, it takes nothing more.
        limit: Most tasks to take.
        lease: Seconds from `at` on after which others may take them.
        filters: Fields of `TaskFilter`, by name.
    """

    claim_id: str
    agent_id: str
    at: datetime
    limit: int = 1
    lease: float
    filters: dict[str, Any]

    def checked(self, dimensions: int) -> Self:
        if not self.agent_id:
            raise InvalidValue("agent_id", "is empty: only an agent can claim, not an operator")
        check_target("claim_id", self.claim_id, self.at)
        values.whole("limit", self.limit, 1, MOST_CLAIMED)
        check_lease(self.at, self.lease)
        TaskFilter.of(self.filters)
        return self


class ExtendClaim(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Let a claim last until `lease` seconds from `at` on; it is never made shorter."""

    claim_id: str
    agent_id: str
    at: datetime
    lease: float

    def checked(self, dimensions: int) -> Self:
        check_target("claim_id", self.claim_id, self.at)
        check_lease(self.at, self.lease)
        return self


class ReleaseTask(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Give a task back to the queue.

    Attributes:
        note: Why, kept in the task's metadata.
        claim_id: Under which claim: refused where that is over.
    """

    agent_id: str
    task_id: str
    at: datetime
    note: str | None = None
    claim_id: str | None = None

    def checked(self, dimensions: int) -> Self:
        check_target("task_id", self.task_id, self.at)
        values.optional_text("note", self.note)
        values.optional_text("claim_id", self.claim_id, most=128)
        return self


class HandOffTask(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Give a task to another agent, to start with or to claim.

    Attributes:
        to: The other agent.
        note: What it should know, kept in the task's metadata.
        claim_id: Under which claim: refused where that is over.
    """

    agent_id: str
    task_id: str
    to: str
    at: datetime
    note: str | None = None
    claim_id: str | None = None

    def checked(self, dimensions: int) -> Self:
        check_target("task_id", self.task_id, self.at)
        values.text("to", self.to, least=1, most=128)
        values.optional_text("note", self.note)
        values.optional_text("claim_id", self.claim_id, most=128)
        return self


COMMANDS: Final = (ClaimTasks, ExtendClaim, ReleaseTask, HandOffTask)


def check_lease(at: datetime, lease: Any) -> None:
    """Check that a lease has an end.

    Raises:
        InvalidValue: it has not, or is too short or too long.
    """
    values.number("lease", lease, *LEASES)
    try:
        values.moment("lease", at + timedelta(seconds=lease))
    except OverflowError:
        raise InvalidValue("lease", "would end after the year 9999") from None
