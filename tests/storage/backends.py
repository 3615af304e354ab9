"""What stands in a database, read and disturbed past the code under test, the same on each."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import asyncpg

from storage.adapter import DatabaseAdapter
from storage.model.agents import AgentRecord
from storage.model.candidates import Candidate
from storage.model.categories import Category, ItemCategory
from storage.model.collections import Collection, Grant
from storage.model.documents import Chunk
from storage.model.entities import Entity, ItemEntity
from storage.model.feedback import Feedback
from storage.model.history import TaskChange
from storage.model.imports import ImportedRow
from storage.model.items import MemoryItem
from storage.model.lessons import Lesson
from storage.model.observations import Observation
from storage.model.reflections import Reflection
from storage.model.resources import Resource
from storage.model.secrets import AuthCredential, SecretUse, ServiceKey
from storage.model.sessions import Session
from storage.model.shared_knowledge import Endorsement, SharedKnowledge
from storage.model.tasks import Task, TaskDependency
from storage.model.teams import Team, TeamInvitation, TeamMember
from storage.postgres.adapter import PgAdapter
from storage.postgres.spelling import PgSpelling, vector_out
from storage.rows import Rows, Spelling
from storage.sqlite.adapter import SQLiteAdapter
from storage.sqlite.spelling import SQLiteSpelling

#: What agents fill, parents first.
TABLES: Final[dict[str, Any]] = {
    "resources": Resource,
    "memory_items": MemoryItem,
    "categories": Category,
    "item_categories": ItemCategory,
    "entities": Entity,
    "item_entities": ItemEntity,
    "reflections": Reflection,
    "lessons": Lesson,
    "live_candidates": Candidate,
    "model_feedback": Feedback,
    "sessions": Session,
    "observations": Observation,
    "tasks": Task,
    "task_dependencies": TaskDependency,
    "task_history": TaskChange,
    "teams": Team,
    "team_members": TeamMember,
    "team_invitations": TeamInvitation,
    "agents": AgentRecord,
    "knowledge_collections": Collection,
    "knowledge_collection_grants": Grant,
    "knowledge_chunks": Chunk,
    "shared_knowledge": SharedKnowledge,
    "knowledge_endorsements": Endorsement,
    "service_keys": ServiceKey,
    "auth_credentials": AuthCredential,
    "secret_uses": SecretUse,
    "imported_rows": ImportedRow,
}

#: On which the conformance suite runs.
BACKENDS: Final = ("sqlite", "postgres")


class Raw(Protocol):
    """A database behind an adapter's back, with all rights."""

    async def query(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        """The rows of one statement."""

    async def everything(self) -> dict[str, list[Any]]:
        """Every row of the tables that agents fill, as structs."""

    async def refuse(self, table: str, condition: str, message: str) -> None:
        """Refuse new rows of `table`; `condition` is of `new`."""

    async def allow(self, table: str) -> None:
        """Refuse them no longer."""


class RawSQLite:
    """A SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def query(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection:
            rows = connection.execute(sql.replace("$", "?"), args).fetchall()
            connection.commit()
            return rows

    async def everything(self) -> dict[str, list[Any]]:
        return await _everything(self, SQLiteSpelling())

    async def refuse(self, table: str, condition: str, message: str) -> None:
        await self.query(
            f"CREATE TRIGGER refuse_{table} AFTER INSERT ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )

    async def allow(self, table: str) -> None:
        await self.query(f"DROP TRIGGER refuse_{table}")


class RawPostgres:
    """A PostgreSQL database, as its superuser."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> "AsyncIterator[RawPostgres]":
        connection = await asyncpg.connect(url)
        try:
            with suppress(ValueError):  # the server's own database has no vectors
                await connection.set_type_codec(
                    "vector", encoder=bytes, decoder=vector_out, format="binary"
                )
            yield cls(connection)
        finally:
            await connection.close()

    async def query(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self._connection.fetch(sql, *args)]

    async def everything(self) -> dict[str, list[Any]]:
        return await _everything(self, PgSpelling())

    async def refuse(self, table: str, condition: str, message: str) -> None:
        await self._connection.execute(
            f"CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{message}'; END $$;"
            f"CREATE TRIGGER refuse_{table} AFTER INSERT ON {table} FOR EACH ROW "
            f"WHEN ({condition}) EXECUTE FUNCTION refuse_{table}()"
        )

    async def allow(self, table: str) -> None:
        await self._connection.execute(
            f"DROP TRIGGER refuse_{table} ON {table}; DROP FUNCTION refuse_{table}"
        )


async def _everything(raw: Raw, spelling: Spelling) -> dict[str, list[Any]]:
    found = {}
    for table, struct in TABLES.items():
        rows: Rows[Any] = Rows(struct, spelling, table)
        sql = f"SELECT {rows.selected} FROM {table}"
        found[table] = sorted((rows.from_row(row) for row in await raw.query(sql)), key=repr)
    return found


@asynccontextmanager
async def opened(
    backend: str, path: Path, server: Any, database: str, dimensions: int = 3
) -> AsyncIterator[tuple[DatabaseAdapter, Raw]]:
    """A storage, and the database behind it."""
    if backend == "sqlite":
        async with SQLiteAdapter.open(path, dimensions=dimensions) as sqlite:
            yield sqlite, RawSQLite(path)
    else:
        async with (
            PgAdapter.open(server.user_url(database), dimensions=dimensions) as postgres,
            RawPostgres.open(server.url(database)) as raw,
        ):
            yield postgres, raw
