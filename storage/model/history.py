"""The history of tasks: who changed what, and when."""

import hashlib
from datetime import datetime
from typing import Any, Final

import msgspec

WHAT: Final = (
    "updated",
    "moved",
    "claimed",
    "released",
    "handed_off",
    "unblocked",
    "deleted",
)


class TaskChange(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `task_history`. That a task was made is in the task itself.

    Attributes:
        id: Made from the command that changed the task, so that it is known when it comes again.
        task_id: Of the task, which may be deleted by now.
        agent_id: Who did it; empty for an operator, and where a task was unblocked, since nobody
            did that but by completing what it waited for.
        what: Of `WHAT`.
        changes: By column, what it was and what it became: `{"status": {"old": ..., "new": ...}}`.
        at: When, by the clock of who did it.

    Example:
        task = await mine.tasks.create_task(title="review it")
        await mine.tasks.start(task.id)
        history: list[TaskChange] = await mine.tasks.history(task.id)
        print(history[0].agent_id, history[0].what)  #> scout moved
        print(history[0].changes["status"])  #> {'old': 'pending', 'new': 'in_progress'}
    """

    id: str
    task_id: str
    agent_id: str
    what: str
    changes: dict[str, Any] = {}
    at: datetime


def change_id(command: msgspec.Struct, task_id: str) -> str:
    """The id of the change that a command makes of a task: 32 hex digits."""
    return _digest(msgspec.msgpack.encode([command, task_id]))


def claim_change_id(claim_id: str, place: int) -> str:
    """The id of the change that a claim makes of the task at that place among those it took."""
    return _digest(msgspec.msgpack.encode(["claim", claim_id, place]))


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
