"""How much an agent knows."""

from collections.abc import Sequence

import msgspec

from storage import queries
from storage.database import Row
from storage.domain import Reads, View

SQL = queries.load("storage.memory", "totals.sql")


class MemoryStats(msgspec.Struct, frozen=True):
    """Counts of what an agent has; for operators, of what all have.

    Attributes:
        items: Memory items; how many of each kind is said beside.
        embedded: Those that have an embedding.
        reinforcements: How often all of them were stored.
    """

    items: int
    embedded: int
    reinforcements: int
    by_memory_type: dict[str, int]
    by_significance: dict[str, int]
    by_visibility: dict[str, int]
    resources: int
    categories: int
    entities: int
    reflections: int
    lessons: int
    live_candidates: int
    model_feedback: int


class Totals(View):
    """What one agent may ask of its memory as a whole."""

    async def get_stats(self) -> MemoryStats:
        """How much this agent has of its own; for operators, how much there is."""
        stats: MemoryStats = await self._port.read("totals", "get_stats")
        return stats


class TotalReads(Reads):
    """Counts."""

    async def get_stats(self, agent: str) -> MemoryStats:
        rows = await self._database.fetch(SQL["items"], agent, scope=agent)
        [others] = await self._database.fetch(SQL["others"], agent, scope=agent)
        items, embedded, reinforcements = (sum(int(row[n]) for row in rows) for n in (3, 4, 5))
        memory_types, significances, visibilities = (_counted(rows, n) for n in (0, 1, 2))
        return MemoryStats(
            items,
            embedded,
            reinforcements,
            memory_types,
            significances,
            visibilities,
            *(int(count) for count in others),
        )


def _counted(rows: Sequence[Row], place: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row[place]] = counts.get(row[place], 0) + int(row[3])
    return counts
