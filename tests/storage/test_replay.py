"""Any way of cutting the log into batches, with any repeats, gives the same rows."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import CommandRefused, Task
from storage.commands import Command
from storage.model.memory import CreateItem, DeleteItem, ReinforceItem, UpdateItem
from storage.model.tasks import CreateTask, MoveTask
from storage.sqlite.adapter import SQLiteAdapter
from tests.storage.rows import everything
from tests.storage.test_apply import START, at, create, entries

pytestmark = pytest.mark.anyio

_numbers = st.integers(0, 3)
_facts = st.sampled_from(["one", "ONE ", "two", "three"])
_commands = st.one_of(
    st.builds(lambda fact: ("create", fact), _facts),
    st.builds(lambda n: ("reinforce", n), _numbers),
    st.builds(lambda n, fact: ("update", n, fact), _numbers, _facts),
    st.builds(lambda n: ("delete", n), _numbers),
    st.builds(lambda needs: ("task", needs), st.lists(_numbers, max_size=2, unique=True)),
    st.builds(
        lambda n, status: ("move", n, status),
        _numbers,
        st.sampled_from(["in_progress", "completed", "failed", "cancelled"]),
    ),
)


def _command(n: int, plan: Sequence[Any]) -> Command:
    now = START + timedelta(seconds=n)
    match plan:
        case ("create", fact):
            item = msgspec.structs.replace(
                create(n, fact).item, created_at=now, updated_at=now, id=f"i-{n % 7}"
            )
            return CreateItem(item=item)
        case ("reinforce", which):
            return ReinforceItem(agent_id="scout", item_id=f"i-{which}", at=now)
        case ("update", which, fact):
            changes = {"summary": fact}
            return UpdateItem(agent_id="scout", item_id=f"i-{which}", changes=changes, at=now)
        case ("delete", which):
            return DeleteItem(agent_id="scout", item_id=f"i-{which}")
        case ("task", needs):
            task = Task(
                id=f"t-{n % 5}",
                agent_id="scout",
                title=f"task {n}",
                depends_on=[f"t-{which}" for which in needs],
                created_at=now,
                updated_at=now,
            )
            return CreateTask(by="scout", task=task)
        case ("move", which, status):
            return MoveTask(agent_id="scout", task_id=f"t-{which}", status=status, at=now)
    raise AssertionError(plan)


@asynccontextmanager
async def fresh() -> AsyncIterator[tuple[SQLiteAdapter, Path]]:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "memory.db"
        async with SQLiteAdapter.open(path, dimensions=3) as storage:
            yield storage, path


async def deliver(
    storage: SQLiteAdapter, commands: Sequence[Command], first: int, behind: int, fence: int
) -> None:
    """Apply the entries `first` to `behind`, as a sidecar would."""
    batch = list(enumerate(commands))[first:behind]
    while True:
        try:
            await storage.apply(
                [command for _, command in batch],
                position=at(behind, fence=fence),
                entry_ids=entries(*(n + 1 for n, _ in batch)),
            )
        except CommandRefused as error:
            batch = [row for n, row in enumerate(batch) if n not in error.refused]
        else:
            return


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_cut_into_batches_with_any_repeats_gives_the_same_rows(data: st.DataObject) -> None:
    plans = data.draw(st.lists(_commands, min_size=1, max_size=25))
    commands = [_command(n, plan) for n, plan in enumerate(plans)]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(commands)))) | {len(commands)})
    steps = []
    for start, behind in zip([0, *cuts], cuts, strict=False):
        # Delivered again from anywhere before, as after a crash between commit and trim.
        steps.append((data.draw(st.integers(0, start)), behind))
        if data.draw(st.booleans()):
            steps.append((data.draw(st.integers(0, start)), data.draw(st.integers(0, behind))))

    async def run() -> None:
        async with fresh() as (whole, whole_path), fresh() as (cut, cut_path):
            await deliver(whole, commands, 0, len(commands), fence=1)
            for fence, (first, behind) in enumerate(steps, 1):
                await deliver(cut, commands, first, max(first, behind), fence)
            assert everything(cut_path) == everything(whole_path)
            assert (await cut.positions())[0].entry_id == f"1000-{len(commands)}"

    anyio.run(run)
