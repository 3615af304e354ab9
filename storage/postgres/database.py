"""A PostgreSQL database: a pool of connections that carry nothing from transaction to transaction.

Each transaction takes on a role and, where it reads for an agent, names the agent; both end with
it. So a connection may be shared, also by PgBouncer in transaction mode. Behind such a pooler
nothing else may be kept on a connection either: statements are then not prepared ahead.
"""

import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import anyio
import asyncpg

from storage.database import Contended, Keys, Row, Violation
from storage.dimensions import mismatch
from storage.errors import DatabaseUnavailable, InvalidValue
from storage.rows import Spelling
from storage.settings import without_password

from . import catalog
from .catalog import APP_ROLE, OPERATOR_ROLE, SIDECAR_ROLE, Catalog
from .errors import translated
from .nearest import PgNearest
from .spelling import PgSpelling, vector_in, vector_out
from .turns import in_turns

#: Most connections of a pool.
CONNECTIONS: Final = 10

#: Seconds that connecting, and undoing what was cut short, may take.
PATIENCE: Final = 10.0

#: For who reads. Compiling a statement takes longer than any that we have.
_READING: Final = {"jit": "off"}

_NONE: Final[Mapping[str, str]] = MappingProxyType({})

#: Statements that a connection keeps prepared, where it is safe.
PREPARED: Final = 200

_INSERT: Final = re.compile(
    r"INSERT INTO (?P<table>\w+) \((?P<columns>[^)]*)\)\s*VALUES \([^)]*\)", re.DOTALL
)


class PgTransaction:
    """Statements that take effect together."""

    def __init__(self, connection: Any, database: "PgDatabase") -> None:
        self._connection = connection
        self._database = database

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Run one statement; return its rows."""
        with self._database.translated():
            return await self._connection.fetch(sql, *args)  # type: ignore[no-any-return]

    async def execute_many(
        self, sql: str, rows: Iterable[Sequence[Any]], *, keys: Keys = ()
    ) -> None:
        """Run one INSERT for each of `rows`: as few statements as their `keys` allow."""
        for turn in in_turns(rows, keys):
            with self._database.translated():
                if len(turn) == 1:
                    await self._connection.fetch(sql, *turn[0])
                else:
                    unnested = self._database.unnested(sql)
                    await self._connection.fetch(unnested, *zip(*turn, strict=True))

    async def hold(self, name: str, *, shared: bool = False) -> None:
        """Wait until no other transaction holds `name`, then hold it until this one ends."""
        lock = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        await self.fetch(f"SELECT {lock}(hashtextextended($1, 0))", name)

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """What happens inside is undone when the block raises."""
        with self._database.translated():
            await self._connection.execute("SAVEPOINT here")
        try:
            yield
        except Exception:
            if _is_open(self._connection):
                with self._database.translated():
                    await self._connection.execute("ROLLBACK TO here; RELEASE here")
            raise
        with self._database.translated():
            await self._connection.execute("RELEASE here")


class PgDatabase:
    """One PostgreSQL database. Made by `PgDatabase.open`."""

    spelling: Spelling = PgSpelling()
    package = "storage.postgres"
    typed_vectors = True

    def __init__(self, pool: Any, where: str, catalog: Catalog) -> None:
        self._pool = pool
        self._where = where
        self._catalog = catalog
        self.unnested = lru_cache(maxsize=64)(self._unnested)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, dimensions: int) -> "AsyncGenerator[PgDatabase]":
        """Open the database at `url`.

        Raises:
            DatabaseUnavailable: it cannot be reached, or not with this user.
            SchemaMismatch: its schema is older or newer than this program, or its vectors have
                another dimension.
        """
        where = without_password(url)
        with translated(where):
            direct, found = await _look(url, where, dimensions)
            pool = asyncpg.create_pool(
                url,
                min_size=0,
                max_size=CONNECTIONS,
                timeout=PATIENCE,
                init=_prepare,
                reset=_nothing_to_reset,
                statement_cache_size=PREPARED if direct else 0,
                max_inactive_connection_lifetime=300.0,
            )
            await pool
        try:
            yield cls(pool, where, found)
        finally:
            with anyio.CancelScope(shield=True):
                with anyio.move_on_after(PATIENCE):
                    await pool.close()
                pool.terminate()

    def translated(self) -> AbstractContextManager[None]:
        """Raise what goes wrong inside as errors of storage."""
        return translated(self._where, self._catalog.constraints)

    async def fetch(
        self, sql: str, *args: Any, scope: str, settings: Mapping[str, str] = _NONE
    ) -> list[Row]:
        """Run one reading statement, once more if the connection turns out to be gone.

        Args:
            settings: Of PostgreSQL, while it runs: the same ones each time, for its plan is kept.
        """
        role = APP_ROLE if scope else OPERATOR_ROLE
        begin = "BEGIN READ ONLY" + _taken_on(role, scope, {**_READING, **settings})
        try:
            try:
                return await self._fetch(begin, sql, args)
            except Contended:
                return await self._fetch(begin, sql, args)
            except DatabaseUnavailable as error:
                if not isinstance(error.__cause__, _GONE):
                    raise
                return await self._fetch(begin, sql, args)
        except Violation as error:
            raise InvalidValue("a value to look for", str(error)) from error

    async def _fetch(self, begin: str, sql: str, args: Sequence[Any]) -> list[Row]:
        async with self._begun(begin) as connection:
            with self.translated():
                return await connection.fetch(sql, *args)  # type: ignore[no-any-return]

    def nearest(self, sql: Mapping[str, str]) -> PgNearest:
        """Vector searches by the statements on a table (`search.sql`)."""
        return PgNearest(self, sql)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[PgTransaction]:
        """Write, for any agent; committed when the block ends well, else undone."""
        async with self._begun("BEGIN" + _taken_on(SIDECAR_ROLE, "")) as connection:
            yield PgTransaction(connection, self)

    async def verify(self) -> None:
        """See that its vectors have the dimension that they had when it was opened."""
        rows = await self.fetch(catalog.DIMENSIONS, scope="")
        if [int(row[0]) for row in rows] != [self._catalog.dimensions]:
            stored = int(rows[0][0])
            raise mismatch(f"PostgreSQL at {self._where}", stored, self._catalog.dimensions)

    @asynccontextmanager
    async def _begun(self, begin: str) -> AsyncGenerator[Any]:
        connection = await self._acquire(begin)
        ended = False
        try:
            yield connection
            with self.translated():
                await connection.execute("COMMIT")
            ended = True
        finally:
            with anyio.CancelScope(shield=True):
                await self._let_go(connection, ended=ended)

    async def _acquire(self, begin: str) -> Any:
        """A connection with a transaction begun: of those in the pool, some may be gone by now."""
        for left in range(CONNECTIONS, -1, -1):
            with self.translated():
                connection = await self._pool.acquire()
                try:
                    await connection.execute(begin)
                except BaseException as error:
                    with anyio.CancelScope(shield=True):
                        await self._let_go(connection, ended=False)
                    if not isinstance(error, _GONE) or not left:
                        raise
                else:
                    return connection
        raise AssertionError("unreachable")

    async def _let_go(self, connection: Any, *, ended: bool) -> None:
        if not ended:
            await _undo(connection)
        await self._pool.release(connection)

    def _unnested(self, sql: str) -> str:
        """`INSERT .. VALUES` for one row as one for many, whose columns are arrays."""
        match = _INSERT.search(sql)
        if match is None:
            raise ValueError(f"not an INSERT of one row of values: {sql}")
        columns = [column.strip() for column in match["columns"].split(",")]
        arrays = ", ".join(
            f"${n}::{self._catalog.types[match['table'], column]}[]"
            for n, column in enumerate(columns, 1)
        )
        target = f"{match['table']} ({match['columns']})"
        many = f"INSERT INTO {target} SELECT * FROM unnest({arrays})"  # noqa: S608 (our own text)
        return sql[: match.start()] + many + sql[match.end() :]


#: A connection that broke, or was broken when it was taken from the pool.
_GONE: Final = (
    OSError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
)


def _taken_on(role: str, scope: str, settings: Mapping[str, str] = _NONE) -> str:
    quoted = scope.replace("\\", "\\\\").replace("'", "''")
    values = {"role": f"'{role}'", "app.agent_id": f"E'{quoted}'"}
    values |= {name: f"'{value}'" for name, value in settings.items()}
    taken_on = ", ".join(f"set_config('{n}', {value}, true)" for n, value in values.items())
    return f"; SELECT {taken_on}"


async def _prepare(connection: Any) -> None:
    # In a transaction: behind a pooler, only that stays on one connection.
    async with connection.transaction():
        await connection.set_type_codec(
            "vector", encoder=vector_in, decoder=vector_out, format="binary"
        )


async def _nothing_to_reset(_connection: Any) -> None:
    """Transactions leave nothing behind."""


def _is_open(connection: Any) -> bool:
    """Whether it is: the pool has taken back one that broke, which then answers nothing."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False


async def _undo(connection: Any) -> None:
    """Undo whatever transaction there is; where that cannot be, close the connection."""
    undone = False
    with anyio.move_on_after(PATIENCE):
        with suppress(asyncpg.PostgresError, *_GONE):
            # Not asked for first: the status is not known while a statement is being cancelled.
            await connection.execute("ROLLBACK")
            undone = True
    if not undone:
        with suppress(asyncpg.InterfaceError):  # the pool has noticed, and let it go
            connection.terminate()


async def _look(url: str, where: str, dimensions: int) -> tuple[bool, Catalog]:
    """Whether the server is reached without a pooler between, and what it says of itself."""
    connection = await asyncpg.connect(url, timeout=PATIENCE, statement_cache_size=0)
    try:
        await connection.execute("BEGIN READ ONLY" + _taken_on(OPERATOR_ROLE, ""))
        [(pid,)] = await connection.fetch("SELECT pg_backend_pid()")
        found = await catalog.read(connection, where, dimensions)
        await connection.execute("COMMIT")
        # A pooler makes up a number of its own for each client.
        return pid == connection.get_server_pid(), found
    finally:
        with anyio.CancelScope(shield=True):
            await connection.close(timeout=PATIENCE)
