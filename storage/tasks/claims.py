"""Claims: agents take the best tasks that are ready, each task by one of them."""

from typing import Final, Unpack

from storage.database import Violation
from storage.errors import CommandRefused
from storage.model import values
from storage.model.claims import ClaimTasks, ExtendClaim, HandOffTask, ReleaseTask
from storage.model.command import Command
from storage.model.filters import Filters, TaskFilter
from storage.model.history import change_id
from storage.model.tasks import Task

from .leases import over
from .ledger import check_holder
from .view import TaskReadView

#: Seconds of a lease, unless another is asked for.
LEASE: Final = 300.0


class Claims(TaskReadView):
    """What one agent may do to get tasks, and to pass them on."""

    async def ready(self, *, limit: int = 50, **filters: Unpack[Filters]) -> list[Task]:
        """Tasks that this agent could claim now, the best first: see `claim`."""
        tasks: list[Task] = await self._port.read(
            "claims",
            "ready",
            at=values.now(),
            limit=limit,
            filters=TaskFilter.of(filters).given(),
        )
        return tasks

    async def claim(
        self,
        limit: int = 1,
        *,
        lease: float = LEASE,
        claim_id: str | None = None,
        **filters: Unpack[Filters],
    ) -> list[Task]:
        """Take the best tasks that are ready: the most urgent, then the next due, then the oldest.

        Ready is what this agent may see and is pending, for nobody else in particular; and what
        somebody claimed who has neither finished it nor extended the claim in time. However many
        claim at once, each task goes to one of them. It is then in progress, assigned to this
        agent.

        The times of leases are those of the claimers' clocks. Clocks that differ by up to a
        second (`leases.SKEW`) take nothing from each other; where they differ by more, a task may
        be claimed that much before its lease is over. Its first claimer is then refused when it
        completes.

        Args:
            limit: Most tasks, 1 to 1,000.
            lease: Seconds after which another may claim them.
            claim_id: A UUIDv7 is made where none is given. A claim that is made again, because
                nobody knows how it ended, takes nothing more.
            filters: As for `list_tasks`, such as `team=` and `tags=`.

        Returns:
            The tasks; none where nothing is ready. They have the `claim_id` to give to
            `extend_claim`, `complete` and the others.

        Raises:
            InvalidValue: a limit, a lease or a filter that cannot be.
        """
        claim_id = claim_id or values.new_id()
        await self._port.write(
            ClaimTasks(
                claim_id=claim_id,
                agent_id=self.agent,
                at=values.now(),
                limit=limit,
                lease=lease,
                filters=TaskFilter.of(filters).given(),
            )
        )
        return await self.claimed(claim_id)

    async def claimed(self, claim_id: str) -> list[Task]:
        """The tasks that this agent still has under a claim, the best first."""
        tasks: list[Task] = await self._port.read("claims", "claimed", claim_id=claim_id)
        return tasks

    async def extend_claim(self, claim_id: str, lease: float = LEASE) -> list[Task]:
        """Keep the tasks of a claim for `lease` seconds from now; at least as long as before.

        Args:
            lease: Seconds from now after which another may claim them.

        Returns:
            The tasks that this agent still has under the claim: what was lost is not among them.

        Raises:
            CommandRefused: none is left.
        """
        command = ExtendClaim(claim_id=claim_id, agent_id=self.agent, at=values.now(), lease=lease)
        await self._port.write(command)
        tasks = await self.claimed(claim_id)
        if not tasks:
            raise CommandRefused(0, f"ExtendClaim of {self.agent} breaks a rule: {over(claim_id)}")
        return tasks

    async def release(
        self, task_id: str, *, note: str | None = None, claim_id: str | None = None
    ) -> None:
        """Give a task back: it is pending again, for whoever comes (or blocked, if it waits).

        Args:
            note: Why, kept in the task's metadata.
            claim_id: Under which it was claimed.

        Raises:
            CommandRefused: another has it by now; over the bus, only where `claim_id` is given.
        """
        command = ReleaseTask(
            agent_id=self.agent,
            task_id=await self._whole(task_id),
            at=values.now(),
            note=note,
            claim_id=claim_id,
        )
        await self._under_claim(command, command.task_id, claim_id)

    async def hand_off(
        self, task_id: str, to: str, *, note: str | None = None, claim_id: str | None = None
    ) -> None:
        """Give a task to the agent `to`: it is pending, for that agent alone to claim or start.

        Args:
            note: What the other should know, kept in the task's metadata.
            claim_id: Under which it was claimed.

        Raises:
            CommandRefused: another has it by now; over the bus, only where `claim_id` is given.
        """
        command = HandOffTask(
            agent_id=self.agent,
            task_id=await self._whole(task_id),
            to=to,
            at=values.now(),
            note=note,
            claim_id=claim_id,
        )
        await self._under_claim(command, command.task_id, claim_id)

    async def _under_claim(self, command: Command, task_id: str, claim_id: str | None) -> None:
        """Carry a command out; where it is under a claim, see over the bus too that it held."""
        await self._port.write(command)
        if claim_id is None or self._port.settles:
            return
        change = change_id(command, task_id)
        if await self._port.read("tasks", "change", change_id=change) is None:
            task: Task | None = await self._port.read("tasks", "get_task", task_id=task_id)
            try:
                if task is None:
                    raise Violation(f"there is no task {task_id} that {self.agent} may change")
                check_holder(task, self.agent, claim_id)
                raise Violation("see the dead letters of the write log")
            except Violation as error:
                kind = type(command).__name__
                reason = f"{kind} of {self.agent} breaks a rule: {error}"
                raise CommandRefused(0, reason) from None
