"""A process of one agent that claims tasks and completes them, until there are no more."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import anyio

from storage.adapter import DatabaseAdapter
from storage.postgres.adapter import PgAdapter
from storage.sqlite.adapter import SQLiteAdapter
from storage.tasks import Tasks

#: Seconds of a lease: nobody who lives loses one, however slow the machine is.
LEASE = 120.0

#: Seconds between two looks for tasks whose claimer is dead.
LOOK = 0.05


class Orders(NamedTuple):
    """What a claimer is told.

    Attributes:
        where: A SQLite file, or the URL of a PostgreSQL.
        name: Of the agent.
        at_once: Tasks of one claim.
        holds_after: Completed tasks after which it claims others for a second, and waits with them
            to be killed.
        notes: A file: a line for each task that it completed, `holds` when it waits.
    """

    where: str
    name: str
    at_once: int
    holds_after: int | None
    notes: Path


@asynccontextmanager
async def opened(where: str) -> AsyncIterator[DatabaseAdapter]:
    """The storage at a path or a URL."""
    if where.startswith("postgresql:"):
        async with PgAdapter.open(where, dimensions=3) as postgres:
            yield postgres
    else:
        async with SQLiteAdapter.open(Path(where), dimensions=3) as sqlite:
            yield sqlite


def claim(orders: Orders) -> None:
    """Carry orders out; the process's exit status says whether it could."""
    anyio.run(_claim, orders)
    sys.exit(0)


async def _claim(orders: Orders) -> None:
    async with opened(orders.where) as storage:
        tasks = storage.scoped(orders.name).tasks
        with orders.notes.open("a", buffering=1) as notes:
            done = 0
            while await _any_left(tasks):
                holds = orders.holds_after is not None and done >= orders.holds_after
                found = await tasks.claim(orders.at_once, lease=1.0 if holds else LEASE)
                if holds and found:
                    notes.write("holds\n")
                    await anyio.sleep_forever()
                for task in found:
                    await tasks.complete(task.id, claim_id=task.claim_id)
                    notes.write(f"{task.id}\n")
                    done += 1
                if not found:
                    await anyio.sleep(LOOK)


async def _any_left(tasks: Tasks) -> bool:
    return bool(await tasks.list_tasks(status=["pending", "in_progress"], limit=1))
