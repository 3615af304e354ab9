"""What can go wrong in storage: one hierarchy, every error naming what failed and what to do."""

from collections.abc import Mapping


class StorageError(Exception):
    """Base of every error that storage raises on purpose."""


class InvalidValue(StorageError, ValueError):
    """A value that no table may hold.

    Attributes:
        field: The field that it was meant for.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class NotFound(StorageError, LookupError):
    """There is no such row, or not for whoever asks."""


class CommandRefused(StorageError):
    """Commands of a batch break rules; nothing of the batch was applied.

    Attributes:
        index: Place in the batch of the first one.
        refused: Why, by place, for all that were found.
    """

    def __init__(self, index: int, reason: str, refused: Mapping[int, str] | None = None) -> None:
        super().__init__(reason)
        self.index = index
        self.refused = dict(refused or {index: reason})


class FenceRefused(StorageError):
    """A writer whose lease another has taken over since: it must stop."""


class DatabaseUnavailable(StorageError):
    """The database cannot be opened, read or written now: its disk, its lock, its server."""


class SchemaMismatch(StorageError):
    """The database's schema is newer than this program, or was changed by another hand."""


class NotSupported(StorageError):
    """A backend that this release cannot open."""


class WritesLost(StorageError):
    """Redis lost the write log before the sidecar had committed it."""
