"""Claimers as processes, some of which are killed: each task is claimed by one, and all get done.

`ARGENTBUS_LONG=1` runs it with 32 claimers on 10,000 tasks.
"""

import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from storage.model.tasks import CreateTask, Task
from tests.storage.backends import Raw, opened
from tests.storage.claimer import Orders, claim
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

LONG = bool(os.environ.get("ARGENTBUS_LONG"))
TASKS, CLAIMERS, VICTIMS = (10_000, 32, 8) if LONG else (400, 8, 3)
NOW = datetime(2026, 1, 2, tzinfo=UTC)

# Forked from a process that has imported everything: thirty-two fresh ones would import for long.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.storage.claimer"])


@contextmanager
def claimers(where: str, directory: Path) -> Iterator[dict[str, Any]]:
    """The processes by their agents' names; the first ones are to be killed."""
    started: dict[str, Any] = {}
    try:
        for n in range(CLAIMERS):
            name = f"victim-{n}" if n < VICTIMS else f"claimer-{n}"
            orders = Orders(
                where=where,
                name=name,
                at_once=1 + n % 5,
                holds_after=n * TASKS // CLAIMERS // VICTIMS // 2 if n < VICTIMS else None,
                notes=directory / name,
            )
            started[name] = PROCESSES.Process(target=claim, args=(orders,))
            started[name].start()
        yield started
    finally:
        for process in started.values():
            if process.is_alive():
                process.kill()
            process.join()


def notes(directory: Path) -> dict[str, list[str]]:
    """What each claimer wrote; a line that a kill cut off does not count."""
    return {
        path.name: path.read_text().split("\n")[:-1]
        for path in directory.iterdir()
        if path.is_file()
    }


async def kill_who_holds(started: dict[str, Any], directory: Path) -> None:
    """Kill each victim when it has claimed tasks and sits on them."""
    for name in [name for name in started if name.startswith("victim")]:
        await eventually(
            lambda name=name: "holds" in notes(directory).get(name, ()),
            timeout=300 if LONG else 40,
        )
        os.kill(started[name].pid, signal.SIGKILL)


async def check_history(raw: Raw) -> int:
    """See that no task was claimed from a living claimer; return how many the dead left."""
    rows = await raw.query("SELECT task_id, agent_id, what, changes FROM task_history ORDER BY at")
    ends = Counter(row[0] for row in rows if row[2] == "moved")
    assert [*ends.values()] == [1] * TASKS, "each is completed once"
    left = 0
    holders: dict[str, str] = {}
    for task_id, agent, what, changes in rows:
        if what == "claimed":
            before = json.loads(changes).get("assignee", {}).get("old")
            assert before == holders.get(task_id)
            assert before is None or before.startswith("victim"), (task_id, before, agent)
            left += before is not None
            holders[task_id] = agent
        else:
            assert holders[task_id] == agent, "who completed it had it"
    return left


async def test_each_task_is_claimed_once_and_what_the_dead_held_is_taken_up(
    backend: str, path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    directory = path.parent / "notes"
    directory.mkdir()
    server: Any = request.getfixturevalue("postgres_server") if database else None
    async with opened(backend, path, server, database) as (storage, raw):
        for start in range(0, TASKS, 1000):
            await storage.apply([create(n) for n in range(start, min(start + 1000, TASKS))])
        where = server.user_url(database) if database else str(path)
        began = time.perf_counter()
        with claimers(where, directory) as started:
            await kill_who_holds(started, directory)
            for name, process in started.items():
                if name.startswith("claimer"):
                    await eventually(
                        lambda process=process: not process.is_alive(), timeout=500 if LONG else 50
                    )
                    assert process.exitcode == 0, name
            took = time.perf_counter() - began
        done = [task for written in notes(directory).values() for task in written]
        counted = Counter(task for task in done if task != "holds")
        assert max(counted.values()) == 1
        assert len(counted) == TASKS
        left = await check_history(raw)
        assert left >= VICTIMS, "each of the dead held one at least"
        assert {task.status for task in await storage.operator().tasks.list_tasks()} == {
            "completed"
        }
    print(f"{backend}: {CLAIMERS} claimers, {TASKS} tasks, {left} left by the dead, {took:.1f} s")


def create(n: int) -> CreateTask:
    """A task of nobody."""
    task = Task(id=f"t-{n:05}", title=f"task {n}", created_at=NOW, updated_at=NOW)
    return CreateTask(by="maker", task=task)
