"""Databases whose dimension is looked at and changed, the same on each backend."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from storage.adapter import DatabaseAdapter
from storage.dimensions import TABLES, Change
from storage.postgres import dimensions as postgres
from storage.sqlite import dimensions as sqlite
from tests.storage.backends import Raw, RawSQLite, opened
from tests.storage.test_isolation import populate


class Place:
    """A database of three dimensions, on one of the backends."""

    def __init__(self, backend: str, path: Path, server: Any, name: str) -> None:
        self.backend, self.path, self.server, self.name = backend, path, server, name

    @asynccontextmanager
    async def open(self, dimensions: int) -> AsyncIterator[tuple[DatabaseAdapter, Raw]]:
        async with opened(self.backend, self.path, self.server, self.name, dimensions) as both:
            yield both

    async def look(self, wanted: int) -> Change:
        if self.backend == "sqlite":
            return await sqlite.look(self.path, wanted)
        return await postgres.look(self.server.user_url(self.name), wanted)

    async def change(self, wanted: int) -> Change:
        if self.backend == "sqlite":
            return await sqlite.change(self.path, wanted)
        return await postgres.change(self.server.url(self.name), wanted)

    def settings(self, dimensions: int) -> dict[str, Any]:
        """Those of `StorageConfig`."""
        if self.backend == "sqlite":
            return {"sqlite_path": self.path, "dimensions": dimensions}
        return {
            "backend": "postgres",
            "read_from": "postgres",
            "write_to": ("postgres",),
            "postgres_url": self.server.user_url(self.name),
            "dimensions": dimensions,
        }

    @property
    def shown(self) -> str:
        """As messages call it."""
        return str(self.path) if self.backend == "sqlite" else f"/{self.name}"

    @property
    def options(self) -> list[str]:
        if self.backend == "sqlite":
            return ["--sqlite", str(self.path)]
        return [
            *("--backend", "postgres", "--postgres-url", self.server.user_url(self.name)),
            *("--admin-url", self.server.url()),
        ]


async def fill(storage: DatabaseAdapter, raw: Raw) -> dict[str, list[Any]]:
    """Put rows of every kind in, some of each table with a vector; return them."""
    await populate(storage, raw)
    vector = "x'0000803f0000000000000000'" if isinstance(raw, RawSQLite) else "'[1,0,0]'"
    for table in TABLES:
        await raw.query(
            f"UPDATE {table} SET embedding = {vector} WHERE id IN (SELECT min(id) FROM {table})"
        )
    rows = await raw.everything()
    assert all(any(row.embedding for row in rows[table]) for table in TABLES)
    return rows


def without_vectors(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return rows | {
        table: sorted(
            (msgspec.structs.replace(row, embedding=None) for row in rows[table]), key=repr
        )
        for table in TABLES
    }


async def indexes_of(raw: Raw) -> list[Any]:
    if isinstance(raw, RawSQLite):
        return await raw.query("SELECT name, sql FROM sqlite_master ORDER BY name")
    return await raw.query(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid, "
        "relrowsecurity, relforcerowsecurity FROM pg_index JOIN pg_class ON oid = indrelid "
        "WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    )
