"""What the storage logic needs of a database: little enough that two can offer it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from .rows import Spelling
from .where import Where

Row = Sequence[Any]

#: Places of columns that are a key together, for each key.
Keys = Sequence[Sequence[int]]


class Transaction(Protocol):
    """Statements that take effect together, or not at all."""

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Run one statement; return its rows.

        Raises:
            Violation: a constraint refused it.
        """

    async def execute_many(
        self, sql: str, rows: Iterable[Sequence[Any]], *, keys: Keys = ()
    ) -> None:
        """Run one INSERT of a row of values for each of `rows`.

        Args:
            keys: Of rows that have equal values in one of these, the later sees the earlier; others
                may be inserted in any order.
        """

    async def hold(self, name: str, *, shared: bool = False) -> None:
        """Wait until no other transaction holds `name`, then hold it until this one ends.

        For what two transactions at once would get wrong: each would not see the other's rows.

        Args:
            shared: With others that hold it so.
        """

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """What happens inside is undone when the block raises."""


class Nearest(Protocol):
    """Vector searches of one table."""

    async def nearest(
        self, agent: str, embedding: Sequence[float], where: Where, limit: int
    ) -> dict[str, float]:
        """The nearest of the rows that `agent` may see, by cosine similarity.

        Args:
            embedding: Rows whose vectors have other dimensions are passed over.
            where: Which rows are wanted.

        Returns:
            Ids with similarities, the nearest first; of equally near ones the lesser id first.
        """


class Database(Protocol):
    """One open database.

    Attributes:
        spelling: How it writes times and JSON.
        package: Where its own statements are: what truly differs.
        typed_vectors: Whether it refuses by itself to compare vectors of different dimensions.
    """

    spelling: Spelling
    package: str
    typed_vectors: bool

    async def fetch(self, sql: str, *args: Any, scope: str) -> list[Row]:
        """Run one reading statement; return its rows.

        Args:
            scope: The agent that reads; empty for operators, who see everything. A database with
                row-level security enforces it, whatever the statement says.
        """

    def nearest(self, sql: Mapping[str, str]) -> Nearest:
        """Vector searches of a table.

        Args:
            sql: This database's statements (`search.sql`) on that table.
        """

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Write, for any agent: the block's statements are committed when it ends well.

        Raises:
            Contended: in the block or at its end: another transaction was in the way.
            SchemaMismatch: the dimension of its vectors was changed since it was opened.
        """

    async def verify(self) -> None:
        """See that its vectors have the dimension that they had when it was opened.

        Raises:
            SchemaMismatch: it was changed since.
        """


class Violation(Exception):
    """A constraint refused a statement. Never leaves storage: it becomes `CommandRefused`."""


class Contended(Exception):
    """Transactions were in each other's way, and this one was undone: begin it again."""
