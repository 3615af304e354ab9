"""All parts of storage, and what an agent is given to reach them."""

from typing import Any, Final

from .agents import Agents
from .agents.agents import AgentReads, AgentWrites
from .domain import Part, Port
from .memory import Memory
from .memory.items import ItemReads, ItemWrites
from .tasks import Tasks
from .tasks.leases import ClaimReads, ClaimWrites
from .tasks.reads import TaskReads
from .tasks.writes import TaskWrites
from .teams import Teams
from .teams.teams import TeamReads
from .teams.writes import TeamWrites

PARTS: Final = (
    Part("items", ItemReads, ItemWrites),
    Part("tasks", TaskReads, TaskWrites),
    Part("claims", ClaimReads, ClaimWrites),
    Part("teams", TeamReads, TeamWrites),
    Part("agents", AgentReads, AgentWrites),
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
        teams: Its teams.
        agents: The registry of agents.
    """

    def __init__(self, port: Port) -> None:
        self.memory: Final = Memory(port)
        self.tasks: Final = Tasks(port)
        self.teams: Final = Teams(port)
        self.agents: Final = Agents(port)
