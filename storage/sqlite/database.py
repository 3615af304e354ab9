"""A SQLite file: one writer, some readers, each a connection with a thread of its own (aiosqlite).

WAL lets readers go on while the writer writes. `synchronous=FULL` makes a commit survive a power
cut: the write log in Redis is trimmed behind the commit, so nobody else would still have the rows.
"""

import re
import sqlite3
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import aiosqlite
import anyio
import anyio.to_thread

from storage.commands import DIMENSIONS
from storage.database import Keys, Row, Violation
from storage.dimensions import mismatch
from storage.errors import DatabaseUnavailable, InvalidValue
from storage.rows import Spelling

from . import migrations
from .nearest import SQLiteNearest
from .settings import STORED, dimensions_of
from .spelling import SQLiteSpelling
from .vectors import VECTOR_CACHE, Room

#: Seconds that a statement waits for another process's write lock.
BUSY: Final = 10.0

#: Connections that read.
READERS: Final = 3

#: What is wrong with a statement's values, and stays wrong however often it is tried.
_VIOLATIONS: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    OverflowError,
    UnicodeError,
)

_PLACEHOLDER: Final = re.compile(r"\$(\d+)")


@lru_cache(maxsize=512)
def _rewritten(sql: str) -> str:
    return _PLACEHOLDER.sub(r"?\1", sql)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except _VIOLATIONS as error:
        raise Violation(str(error)) from error
    except sqlite3.Error as error:
        raise DatabaseUnavailable(f"SQLite file {path}: {error}{_remedy(str(error))}") from error


def _remedy(text: str) -> str:
    for fault, remedy in (
        ("locked", f": another process has held its write lock for {BUSY:g} s; see which (`lsof`)"),
        ("full", ": make room on its disk; what waits in Redis is applied then"),
        ("readonly", ": make the file and its directory writable for this user"),
        ("unable to open", ": check that its directory exists and is writable for this user"),
        ("not a database", ": it is another kind of file; name another with --sqlite"),
        ("malformed", ": it is damaged; restore a backup, or try `sqlite3 FILE .recover`"),
    ):
        if fault in text:
            return remedy
    return ""


class SQLiteTransaction:
    """Statements that take effect together."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Run one statement; return its rows."""
        with _translated(self._path):
            return list(await self._connection.execute_fetchall(_rewritten(sql), args))

    async def execute_many(
        self, sql: str, rows: Iterable[Sequence[Any]], *, keys: Keys = ()
    ) -> None:
        """Run one statement for each of `rows`, in their order, in one visit to the thread."""
        with _translated(self._path):
            await self._connection.executemany(_rewritten(sql), rows)

    async def hold(self, name: str, *, shared: bool = False) -> None:
        """There is one writer at a time: it holds everything."""

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """What happens inside is undone when the block raises."""
        await self.fetch("SAVEPOINT here")
        try:
            yield
        except Exception:
            # A full or failing disk makes SQLite undo the whole transaction, and the savepoint.
            if self._connection.in_transaction:
                await self.fetch("ROLLBACK TO here")
                await self.fetch("RELEASE here")
            raise
        await self.fetch("RELEASE here")


class SQLiteSnapshot:
    """Reading statements that all see the same: what was committed when the first one began."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Run one reading statement; return its rows."""
        with _translated(self._path):
            return list(await self._connection.execute_fetchall(_rewritten(sql), args))

    async def chunks(self, sql: str, *args: Any, size: int) -> AsyncGenerator[list[Row]]:
        """Run one reading statement; its rows, so many at a time."""
        with _translated(self._path):
            async with self._connection.execute(_rewritten(sql), args) as cursor:
                while rows := await cursor.fetchmany(size):
                    yield list(rows)


class SQLiteDatabase:
    """One open SQLite file. Made by `SQLiteDatabase.open`.

    Attributes:
        path: Where it is.
        dimensions: Of its vectors.
        vector_room: What vectors that are kept in memory may take.
    """

    spelling: Spelling = SQLiteSpelling()
    package = "storage.sqlite"
    typed_vectors = False

    def __init__(
        self,
        path: Path,
        dimensions: int,
        writer: aiosqlite.Connection,
        readers: list[aiosqlite.Connection],
        vector_cache: int,
    ) -> None:
        self.path = path
        self.dimensions = dimensions
        self.vector_room = Room(vector_cache)
        self._writer = writer
        self._writing = anyio.Lock()
        self._idle = list(readers)
        self._free = anyio.Semaphore(len(readers))

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, dimensions: int = DIMENSIONS, vector_cache: int = VECTOR_CACHE
    ) -> "AsyncGenerator[SQLiteDatabase]":
        """Open (or make) the file `path`, and bring its schema up to date.

        Args:
            dimensions: Of its vectors.
            vector_cache: Bytes that vectors may take in memory; what has no room is read from the
                file at each search.

        Raises:
            DatabaseUnavailable: it cannot be opened or written, or is not a SQLite file.
            SchemaMismatch: its schema is newer than this program, or was changed by hand; or its
                vectors have another dimension.
        """
        connections: list[aiosqlite.Connection] = []
        try:
            with _translated(path):
                writer = await _writer(path, dimensions, connections)
                readers = [await _connect(path, connections) for _ in range(READERS)]
                for reader in readers:
                    await reader.execute_fetchall("PRAGMA query_only = ON")
                database = cls(path, dimensions, writer, readers, vector_cache)
                await database.verify()
            yield database
        finally:
            await _close(connections)

    async def fetch(self, sql: str, *args: Any, scope: str) -> list[Row]:
        """Run one reading statement, on a connection that sees what is committed."""
        async with self._reader() as reader:
            with _translated(self.path):
                return list(await reader.execute_fetchall(_rewritten(sql), args))

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[SQLiteSnapshot]:
        """Read with several statements, all of which see the same."""
        async with self._reader() as reader:
            try:
                with _translated(self.path):
                    await reader.execute_fetchall("BEGIN")
                yield SQLiteSnapshot(reader, self.path)
            finally:
                with anyio.CancelScope(shield=True):
                    await _undo(reader)

    def nearest(self, sql: Mapping[str, str]) -> SQLiteNearest:
        """Vector searches by the statements on a table (`search.sql`)."""
        return SQLiteNearest(self, sql)

    @asynccontextmanager
    async def _reader(self) -> AsyncGenerator[aiosqlite.Connection]:
        async with self._free:
            reader = self._idle.pop()
            try:
                yield reader
            except Violation as error:
                raise InvalidValue("a value to look for", str(error)) from error
            finally:
                self._idle.append(reader)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[SQLiteTransaction]:
        """Write; committed when the block ends well, else undone."""
        async with self._writing:
            transaction = SQLiteTransaction(self._writer, self.path)
            try:
                with _translated(self.path):
                    # Both in one visit to the thread: a visit costs more than the look.
                    begun = self._writer._execute(_begun, self._writer._conn)  # type: ignore[no-untyped-call]
                    self._compare(await begun)
                yield transaction
                await transaction.fetch("COMMIT")
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await _undo(self._writer)
                raise

    async def verify(self) -> None:
        """See that its vectors have the dimension that they had when it was opened."""
        self._compare(await self.fetch(STORED, scope=""))

    def _compare(self, rows: list[Row]) -> None:
        stored = dimensions_of(rows, self.path)
        if stored != self.dimensions:
            raise mismatch(f"SQLite file {self.path}", stored, self.dimensions)


def _begun(connection: sqlite3.Connection) -> list[Row]:
    """Begin to write; return what the file says of its dimension."""
    connection.execute("BEGIN IMMEDIATE")
    return connection.execute(STORED).fetchall()


async def bring_up(path: Path, dimensions: int) -> None:
    """Bring the schema of the file up to date, as opening it does.

    Args:
        dimensions: Of its vectors, where it does not say yet; else it keeps its own.

    Raises:
        DatabaseUnavailable: it cannot be opened or written, or is not a SQLite file.
        SchemaMismatch: its schema is newer than this program, or was changed by hand.
    """
    connections: list[aiosqlite.Connection] = []
    try:
        with _translated(path):
            await _writer(path, dimensions, connections)
    finally:
        await _close(connections)


async def _writer(
    path: Path, dimensions: int, opened: list[aiosqlite.Connection]
) -> aiosqlite.Connection:
    """The connection that writes, to a file whose schema is up to date."""
    try:
        await anyio.Path(path.parent).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailable(
            f"SQLite file {path}: its directory cannot be made ({error.strerror}): "
            "name another with --sqlite, or make it writable for this user"
        ) from error
    writer = await _connect(path, opened)
    await migrations.refuse_others(writer)
    await _use_wal(writer)
    await writer.execute_fetchall("PRAGMA synchronous = FULL")
    await writer.execute_fetchall("PRAGMA foreign_keys = ON")
    await migrations.run(writer, dimensions)
    return writer


async def _close(connections: list[aiosqlite.Connection]) -> None:
    with anyio.CancelScope(shield=True):
        for connection in connections:
            await connection.close()


async def _undo(connection: aiosqlite.Connection) -> None:
    """Undo whatever transaction there is."""
    # Statements of a cancelled task are carried out all the same: undo them too.
    await connection.execute_fetchall("SELECT 1")
    if connection.in_transaction:
        await connection.rollback()


async def _use_wal(connection: aiosqlite.Connection) -> None:
    """Switch the file to WAL: SQLite does not wait for others that do so at the same time."""
    give_up = anyio.current_time() + BUSY
    while True:
        try:
            await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or anyio.current_time() >= give_up:
                raise
            await anyio.sleep(0.02)
        else:
            return


async def _connect(path: Path, opened: list[aiosqlite.Connection]) -> aiosqlite.Connection:
    connection = aiosqlite.connect(path, timeout=BUSY, isolation_level=None)
    try:
        await connection
    except BaseException:
        # aiosqlite leaves its thread to itself; it must not outlive the event loop.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(connection._thread.join)
        raise
    opened.append(connection)
    return connection
