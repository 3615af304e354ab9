"""Databases with a corpus in them."""

import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import asyncpg
import numpy as np

from argentbus.embedded import EmbeddedPostgres, free_port
from storage.model.values import content_hash, now
from storage.postgres import migrations
from storage.postgres.setup import setup
from storage.postgres.spelling import vector_in, vector_out
from storage.sqlite.spelling import SQLiteSpelling

from .corpus import Chunk, Corpus, Matrix, packed

#: Where to tell how far it is.
Say = Callable[[str], None]

_COLUMNS: Final = (
    *("id", "agent_id", "memory_type", "summary", "embedding"),
    *("content_hash", "created_at", "updated_at"),
)


def fill_sqlite(path: Path, corpus: Corpus) -> Matrix:
    """Write all rows; return their vectors."""
    matrix = np.empty((corpus.rows, corpus.dimensions), dtype=np.float32)
    places = ", ".join("?" for _ in _COLUMNS)
    insert = f"INSERT INTO memory_items ({', '.join(_COLUMNS)}) VALUES ({places})"  # noqa: S608
    moment = SQLiteSpelling().time_in(now())
    start = 0
    with closing(sqlite3.connect(path)) as connection:
        for chunk in corpus.chunks():
            matrix[start : start + len(chunk.ids)] = chunk.vectors
            start += len(chunk.ids)
            with connection:
                connection.executemany(insert, _records(chunk, moment))
    return matrix


def _records(chunk: Chunk, moment: Any) -> list[tuple[Any, ...]]:
    columns = (chunk.ids, chunk.agents, chunk.texts, packed(chunk.vectors))
    return [
        (key, agent, "event", text, vector, content_hash(f"{key} {text}"), moment, moment)
        for key, agent, text, vector in zip(*columns, strict=True)
    ]


@asynccontextmanager
async def filled_postgres(corpus: Corpus, say: Say) -> AsyncGenerator[EmbeddedPostgres]:
    """An embedded PostgreSQL with all rows in it, and memory for them."""
    # A vector stands in the table and in its index, where two of the seed's fill a page of 8 KiB.
    size = corpus.rows * (8 * corpus.dimensions + 2048)
    building = corpus.rows * (4 * corpus.dimensions + 1024)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 3
    settings = {
        "shared_buffers": f"{max(128, min(size, memory) >> 20)}MB",
        "maintenance_work_mem": f"{max(64, min(building, memory) >> 20)}MB",
        "max_wal_size": "8GB",
        # Nothing here has to outlive a power cut.
        "fsync": "off",
        "full_page_writes": "off",
    }
    with tempfile.TemporaryDirectory(prefix="argentbus-bench-") as directory:
        server = EmbeddedPostgres(Path(directory) / "postgres", free_port(), settings=settings)
        await anyio.to_thread.run_sync(server.start)
        try:
            await setup(server.url(), server.url("bench", "argentbus"))
            await migrations.run(server.url("bench"), dimensions=corpus.dimensions)
            connection = await connected(server)
            try:
                await _fill_postgres(connection, corpus, say)
            finally:
                await connection.close()
            yield server
        finally:
            await anyio.to_thread.run_sync(server.stop)


async def connected(server: EmbeddedPostgres) -> Any:
    """A connection of the superuser, who sees all rows."""
    connection = await asyncpg.connect(server.url("bench"))
    await connection.set_type_codec(
        "vector", encoder=vector_in, decoder=vector_out, format="binary"
    )
    return connection


async def _fill_postgres(connection: Any, corpus: Corpus, say: Say) -> None:
    """COPY all rows, then make the indexes that the schema has: quicker than row by row."""
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'memory_items' "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    for name, _ in indexes:
        await connection.execute(f'DROP INDEX "{name}"')
    moment, started = now(), time.perf_counter()
    for chunk in corpus.chunks():
        await connection.copy_records_to_table(
            "memory_items", records=_records(chunk, moment), columns=_COLUMNS
        )
    say(f"COPY took {time.perf_counter() - started:,.0f} s")
    for name, definition in indexes:
        started = time.perf_counter()
        await connection.execute(definition)
        say(f"the index {name} took {time.perf_counter() - started:,.0f} s")
    await connection.execute("VACUUM ANALYZE memory_items")
