"""All parts of storage, and what an agent is given to reach them."""

from typing import Any, Final

from .agents import Agents
from .agents.agents import AgentReads, AgentWrites
from .domain import Part, Port, Writes
from .feedback import ModelFeedback
from .feedback.feedback import FeedbackReads, FeedbackWrites
from .imports import Imports
from .imports.imports import ImportReads, ImportWrites
from .knowledge import Knowledge
from .knowledge.collections import CollectionReads, CollectionWrites
from .knowledge.document_reads import DocumentReads
from .knowledge.document_writes import DocumentWrites
from .knowledge.shared import LibraryReads, LibraryWrites
from .memory import Memory
from .memory.candidate_writes import CandidateWrites
from .memory.candidates import CandidateReads
from .memory.categories import CategoryReads, CategoryWrites
from .memory.entities import EntityReads, EntityWrites
from .memory.items import ItemReads, ItemWrites
from .memory.lesson_writes import LessonWrites
from .memory.lessons import LessonReads
from .memory.recall import RecallReads
from .memory.reflections import ReflectionReads, ReflectionWrites
from .memory.resources import ResourceReads, ResourceWrites
from .memory.totals import TotalReads
from .secrets import Secrets
from .secrets.reads import SecretReads
from .secrets.writes import SecretWrites
from .sessions import Sessions
from .sessions.observations import ObservationReads, ObservationWrites
from .sessions.sessions import SessionReads, SessionWrites
from .tasks import Tasks
from .tasks.leases import ClaimReads, ClaimWrites
from .tasks.reads import TaskReads
from .tasks.writes import TaskWrites
from .teams import Teams
from .teams.teams import TeamReads
from .teams.writes import TeamWrites

PARTS: Final = (
    Part("items", ItemReads, ItemWrites),
    Part("recall", RecallReads, Writes),
    Part("resources", ResourceReads, ResourceWrites),
    Part("categories", CategoryReads, CategoryWrites),
    Part("entities", EntityReads, EntityWrites),
    Part("totals", TotalReads, Writes),
    Part("reflections", ReflectionReads, ReflectionWrites),
    Part("lessons", LessonReads, LessonWrites),
    Part("candidates", CandidateReads, CandidateWrites),
    Part("feedback", FeedbackReads, FeedbackWrites),
    Part("sessions", SessionReads, SessionWrites),
    Part("observations", ObservationReads, ObservationWrites),
    Part("tasks", TaskReads, TaskWrites),
    Part("claims", ClaimReads, ClaimWrites),
    Part("teams", TeamReads, TeamWrites),
    Part("agents", AgentReads, AgentWrites),
    Part("collections", CollectionReads, CollectionWrites),
    Part("documents", DocumentReads, DocumentWrites),
    Part("shared", LibraryReads, LibraryWrites),
    Part("secrets", SecretReads, SecretWrites),
    Part("imports", ImportReads, ImportWrites),
)

#: What may be read, with the type of the answer.
RESULTS: Final[dict[tuple[str, str], Any]] = {
    (part.name, method): result for part in PARTS for method, result in part.methods().items()
}


class Scoped:
    """Storage as one agent may see it.

    Attributes:
        memory: What it knows.
        feedback: How models did for it.
        sessions: Its conversations, and what happened in them.
        tasks: Its tasks.
        teams: Its teams.
        agents: The registry of agents.
        knowledge: Collections of documents, and what all agents share.
        secrets: Keys and credentials that it may use.
        imports: What other programs kept of it, and has no table here.

    Example: See `StorageAdapter`.
    """

    def __init__(self, port: Port) -> None:
        self.memory: Final = Memory(port)
        self.feedback: Final = ModelFeedback(port)
        self.sessions: Final = Sessions(port)
        self.tasks: Final = Tasks(port)
        self.teams: Final = Teams(port)
        self.agents: Final = Agents(port)
        self.knowledge: Final = Knowledge(port)
        self.secrets: Final = Secrets(port)
        self.imports: Final = Imports(port)
