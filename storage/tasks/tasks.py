"""Tasks: work that agents do, wait for, and look back at."""

from datetime import datetime
from typing import Any

from storage.model import values
from storage.model.tasks import CreateTask, DeleteTask, MoveTask, Task, UpdateTask

from .claims import Claims


class TaskViews(Claims):
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
