"""What a part of storage is made of: what an agent calls, how it is read, how it is written.

A part has a view (the methods that people call, on a database or over the bus alike), reads and
writes on a database, the commands between them, and its statements in a `.sql` file. Adding one:
its structs and commands in `model/`, a module with the three classes, an entry in `parts.py`, and
a migration for each database.
"""

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, get_type_hints

import msgspec

from .database import Database, Keys, Transaction, Violation
from .embedding import Embedder
from .embedding.context import embedded_in_context
from .model import values
from .model.command import Command
from .rows import Rows

if TYPE_CHECKING:
    from .secrets.keyring import Keyring

S = TypeVar("S", bound=msgspec.Struct)


class Port(Protocol):
    """Where a view's calls go: to a database, or over the bus to a sidecar.

    Attributes:
        agent: In whose name; empty for operators.
        settles: Whether a command is in the database when `write` returns.
        embedder: Makes the embeddings that are not given, if there is one.
        keyring: The master keys that secrets are encrypted with, if they are here.
    """

    agent: str
    settles: bool
    embedder: Embedder | None
    keyring: "Keyring | None"

    async def dimension(self) -> int:
        """Of vectors.

        Raises:
            InvalidValue: the storage has another one than is asked for here.
        """

    async def write(self, command: Command) -> None:
        """Carry a command out, or put it on its way.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: it breaks a rule (where it is carried out at once).
        """

    async def read(self, part: str, method: str, **args: Any) -> Any:
        """Ask `method` of the reads of `part`."""


class View:
    """What one agent may do with a part of storage.

    Attributes:
        agent: In whose name; empty for operators.
    """

    def __init__(self, port: Port) -> None:
        self._port = port

    @property
    def agent(self) -> str:
        return self._port.agent

    async def _embedded(
        self, text: str, given: Sequence[float] | None, context: str | None = None
    ) -> bytes | None:
        """What is stored as the embedding of `text`: the one given, or the embedder's; None where
        there is neither.

        Args:
            context: What is indexed with it.
        """
        if given is None and self._port.embedder is not None:
            await self._port.dimension()  # before the embedder is put to work
            [given] = await embedded_in_context(self._port.embedder, [(text, context)])
        return await self._packed(given)

    async def _packed(self, given: Sequence[float] | None) -> bytes | None:
        """What is stored as a vector that is given."""
        if given is None:
            return None
        return values.pack_vector("embedding", given, await self._port.dimension())

    async def _pack_in(self, changes: dict[str, Any]) -> None:
        """Pack the vector among `changes`, where there is one in numbers."""
        if not isinstance(changes.get("embedding"), bytes | None):
            changes["embedding"] = await self._packed(changes["embedding"])

    async def _embedded_all(self, texts: Sequence[str]) -> list[bytes | None] | None:
        """What is stored as embeddings of `texts`; None where there is no embedder."""
        if self._port.embedder is None:
            return None
        dimension = await self._port.dimension()  # before the embedder is put to work
        made = await self._port.embedder.embed(texts, kind="passage") if texts else []
        return [values.pack_vector("embedding", one, dimension) for one in made]

    async def _embedded_query(
        self, query: str, given: Sequence[float] | None
    ) -> list[float] | None:
        """What a search compares with: the embedding given, or the embedder's of what is asked."""
        if given is not None:
            await self._packed(given)
            return [float(number) for number in given]
        if self._port.embedder is None or not values.text("query", query).strip():
            return None
        await self._port.dimension()
        [made] = await self._port.embedder.embed([query], kind="query")
        return list(made)


class Way(NamedTuple):
    """How commands of one kind are applied.

    Attributes:
        apply: Applies some that follow each other, of the same `kind`.
        kind: What those that one call takes have in common, beside their type.
    """

    apply: Callable[[Transaction, Sequence[Any]], Awaitable[None]]
    kind: Callable[[Any], Hashable] = lambda _: None


def taken(noun: str, row_id: str) -> Violation:
    """Another row has that id."""
    return Violation(f"id: there is another {noun} {row_id} already: give a new id, or none")


def each(change: Callable[[Transaction, Any], Awaitable[None]]) -> Way:
    """The way of commands that are applied one by one."""

    async def apply(transaction: Transaction, commands: Sequence[Any]) -> None:
        for command in commands:
            await change(transaction, command)

    return Way(apply)


class Reads:
    """The reading side of a part, on a database.

    Every public method may be asked for over the bus; it takes the agent that asks, then the
    arguments, and its annotation says what comes back.

    Args:
        dimensions: Of embeddings.
    """

    def __init__(self, database: Database, dimensions: int) -> None:
        self._database = database
        self._dimensions = dimensions

    async def _all(self, agent: str, rows: Rows[S], sql: str, *args: Any) -> list[S]:
        """The rows that `sql` finds: its `%s` stands for the columns, its $1 for the agent."""
        found = await self._database.fetch(sql % rows.selected, agent, *args, scope=agent)
        return [rows.from_row(row) for row in found]

    async def _one(self, agent: str, rows: Rows[S], sql: str, *args: Any) -> S | None:
        """The first of them."""
        found = await self._all(agent, rows, sql, *args)
        return found[0] if found else None


class Writes:
    """The writing side of a part: applies its commands within a transaction."""

    def __init__(self, database: Database) -> None:
        self._spelling = database.spelling

    def ways(self) -> Mapping[type[Command], Way]:
        """How each kind of this part's commands is applied; none, where it is only read.

        Raises, when it is done:
            Violation: a rule of the database.
            NotFound: what it is about is not there, or not the agent's.
        """
        return {}

    async def _change(
        self,
        transaction: Transaction,
        rows: Rows[Any],
        sql: str,
        changes: Mapping[str, Any],
        *target: Any,
    ) -> bool:
        """Set columns. In `sql`, `%s` stands for the assignments; `target` is $1 and so on.

        Returns:
            Whether there was such a row.
        """
        first = len(target) + 1
        assignments = ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, first))
        values = [rows.value_in(column, value) for column, value in changes.items()]
        return bool(await transaction.fetch(sql % assignments, *target, *values))

    async def _insert_new(
        self, transaction: Transaction, sql: str, rows: list[list[Any]], *, keys: Keys, name: str
    ) -> None:
        """Insert rows that begin with their ids.

        Args:
            sql: Sets a column to NULL that may not be, where another row has the id already.
            name: Of what they are, for people.
        """
        try:
            await transaction.execute_many(sql, rows, keys=keys)
        except Violation as error:
            if "NOT NULL" in str(error):
                raise taken(name, str(rows[0][0])) from error
            raise


class Part(NamedTuple):
    """One part of storage.

    Attributes:
        name: Under which its reads are asked for.
        reads: Its reading side.
        writes: Its writing side.
    """

    name: str
    reads: type[Reads]
    writes: type[Writes]

    def methods(self) -> dict[str, Any]:
        """What may be asked of the reads, with the type of the answer."""
        return {
            name: get_type_hints(method)["return"]
            for name, method in vars(self.reads).items()
            if not name.startswith("_") and callable(method)
        }
