"""Storage: what agents know and do, in SQLite or PostgreSQL, behind one interface.

The examples in this package's docstrings stand in such a program, where the dots are; what one
prints is behind `#>`.

    import anyio
    from storage import *

    async def main():
        config = StorageConfig.load()
        async with open_storage(config) as storage:
            mine = storage.scoped("scout")
            ...

    anyio.run(main)
"""

from .adapter import Statistics, StorageAdapter
from .apply import ApplyResult, Position
from .config import ConfigurationError, StorageConfig
from .errors import (
    CommandRefused,
    DatabaseUnavailable,
    EmbeddingFailed,
    FenceRefused,
    InvalidValue,
    MasterKeyMissing,
    MasterKeyUnusable,
    NotFound,
    NotSupported,
    SchemaMismatch,
    SecretRefused,
    SecretUnreadable,
    StorageError,
    WritesLost,
)
from .factory import open_storage
from .feedback import Judgement
from .memory import LessonHit, SearchHit
from .model.agents import AgentRecord
from .model.candidates import Candidate
from .model.categories import Category
from .model.entities import Entity
from .model.feedback import Feedback
from .model.history import TaskChange
from .model.imports import ImportedRow
from .model.items import MemoryItem
from .model.lessons import Lesson
from .model.observations import Observation
from .model.reflections import Reflection
from .model.resources import Resource
from .model.sessions import Session
from .model.tasks import Task
from .model.teams import Team, TeamInvitation, TeamMember
from .parts import Scoped
from .tasks import Project
from .teams import TeamRecord

__all__ = [
    "AgentRecord",
    "ApplyResult",
    "Candidate",
    "Category",
    "CommandRefused",
    "ConfigurationError",
    "DatabaseUnavailable",
    "EmbeddingFailed",
    "Entity",
    "Feedback",
    "FenceRefused",
    "ImportedRow",
    "InvalidValue",
    "Judgement",
    "Lesson",
    "LessonHit",
    "MasterKeyMissing",
    "MasterKeyUnusable",
    "MemoryItem",
    "NotFound",
    "NotSupported",
    "Observation",
    "Position",
    "Project",
    "Reflection",
    "Resource",
    "SchemaMismatch",
    "Scoped",
    "SearchHit",
    "SecretRefused",
    "SecretUnreadable",
    "Session",
    "Statistics",
    "StorageAdapter",
    "StorageConfig",
    "StorageError",
    "Task",
    "TaskChange",
    "Team",
    "TeamInvitation",
    "TeamMember",
    "TeamRecord",
    "WritesLost",
    "open_storage",
]
