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
from .model.categories import Category
from .model.entities import Entity
from .model.items import MemoryItem
from .model.resources import Resource
from .model.tasks import Task
from .parts import Scoped

__all__ = [
    "ApplyResult",
    "Category",
    "CommandRefused",
    "ConfigurationError",
    "DatabaseUnavailable",
    "Entity",
    "FenceRefused",
    "InvalidValue",
    "MemoryItem",
    "NotFound",
    "NotSupported",
    "Position",
    "Resource",
    "SchemaMismatch",
    "Scoped",
    "SearchHit",
    "Statistics",
    "StorageAdapter",
    "StorageConfig",
    "StorageError",
    "Task",
    "WritesLost",
    "open_storage",
]
