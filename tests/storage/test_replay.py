"""Any way of cutting the log into batches, with any repeats, gives the same rows."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import CommandRefused
from storage.adapter import DatabaseAdapter
from storage.commands import Command
from tests.postgres import PostgresServer
from tests.storage.backends import BACKENDS, TABLES, Raw, opened
from tests.storage.histories import (
    agents,
    candidates,
    categories,
    entities,
    feedback,
    imports,
    items,
    knowledge,
    lessons,
    resources,
    secrets,
    sessions,
    tasks,
    teams,
)
from tests.storage.test_apply import at, entries

pytestmark = pytest.mark.anyio

HISTORIES = (
    items,
    resources,
    categories,
    entities,
    lessons,
    candidates,
    feedback,
    sessions,
    tasks,
    teams,
    agents,
    knowledge,
    secrets,
    imports,
)
FIRST = [plan for history in HISTORIES for plan in getattr(history, "FIRST", ())]
_histories = st.lists(st.one_of(*(history.plans for history in HISTORIES)), min_size=8, max_size=25)


def _commands(data: st.DataObject) -> list[Command]:
    made = []
    # Mostly with something there that the others are about.
    first = FIRST if data.draw(st.integers(0, 3)) else []
    for n, plan in enumerate([*first, *data.draw(_histories)]):
        made.append(_command(n, plan))
    return made


def _command(n: int, plan: Sequence[Any]) -> Command:
    [command] = filter(None, (history.command(n, plan) for history in HISTORIES))
    return command


async def test_what_histories_begin_with_breaks_no_rule(sqlite: DatabaseAdapter) -> None:
    await sqlite.apply([_command(n, plan) for n, plan in enumerate(FIRST)])


async def _read(storage: DatabaseAdapter) -> list[Any]:
    view = storage.scoped("scout")
    return [await history.reads(view) for history in HISTORIES]


@asynccontextmanager
async def fresh(
    backend: str, server: Any, names: Iterator[str]
) -> AsyncIterator[tuple[DatabaseAdapter, Raw]]:
    """An empty storage: a file of its own, or a database that is emptied."""
    with TemporaryDirectory() as directory:
        name = next(names) if backend == "postgres" else ""
        async with opened(backend, Path(directory) / "memory.db", server, name) as (storage, raw):
            if name:
                # Of so few rows, quicker than TRUNCATE, which makes every index anew.
                for table in ("positions", *reversed(TABLES)):
                    await raw.query(f"DELETE FROM {table}")
            yield storage, raw


async def deliver(
    storage: DatabaseAdapter, commands: Sequence[Command], first: int, behind: int, fence: int
) -> dict[int, str]:
    """Apply the entries `first` to `behind`, as a sidecar would; return what was refused."""
    batch = list(enumerate(commands))[first:behind]
    refused: dict[int, str] = {}
    while True:
        try:
            await storage.apply(
                [command for _, command in batch],
                position=at(behind, fence=fence),
                entry_ids=entries(*(n + 1 for n, _ in batch)),
            )
        except CommandRefused as error:
            refused |= {batch[n][0]: reason for n, reason in error.refused.items()}
            batch = [row for n, row in enumerate(batch) if n not in error.refused]
        else:
            return refused


def _steps(data: st.DataObject, count: int) -> list[tuple[int, int]]:
    cuts = sorted(data.draw(st.sets(st.integers(1, count))) | {count})
    steps = []
    for start, behind in zip([0, *cuts], cuts, strict=False):
        # Delivered again from anywhere before, as after a crash between commit and trim.
        steps.append((data.draw(st.integers(0, start)), behind))
        if data.draw(st.booleans()):
            steps.append((data.draw(st.integers(0, start)), data.draw(st.integers(0, behind))))
    return steps


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_cut_into_batches_with_any_repeats_gives_the_same_rows(
    backend: str, request: pytest.FixtureRequest
) -> None:
    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        commands = _commands(data)
        steps = _steps(data, len(commands))

        async def run() -> None:
            names = cycle(databases)
            async with (
                fresh(backend, server, names) as (whole, behind_whole),
                fresh(backend, server, names) as (cut, behind_cut),
            ):
                await deliver(whole, commands, 0, len(commands), fence=1)
                for fence, (first, behind) in enumerate(steps, 1):
                    await deliver(cut, commands, first, max(first, behind), fence)
                assert await behind_cut.everything() == await behind_whole.everything()
                assert (await cut.positions())[0].entry_id == f"1000-{len(commands)}"

        anyio.run(run)

    with _databases(backend, request) as (server, databases):
        check()


def test_any_history_gives_the_same_rows_and_the_same_errors_on_both(
    postgres_server: PostgresServer,
) -> None:
    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        commands = _commands(data)
        steps = _steps(data, len(commands))

        async def run() -> None:
            names = cycle([name])
            async with (
                fresh("sqlite", None, names) as (one, behind_one),
                fresh("postgres", postgres_server, names) as (other, behind_other),
            ):
                for fence, (first, behind) in enumerate(steps, 1):
                    step = (commands, first, max(first, behind), fence)
                    assert await deliver(one, *step) == await deliver(other, *step)
                assert await behind_one.everything() == await behind_other.everything()
                assert await one.positions() == await other.positions()
                assert await _read(one) == await _read(other)

        anyio.run(run)

    with postgres_server.database(3) as name:
        check()


@contextmanager
def _databases(backend: str, request: pytest.FixtureRequest) -> Iterator[tuple[Any, list[str]]]:
    if backend == "sqlite":
        yield None, [""]
        return
    server = request.getfixturevalue("postgres_server")
    with server.database(3) as one, server.database(3) as other:
        yield server, [one, other]
