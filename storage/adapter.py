"""The one interface to storage, and the part of it that every database shares."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from .apply import Applier, ApplyResult, Position
from .commands import DIMENSIONS, Command, checked
from .database import Database
from .errors import CommandRefused, InvalidValue
from .memory import Memory, MemoryReads, MemoryWrites, SearchHit
from .model import values
from .model.memory import MemoryItem
from .model.tasks import Task
from .tasks import TaskReads, Tasks, TaskWrites


class Statistics(msgspec.Struct, frozen=True):
    """Rows of each table, over all agents."""

    memory_items: int
    tasks: int


class Scoped(Protocol):
    """Storage as one agent may see it.

    Attributes:
        memory: Its memory items.
        tasks: Its tasks.
    """

    @property
    def memory(self) -> Memory: ...

    @property
    def tasks(self) -> Tasks: ...


class StorageAdapter(Protocol):
    """Storage: scoped views for agents, and batches of commands for the sidecar."""

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
        """

    async def positions(self) -> dict[int, Position]:
        """Up to where each partition of the write log is applied."""

    async def stats(self) -> Statistics:
        """Rows of each table."""


class StoredMemory(Memory):
    """An agent's memory, on a database."""

    def __init__(self, adapter: "DatabaseAdapter", agent: str) -> None:
        super().__init__(agent, adapter.dimensions)
        self._adapter = adapter

    async def _write(self, command: Command) -> None:
        await self._adapter.write(command)

    async def create_item(self, **columns: Any) -> MemoryItem:
        item = await super().create_item(**columns)
        stored = await self.find_by_hash(item.content_hash or "")
        return stored or item

    async def get_item(self, item_id: str) -> MemoryItem | None:
        return await self._adapter.memory_reads.get_item(self.agent, item_id)

    async def find_by_hash(self, content_hash: str) -> MemoryItem | None:
        return await self._adapter.memory_reads.find_by_hash(self.agent, content_hash)

    async def list_items(self, **filters: Any) -> list[MemoryItem]:
        return await self._adapter.memory_reads.list_items(self.agent, **filters)

    async def search(
        self, query: str, *, embedding: Sequence[float] | None = None, limit: int = 10
    ) -> list[SearchHit]:
        if embedding is not None:
            values.pack_vector("embedding", embedding, self._dimensions)
        return await self._adapter.memory_reads.search(
            self.agent, query, embedding=embedding, limit=limit
        )


class StoredTasks(Tasks):
    """An agent's tasks, on a database."""

    def __init__(self, adapter: "DatabaseAdapter", agent: str) -> None:
        super().__init__(agent)
        self._adapter = adapter

    async def _write(self, command: Command) -> None:
        await self._adapter.write(command)

    async def get_task(self, task_id: str) -> Task | None:
        return await self._adapter.task_reads.get_task(self.agent, task_id)

    async def list_tasks(self, **filters: Any) -> list[Task]:
        return await self._adapter.task_reads.list_tasks(self.agent, **filters)

    async def search_tasks(self, query: str, *, limit: int = 10) -> list[Task]:
        return await self._adapter.task_reads.search_tasks(self.agent, query, limit=limit)


class View:
    """A scope of a database adapter."""

    def __init__(self, adapter: "DatabaseAdapter", agent: str) -> None:
        self.memory = StoredMemory(adapter, agent)
        self.tasks = StoredTasks(adapter, agent)


class DatabaseAdapter:
    """`StorageAdapter` on a database: the logic that is written once.

    Args:
        own_sql: The database's own statements, by domain: what truly differs.
        dimensions: Of embeddings.
    """

    def __init__(
        self,
        database: Database,
        own_sql: Mapping[str, Mapping[str, str]],
        dimensions: int = DIMENSIONS,
    ) -> None:
        self.dimensions = dimensions
        self.memory_reads = MemoryReads(database, own_sql["memory"])
        self.task_reads = TaskReads(database, own_sql["tasks"])
        self._database = database
        self._applier = Applier(
            database, MemoryWrites(database), TaskWrites(database, own_sql["tasks"])
        )

    def scoped(self, agent: str) -> View:
        """What the agent `agent` may see and do."""
        return View(self, values.text("agent", agent, least=1, most=128))

    def operator(self) -> View:
        """Everything, for reading: for operators, who must ask for it."""
        return View(self, "")

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
            raise CommandRefused(*min(refused.items()), refused)
        return await self._applier.apply(sound, position, entry_ids)

    async def write(self, command: Command) -> None:
        """Apply one command, checked.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: it breaks a rule.
        """
        await self._applier.apply([checked(command, self.dimensions)], None, None)

    async def positions(self) -> dict[int, Position]:
        """Up to where each partition of the write log is applied."""
        return await self._applier.positions()

    async def stats(self) -> Statistics:
        """Rows of each table."""
        from . import memory, tasks

        items = await self._database.fetch(memory.SQL["count"], scope="")
        count = await self._database.fetch(tasks.SQL["count"], scope="")
        return Statistics(memory_items=int(items[0][0]), tasks=int(count[0][0]))
