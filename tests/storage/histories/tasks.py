"""Tasks."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.tasks import CreateTask, MoveTask, Task
from storage.parts import Scoped
from tests.storage.histories import moment

_numbers = st.integers(0, 3)

plans = st.one_of(
    st.tuples(st.just("create task"), st.lists(_numbers, max_size=2, unique=True)),
    st.tuples(
        st.just("move task"),
        _numbers,
        st.sampled_from(["in_progress", "completed", "failed", "cancelled"]),
    ),
)


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create task", needs):
            task = Task(
                id=f"t-{n % 5}",
                agent_id="scout",
                title=f"task {n}",
                depends_on=[f"t-{which}" for which in needs],
                created_at=now,
                updated_at=now,
            )
            return CreateTask(by="scout", task=task)
        case ("move task", which, status):
            return MoveTask(agent_id="scout", task_id=f"t-{which}", status=status, at=now)
    return None


async def reads(view: Scoped) -> list[Any]:
    found = await view.tasks.search_tasks("task 1")
    return [{task.id for task in found}, await view.tasks.list_tasks()]
