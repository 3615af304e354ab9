"""Tasks: work that agents hand to each other, and the commands that change it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Self

import msgspec

from storage.errors import InvalidValue

from . import values
from .command import Changes, Command, check_target

STATUSES: Final = ("pending", "in_progress", "blocked", "completed", "failed", "cancelled")
PRIORITIES: Final = ("urgent", "high", "normal", "low", "background")
SOURCES: Final = ("user", "agent", "heartbeat", "schedule", "channel", "job")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `tasks`. Seen and changed by its agent, its assignee and its team; by all where it
    has no agent.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: Who made it; None: everybody sees it.
        title, description: What is to be done, in a line and at length.
        status: pending, in_progress, blocked, completed, failed or cancelled.
        priority: urgent, high, normal, low or background.
        source: user, agent, heartbeat, schedule, channel or job.
        assignee: Id of the agent that is to do it.
        started_at, completed_at, due_at: With a time zone, or None.
        session_id, channel_id, team_id: Where it belongs, or None.
        parent_task_id: The project that it belongs to.
        depends_on: Ids of tasks that must be completed first.
        tags, metadata: What it may be found by, and whatever else belongs to it, as JSON.
        created_at, updated_at: With a time zone.
        claim_id: Of the claim under which its assignee works on it, until that ends.
        claim_expires_at: From when on another may claim it.

    Example:
        first: Task = await mine.tasks.create_task(title="write the parser")
        await mine.tasks.create_task(title="review it", depends_on=[first.id])
        print([task.title for task in await mine.tasks.ready()])  #> ['write the parser']
        await mine.tasks.complete(first.id)
        print([task.title for task in await mine.tasks.ready()])  #> ['review it']
    """

    id: str
    agent_id: str | None = None
    title: str
    description: str | None = None
    status: str = "pending"
    priority: str = "normal"
    source: str = "user"
    assignee: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    due_at: datetime | None = None
    session_id: str | None = None
    channel_id: str | None = None
    parent_task_id: str | None = None
    depends_on: list[str] = []
    team_id: str | None = None
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    created_at: datetime
    updated_at: datetime
    claim_id: str | None = None
    claim_expires_at: datetime | None = None


class TaskDependency(msgspec.Struct, frozen=True):
    """A row of `task_dependencies`, which the database keeps: what `depends_on` says, by line."""

    task_id: str
    needed_id: str


class TaskCommand(Command, frozen=True, kw_only=True):
    """What is common to commands on tasks and on the teams that may see them."""

    area = "tasks"
    by_operators: ClassVar[bool] = True


class CreateTask(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Add a task: blocked while something it depends on is not completed, else pending."""

    by: str
    task: Task

    @property
    def agent_id(self) -> str:
        return self.by

    def checked(self, dimensions: int) -> Self:
        checked_task(self.task)
        _check_itself(self.task.id, self.task.depends_on, self.task.parent_task_id)
        for field in ("claim_id", "claim_expires_at"):
            if getattr(self.task, field) is not None:
                raise InvalidValue(field, "cannot be given: create the task, then `claim` it")
        return self


class UpdateTask(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Change columns of a task."""

    agent_id: str
    task_id: str
    changes: dict[str, Any]
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("task_id", self.task_id, self.at)
        CHANGES.check(self.changes, dimensions)
        changes = self.changes
        _check_itself(self.task_id, changes.get("depends_on", ()), changes.get("parent_task_id"))
        return self


class MoveTask(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Bring a task into another status: start, complete, block, fail or cancel it.

    Attributes:
        status: Of `STATUSES`. `in_progress` sets started_at; the final ones set completed_at. All
            others but `in_progress` end a claim.
        note: Why, kept in the task's metadata.
        claim_id: Under which claim: refused where that is over.
    """

    agent_id: str
    task_id: str
    status: str
    at: datetime
    note: str | None = None
    claim_id: str | None = None

    def checked(self, dimensions: int) -> Self:
        check_target("task_id", self.task_id, self.at)
        values.one_of("status", self.status, STATUSES)
        values.optional_text("note", self.note)
        values.optional_text("claim_id", self.claim_id, most=128)
        return self


class DeleteTask(TaskCommand, frozen=True, kw_only=True, tag=True):
    """Remove a task."""

    agent_id: str
    task_id: str
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("task_id", self.task_id, self.at)
        return self


COMMANDS: Final = (CreateTask, UpdateTask, MoveTask, DeleteTask)

#: Columns that `UpdateTask` may change.
CHANGEABLE: Final = (
    "title",
    "description",
    "priority",
    "assignee",
    "due_at",
    "session_id",
    "channel_id",
    "parent_task_id",
    "depends_on",
    "team_id",
    "tags",
    "metadata",
)

#: Most tasks that one may depend on.
MOST_DEPENDENCIES: Final = 1_000

#: Statuses that end a task.
FINAL: Final = ("completed", "failed", "cancelled")


def checked_task(task: Task, _dimensions: int = 0) -> Task:
    """Return `task` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", task.id, least=1, most=128)
    values.optional_text("agent_id", task.agent_id, most=128)
    values.text("title", task.title, least=1, most=10_000)
    values.optional_text("description", task.description)
    values.one_of("status", task.status, STATUSES)
    values.one_of("priority", task.priority, PRIORITIES)
    values.one_of("source", task.source, SOURCES)
    for field in ("assignee", "session_id", "channel_id", "parent_task_id", "team_id", "claim_id"):
        values.optional_text(field, getattr(task, field), most=256)
    for field in ("started_at", "completed_at", "due_at", "claim_expires_at"):
        values.moment(field, getattr(task, field))
    values.texts("depends_on", task.depends_on, most=128)
    if len(task.depends_on) > MOST_DEPENDENCIES:
        raise InvalidValue(
            "depends_on",
            f"has {len(task.depends_on):,} tasks, and {MOST_DEPENDENCIES:,} are the most: "
            "gather some in a task between",
        )
    values.texts("tags", task.tags, most=256)
    values.json_object("metadata", task.metadata)
    values.known_moment("created_at", task.created_at)
    values.known_moment("updated_at", task.updated_at)
    return task


def _check_itself(task_id: str, depends_on: Sequence[str], parent_task_id: str | None) -> None:
    if task_id in depends_on:
        raise InvalidValue("depends_on", f"has the task {task_id} itself, which would never start")
    if task_id == parent_task_id:
        raise InvalidValue("parent_task_id", f"is the task {task_id} itself")


_NOW: Final = values.now()
CHANGES: Final = Changes(
    Task(id="x", title="x", created_at=_NOW, updated_at=_NOW), CHANGEABLE, checked_task
)
