"""What can go wrong in storage: one hierarchy, every error naming what failed and what to do."""


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
    """A command of a batch breaks a rule; nothing of the batch was applied.

    Attributes:
        index: Its place in the batch.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


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
