"""What the storage logic needs of a database: little enough that two can offer it."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from .rows import Spelling

Row = Sequence[Any]


class Transaction(Protocol):
    """Statements that take effect together, or not at all."""

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Run one statement; return its rows.

        Raises:
            Violation: a constraint refused it.
        """

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each of `rows`."""

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """What happens inside is undone when the block raises."""


class Database(Protocol):
    """One open database.

    Attributes:
        spelling: How it writes times and JSON.
        search: Its statements for searching.
    """

    spelling: Spelling

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Run one reading statement; return its rows."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Write: the block's statements are committed when it ends well."""


class Violation(Exception):
    """A constraint refused a statement. Never leaves storage: it becomes `CommandRefused`."""
