"""Reads over the bus: what an agent asks of the sidecar, and what may be asked."""

from typing import Any, Final

import msgspec

from .memory import SearchHit
from .model.memory import MemoryItem
from .model.tasks import Task

#: The queue that all sidecars of a namespace answer.
READS: Final = "storage.reads"


class ReadRequest(msgspec.Struct, frozen=True):
    """One read, in the scope of the agent that sends it.

    Attributes:
        domain: `memory` or `tasks`.
        method: A key of `RESULTS`.
        args: By name.
    """

    domain: str
    method: str
    args: dict[str, Any]


#: What may be asked for, and what comes back.
RESULTS: Final[dict[tuple[str, str], Any]] = {
    ("memory", "get_item"): MemoryItem | None,
    ("memory", "find_by_hash"): MemoryItem | None,
    ("memory", "list_items"): list[MemoryItem],
    ("memory", "search"): list[SearchHit],
    ("tasks", "get_task"): Task | None,
    ("tasks", "list_tasks"): list[Task],
    ("tasks", "search_tasks"): list[Task],
}
