"""The one interface to storage, and the part of it that every database shares."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from .apply import Applier, ApplyResult, Position
from .commands import DIMENSIONS, Command, checked
from .database import Database
from .embedding import Embedder, fitting
from .errors import CommandRefused, InvalidValue
from .model import values
from .parts import PARTS, Scoped
from .secrets import Keyring


class Statistics(msgspec.Struct, frozen=True):
    """Rows of each table, over all agents.

    Example: See `StorageAdapter`.
    """

    agents: int
    memory_items: int
    resources: int
    categories: int
    item_categories: int
    entities: int
    item_entities: int
    reflections: int
    lessons: int
    live_candidates: int
    model_feedback: int
    shared_knowledge: int
    knowledge_collections: int
    knowledge_collection_grants: int
    knowledge_chunks: int
    tasks: int
    teams: int
    team_members: int
    sessions: int
    observations: int
    service_keys: int
    auth_credentials: int
    imported_rows: int


class StorageAdapter(Protocol):
    """Storage: scoped views for agents, and batches of commands for the sidecar.

    Example:
        adapter: StorageAdapter = storage
        scout: Scoped = adapter.scoped("scout")
        await scout.tasks.create_task(title="review it", assignee="writer")
        ready = await adapter.scoped("writer").tasks.ready()
        print([task.title for task in ready])  #> ['review it']
        statistics: Statistics = await adapter.stats()
        print(statistics.tasks)  #> 1
    """

    def scoped(self, agent: str) -> Scoped:
        """What the agent `agent` may see and do."""

    def operator(self) -> Scoped:
        """Everything: for operators, who must ask for it."""

    async def apply(
        self,
        commands: Sequence[Command],
        *,
        position: Position | None = None,
        entry_ids: Sequence[str] | None = None,
    ) -> ApplyResult:
        """Apply a batch in one transaction, together with its position.

        Args:
            commands: In their order.
            position: Stored in the same transaction. Commands at or before the stored one, of the
                same epoch, are skipped: a batch that is applied again has no effect.
            entry_ids: With a position: of each command, where it stands in the log. None: all
                stand at the position.

        Raises:
            CommandRefused: commands break rules; nothing of the batch was applied.
            FenceRefused: a later lease has written the partition; nothing was applied.
            DatabaseUnavailable: the database cannot be written now; nothing was applied.
            SchemaMismatch: the dimension of its vectors was changed since it was opened; nothing
                was applied.
        """

    async def read(self, agent: str, part: str, method: str, **args: Any) -> Any:
        """Ask `method` of the reads of `part` (see `parts.RESULTS`), in the scope of `agent`."""

    async def positions(self) -> dict[int, Position]:
        """Up to where each partition of the write log is applied."""

    async def stats(self) -> Statistics:
        """Rows of each table."""

    async def count(self, *tables: str) -> dict[str, int]:
        """Rows of some tables: counting all of them takes time in a large database.

        Raises:
            InvalidValue: there is no such table in `Statistics`.
        """


class _Port:
    """A view's calls, carried out on a database in the scope of one agent."""

    settles = True

    def __init__(self, adapter: "DatabaseAdapter", agent: str) -> None:
        self.agent = agent
        self.embedder = adapter.embedder
        self.keyring = adapter.keyring
        self._adapter = adapter

    async def dimension(self) -> int:
        return self._adapter.dimensions

    async def write(self, command: Command) -> None:
        await self._adapter.write(command, operator=not self.agent)

    async def read(self, part: str, method: str, **args: Any) -> Any:
        return await self._adapter.read(self.agent, part, method, **args)


class DatabaseAdapter:
    """`StorageAdapter` on a database: the logic that is written once.

    Args:
        dimensions: Of embeddings.
        embedder: Makes the embeddings that are not given: of what is written, and of queries.
        keyring: The master keys, where secrets are to be stored or read.

    Raises:
        InvalidValue: the embedder makes vectors of other dimensions.
    """

    def __init__(
        self,
        database: Database,
        dimensions: int = DIMENSIONS,
        *,
        embedder: Embedder | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self.dimensions = dimensions
        self.embedder = fitting(embedder, dimensions)
        self.keyring = keyring
        self._database = database
        self._reads = {part.name: part.reads(database, dimensions) for part in PARTS}
        self._applier = Applier(database, [part.writes(database) for part in PARTS])

    def scoped(self, agent: str) -> Scoped:
        """What the agent `agent` may see and do."""
        return Scoped(_Port(self, values.text("agent", agent, least=1, most=128)))

    def operator(self) -> Scoped:
        """Everything, and changes of tasks, teams and agents: for operators, who must ask."""
        return Scoped(_Port(self, ""))

    async def read(self, agent: str, part: str, method: str, **args: Any) -> Any:
        """Ask `method` of the reads of `part`, in the scope of `agent`."""
        compares = args.get("embedding") is not None
        if compares and not self._database.typed_vectors:
            await self._database.verify()
        try:
            return await getattr(self._reads[part], method)(agent, **args)
        except InvalidValue:
            if compares:
                await self._database.verify()
            raise

    async def apply(
        self,
        commands: Sequence[Command],
        *,
        position: Position | None = None,
        entry_ids: Sequence[str] | None = None,
    ) -> ApplyResult:
        """See `StorageAdapter.apply`."""
        sound = []
        refused: dict[int, str] = {}
        for index, command in enumerate(commands):
            try:
                sound.append(checked(command, self.dimensions))
            except InvalidValue as error:
                refused[index] = str(error)
        if refused:
            # A vector may be fine, and it is this process that is not up to date.
            await self._database.verify()
            raise CommandRefused(*min(refused.items()), refused)
        return await self._applier.apply(sound, position, entry_ids)

    async def write(self, command: Command, *, operator: bool = False) -> None:
        """Apply one command, checked; in nobody's name, where an operator gives it.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: it breaks a rule.
        """
        try:
            sound = checked(command, self.dimensions, operator=operator)
        except InvalidValue:
            await self._database.verify()
            raise
        await self._applier.apply([sound], None, None)

    async def positions(self) -> dict[int, Position]:
        """Up to where each partition of the write log is applied."""
        return await self._applier.positions()

    async def stats(self) -> Statistics:
        """Rows of each table, over all agents."""
        return Statistics(**await self.count(*Statistics.__struct_fields__))

    async def count(self, *tables: str) -> dict[str, int]:
        """Rows of some tables, over all agents."""
        for table in tables:
            values.one_of("table", table, Statistics.__struct_fields__)
        counts = " UNION ALL ".join(
            f"SELECT '{table}', count(*) FROM {table}"  # noqa: S608 (one of our own names)
            for table in tables
        )
        rows = await self._database.fetch(counts, scope="")
        return {str(row[0]): int(row[1]) for row in rows}
