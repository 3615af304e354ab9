"""Storage: what agents know and do, in SQLite or PostgreSQL, behind one interface."""

from .adapter import Statistics, StorageAdapter
from .apply import ApplyResult, Position
from .config import ConfigurationError, StorageConfig
from .errors import (
    CommandRefused,
    DatabaseUnavailable,
    FenceRefused,
    InvalidValue,
    NotFound,
    NotSupported,
    SchemaMismatch,
    StorageError,
    WritesLost,
)
from .factory import open_storage
from .memory import SearchHit
from .model.agents import AgentRecord
from .model.history import TaskChange
from .model.items import MemoryItem
from .model.tasks import Task
from .model.teams import Team, TeamInvitation, TeamMember
from .parts import Scoped
from .tasks import Project
from .teams import TeamRecord

__all__ = [
    "AgentRecord",
    "ApplyResult",
    "CommandRefused",
    "ConfigurationError",
    "DatabaseUnavailable",
    "FenceRefused",
    "InvalidValue",
    "MemoryItem",
    "NotFound",
    "NotSupported",
    "Position",
    "Project",
    "SchemaMismatch",
    "Scoped",
    "SearchHit",
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
