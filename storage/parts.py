"""All parts of storage, and what an agent is given to reach them."""

from typing import Any, Final

from .domain import Part, Port, Writes
from .memory import Memory
from .memory.categories import CategoryReads, CategoryWrites
from .memory.entities import EntityReads, EntityWrites
from .memory.items import ItemReads, ItemWrites
from .memory.recall import RecallReads
from .memory.resources import ResourceReads, ResourceWrites
from .memory.totals import TotalReads
from .tasks import Tasks
from .tasks.tasks import TaskReads, TaskWrites

PARTS: Final = (
    Part("items", ItemReads, ItemWrites),
    Part("recall", RecallReads, Writes),
    Part("resources", ResourceReads, ResourceWrites),
    Part("categories", CategoryReads, CategoryWrites),
    Part("entities", EntityReads, EntityWrites),
    Part("totals", TotalReads, Writes),
    Part("tasks", TaskReads, TaskWrites),
)

#: What may be read, with the type of the answer.
RESULTS: Final[dict[tuple[str, str], Any]] = {
    (part.name, method): result for part in PARTS for method, result in part.methods().items()
}


class Scoped:
    """Storage as one agent may see it.

    Attributes:
        memory: What it knows.
        tasks: Its tasks.
    """

    def __init__(self, port: Port) -> None:
        self.memory: Final = Memory(port)
        self.tasks: Final = Tasks(port)
