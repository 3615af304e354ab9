"""The way of a write: to the log in Redis, and from there to committed in SQLite."""

import sqlite3
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio

from bus import Bus
from bus.messages.envelope import new_id
from storage.client import StorageClient
from storage.config import StorageConfig
from storage.memory.items import SQL
from storage.model.items import MemoryItem
from storage.model.values import content_hash, now
from storage.rows import Rows
from storage.sidecar import run_sidecar
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.spelling import SQLiteSpelling

from .figures import Figure, median

#: Agents that write: enough for every partition to have some.
AGENTS = 8

#: Rows in one transaction of the bare statement, as the sidecar has in one batch.
ROWS = 1000


async def to_committed(url: str, count: int) -> list[Figure]:
    """Writes a second into the log, and from a full log to committed by one sidecar."""
    with tempfile.TemporaryDirectory(prefix="argentbus-bench-") as directory:
        config = _config(url, Path(directory))
        bare_put, bare_commit = await _bare(Path(directory) / "bare.db", count)
        async with _clients(config) as clients:
            started = time.perf_counter()
            await _write(clients, count)
            written = count / (time.perf_counter() - started)
            started = time.perf_counter()
            async with _sidecar(config):
                for client in clients:
                    await client.flush(timeout=600)
                committed = count / (time.perf_counter() - started)
    return [
        Figure(
            path=f"memory write acknowledged, {AGENTS} agents",
            ours=written,
            bare=bare_put,
            unit="/s",
            beside="making the same items, and nothing else",
        ),
        Figure(
            path="log -> committed in SQLite",
            ours=committed,
            bare=bare_commit,
            unit="/s",
            beside=f"executemany of {ROWS} rows a transaction, same table and triggers",
        ),
    ]


async def commit_latency(url: str, count: int) -> Figure:
    """Milliseconds from acknowledged to committed and known to the writer, one at a time."""
    with tempfile.TemporaryDirectory(prefix="argentbus-bench-") as directory:
        config = _config(url, Path(directory))
        async with _clients(config) as clients, _sidecar(config):
            ours = []
            for n in range(count):
                client = clients[n % AGENTS]
                await client.memory.create_item(summary=f"single fact {n}", memory_type="event")
                started = time.perf_counter()
                await client.flush()
                ours.append((time.perf_counter() - started) * 1000)
        path = Path(directory) / "single.db"
        async with SQLiteAdapter.open(path):
            pass
        rows = _rows(count)
        bare = []
        with closing(_connect(path)) as connection:
            for row in rows:
                started = time.perf_counter()
                with connection:
                    connection.execute(_insert(), row)
                bare.append((time.perf_counter() - started) * 1000)
    return Figure(
        path="acknowledged -> committed, p50",
        ours=median(ours),
        bare=median(bare),
        unit="ms",
        beside="one INSERT and its commit in this process",
    )


def _config(url: str, directory: Path) -> StorageConfig:
    namespace = f"bench-{new_id()}"
    return StorageConfig(
        redis_url=url, namespace=namespace, sqlite_path=directory / "sidecar.db", home=directory
    )


@asynccontextmanager
async def _clients(config: StorageConfig) -> AsyncGenerator[list[StorageClient]]:
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(
            Bus.connect(config.redis_url, namespace=config.namespace)
        )
        agents = [await stack.enter_async_context(bus.join(f"agent-{n}")) for n in range(AGENTS)]
        yield [StorageClient(agent) for agent in agents]


@asynccontextmanager
async def _sidecar(config: StorageConfig) -> AsyncGenerator[None]:
    ready = anyio.Event()

    async def run() -> None:
        await run_sidecar(config, ready=ready)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await ready.wait()
        yield
        tasks.cancel_scope.cancel()


async def _write(clients: Sequence[StorageClient], count: int, writers: int = 400) -> None:
    async def write(first: int) -> None:
        for n in range(first, count, writers):
            await clients[n % len(clients)].memory.create_item(
                summary=_summary(n), memory_type="knowledge"
            )

    async with anyio.create_task_group() as tasks:
        for first in range(writers):
            tasks.start_soon(write, first)


async def _bare(path: Path, count: int) -> tuple[float, float]:
    """Rates of making rows, and of committing them with nothing around it."""
    async with SQLiteAdapter.open(path):
        pass
    started = time.perf_counter()
    rows = _rows(count)
    made = count / (time.perf_counter() - started)
    insert = _insert()

    def commit() -> float:
        with closing(_connect(path)) as connection:
            began = time.perf_counter()
            for start in range(0, count, ROWS):
                with connection:
                    connection.executemany(insert, rows[start : start + ROWS])
            return count / (time.perf_counter() - began)

    return made, await anyio.to_thread.run_sync(commit)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _insert() -> str:
    return SQL["create_item"].replace("$", "?")


def _rows(count: int) -> list[list[Any]]:
    to_row: Callable[[MemoryItem], list[Any]] = Rows(
        MemoryItem, SQLiteSpelling(), "memory_items"
    ).to_row
    return [to_row(_item(n)) for n in range(count)]


def _item(n: int) -> MemoryItem:
    moment, summary = now(), _summary(n)
    return MemoryItem(
        id=new_id(),
        agent_id=f"agent-{n % AGENTS}",
        memory_type="knowledge",
        summary=summary,
        content_hash=content_hash(summary),
        created_at=moment,
        updated_at=moment,
    )


def _summary(n: int) -> str:
    return f"fact {n}: the parser of module {n % 97} fails on input {n % 1009} when it is rainy"
