"""Applying batches of commands, beside the bare statements on the same table with its indexes."""

import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import asyncpg

from argentbus.embedded import EmbeddedPostgres, free_port
from bus.messages.envelope import new_id
from storage.adapter import DatabaseAdapter
from storage.commands import Command
from storage.memory.items import SQL
from storage.model.items import CreateItem, MemoryItem
from storage.model.tasks import CreateTask, Task
from storage.model.values import content_hash, now
from storage.postgres import migrations
from storage.postgres.adapter import PgAdapter
from storage.postgres.setup import setup
from storage.postgres.spelling import PgSpelling, vector_in, vector_out
from storage.rows import Rows
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.spelling import SQLiteSpelling

from .figures import Figure

#: Commands in a batch, and how many batches of each are measured at full length.
SIZES: Final = {1: 500, 100: 100, 1000: 20}

_COLUMNS: Final = list(MemoryItem.__struct_fields__)

Batches = Sequence[Sequence[Command]]


async def sqlite_apply(share: float) -> list[Figure]:
    """Commands a second into a SQLite file, beside executemany of the same rows."""
    figures = []
    with tempfile.TemporaryDirectory(prefix="argentbus-bench-") as directory:
        for size, full in SIZES.items():
            count = max(3, int(full * share))
            path = Path(directory) / f"bare-{size}.db"
            async with SQLiteAdapter.open(path):
                pass
            bare = await anyio.to_thread.run_sync(_executemany, path, _rows(size, count))
            async with SQLiteAdapter.open(Path(directory) / f"ours-{size}.db") as storage:
                ours = await _applied(storage, _items(size, count))
                mixed = await _applied(storage, _mixed(size, count)) if size > 1 else 0.0
            beside = "executemany in one transaction, synchronous = FULL"
            figures.append(_figure(f"SQLite apply, {size} items", ours, bare, beside))
            if mixed:
                figures.append(_figure(f"SQLite apply, {size} mixed", mixed, bare, beside))
    return figures


async def postgres_apply(share: float) -> list[Figure]:
    """Commands a second into an embedded PostgreSQL, beside executemany, unnest and COPY."""
    with tempfile.TemporaryDirectory(prefix="argentbus-bench-") as directory:
        server = EmbeddedPostgres(Path(directory) / "postgres", free_port())
        await anyio.to_thread.run_sync(server.start)
        try:
            url = server.url("bench", "argentbus")
            await setup(server.url(), url)
            await migrations.run(server.url("bench"))
            figures = []
            for size, full in SIZES.items():
                figures += await _postgres(server, size, max(3, int(full * share)))
            return figures
        finally:
            await anyio.to_thread.run_sync(server.stop)


async def _postgres(server: EmbeddedPostgres, size: int, count: int) -> list[Figure]:
    url = server.url("bench", "argentbus")
    bare = {}
    for name, way in (("executemany", _pg_executemany), ("unnest", _unnest), ("COPY", _copy)):
        bare[name] = await _pg_bare(server.url("bench"), way, size, count)
    async with PgAdapter.open(url) as storage:
        ours = await _applied(storage, _items(size, count))
        mixed = await _applied(storage, _mixed(size, count)) if size > 1 else 0.0
        figures = [
            _figure(f"PostgreSQL apply, {size} items", ours, rate, f"{name}, same table")
            for name, rate in bare.items()
        ]
        if mixed:
            title = f"PostgreSQL apply, {size} mixed"
            figures.append(_figure(title, mixed, bare["unnest"], "unnest of items, same table"))
    return figures


def _figure(path: str, ours: float, bare: float, beside: str) -> Figure:
    return Figure(path=path, ours=ours, bare=bare, unit="/s", beside=beside)


async def _applied(storage: DatabaseAdapter, batches: Batches) -> float:
    started = time.perf_counter()
    for batch in batches:
        await storage.apply(batch)
    return sum(map(len, batches)) / (time.perf_counter() - started)


# what is written


def _item() -> MemoryItem:
    moment, name = now(), new_id()
    summary = f"fact {name}: the parser of a module fails on its input when it is rainy"
    return MemoryItem(
        id=name,
        agent_id=f"agent-{name[-1]}",
        memory_type="knowledge",
        summary=summary,
        content_hash=content_hash(summary),
        created_at=moment,
        updated_at=moment,
    )


def _items(size: int, count: int) -> Batches:
    return [[CreateItem(item=_item()) for _ in range(size)] for _ in range(count)]


def _mixed(size: int, count: int) -> Batches:
    """Eight new items and two tasks in ten, each kind in stretches of ten."""
    return [[_one_of_ten(n) for n in range(size)] for _ in range(count)]


def _one_of_ten(n: int) -> Command:
    item = _item()
    match n // 10 % 10:
        case 7 | 8:
            task = Task(
                id=item.id,
                agent_id=item.agent_id,
                title=item.summary,
                created_at=item.created_at,
                updated_at=item.updated_at,
            )
            return CreateTask(by=item.agent_id, task=task)
        case _:
            return CreateItem(item=item)


def _rows(size: int, count: int) -> list[list[list[Any]]]:
    to_row = Rows(MemoryItem, SQLiteSpelling(), "memory_items").to_row
    return [[to_row(_item()) for _ in range(size)] for _ in range(count)]


# the bare statements


def _executemany(path: Path, batches: Sequence[Sequence[Sequence[Any]]]) -> float:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        insert = SQL["create_item"].replace("$", "?")
        started = time.perf_counter()
        for batch in batches:
            with connection:
                connection.executemany(insert, batch)
        return sum(map(len, batches)) / (time.perf_counter() - started)


Way = Callable[[Any, Sequence[Sequence[Any]]], Awaitable[Any]]


async def _pg_bare(url: str, way: Way, size: int, count: int) -> float:
    to_row = Rows(MemoryItem, PgSpelling(), "memory_items").to_row
    batches = [[to_row(_item()) for _ in range(size)] for _ in range(count)]
    connection = await asyncpg.connect(url)
    try:
        await connection.set_type_codec(
            "vector", encoder=vector_in, decoder=vector_out, format="binary"
        )
        started = time.perf_counter()
        for batch in batches:
            async with connection.transaction():
                await way(connection, batch)
        return size * count / (time.perf_counter() - started)
    finally:
        await connection.close()


async def _pg_executemany(connection: Any, batch: Sequence[Sequence[Any]]) -> None:
    await connection.executemany(SQL["create_item"], batch)


async def _unnest(connection: Any, batch: Sequence[Sequence[Any]]) -> None:
    await connection.execute(_UNNEST, *zip(*batch, strict=True))


async def _copy(connection: Any, batch: Sequence[Sequence[Any]]) -> None:
    await connection.copy_records_to_table("memory_items", records=batch, columns=_COLUMNS)


_TYPES: Final = {
    "embedding": "vector",
    "reinforcement_count": "bigint",
    "extra": "jsonb",
    "emotional_valence": "float8",
    "emotional_arousal": "float8",
    **dict.fromkeys(
        ("happened_at", "last_reinforced_at", "created_at", "updated_at"), "timestamptz"
    ),
}
_ARRAYS: Final = ", ".join(
    f"${n}::{_TYPES.get(column, 'text')}[]" for n, column in enumerate(_COLUMNS, 1)
)
_UNNEST: Final = (
    f"INSERT INTO memory_items ({', '.join(_COLUMNS)}) "  # noqa: S608 (our own text)
    f"SELECT * FROM unnest({_ARRAYS}) ON CONFLICT (agent_id, content_hash) DO NOTHING"
)
