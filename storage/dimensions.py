"""The dimension of a database's vectors: one number for all of them, and what changing it does.

It is a setting, and stands in the database as well: SQLite has a row for it (`settings`), in
PostgreSQL it is the type of the columns. Whoever opens the database with another one is refused,
and so is who had it open while it was changed, when it next writes a vector or looks for one.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from . import queries
from .errors import SchemaMismatch

#: Tables with a column `embedding`.
TABLES: Final = (
    "memory_items",
    "resources",
    "categories",
    "entities",
    "lessons",
    "knowledge_chunks",
    "shared_knowledge",
)

#: By table: `count`, and `drop` for SQLite.
STATEMENTS: Final = {
    table: queries.load("storage", "dimensions.sql", this=table) for table in TABLES
}


class Vectors(msgspec.Struct, frozen=True):
    """What a table has of them.

    Attributes:
        rows: All of its rows; they stay.
        vectors: Rows with a vector, which goes.
        size: Of those vectors, in bytes.
    """

    table: str
    rows: int
    vectors: int
    size: int


class Change(msgspec.Struct, frozen=True):
    """What a change of the dimension does, or did.

    Attributes:
        database: Where, without a password.
        stored: The dimension before.
        wanted: The dimension after.
        tables: What each table has.
        indexes: Those that are built anew; SQLite has none of vectors.
        index_size: Of those, in bytes, before.
        made: Whether it was made.
    """

    database: str
    stored: int
    wanted: int
    tables: list[Vectors]
    indexes: list[str] = []
    index_size: int = 0
    made: bool = False

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return self.stored != self.wanted

    @property
    def vectors(self) -> int:
        """How many go."""
        return sum(one.vectors for one in self.tables)

    @property
    def size(self) -> int:
        """Bytes of those that go."""
        return sum(one.size for one in self.tables)


async def counted(fetch: Callable[[str], Awaitable[Sequence[Any]]], stored: int) -> list[Vectors]:
    """What each table has.

    Args:
        fetch: Runs a statement, with the right to see every row; returns its rows.
        stored: The dimension.
    """
    found = []
    for table, statements in STATEMENTS.items():
        [(rows, vectors)] = await fetch(statements["count"])
        found.append(Vectors(table, rows, vectors, vectors * stored * 4))
    return found


def mismatch(database: str, stored: int, wanted: int) -> SchemaMismatch:
    """The error of who is set up for another dimension than the database has.

    Args:
        database: What to call it.
        wanted: The setting of this process.
    """
    return SchemaMismatch(
        f"{database} keeps vectors of {stored} dimensions, and this process is set up for "
        f"{wanted}: set storage.embedding.dimensions (or ARGENTBUS_DIMENSIONS) to {stored}, or "
        f"change the database with `argentbus migrate dimension {wanted}`, which drops its vectors"
    )
