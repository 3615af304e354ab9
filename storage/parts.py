"""All parts of storage, and what an agent is given to reach them."""

from typing import Any, Final

from .domain import Part, Port
from .memory import Memory
from .memory.items import ItemReads, ItemWrites
from .tasks import Tasks
from .tasks.tasks import TaskReads, TaskWrites

PARTS: Final = (
    Part("items", ItemReads, ItemWrites),
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
