"""What can go wrong on the bus: one hierarchy, every error naming what failed and what to do."""

from typing import Any


class BusError(Exception):
    """Base of every error that the bus raises on purpose."""


class BusUnavailable(BusError):
    """Redis could not be reached, or did not answer, for as long as the bus was told to wait."""


class UnsupportedServer(BusError):
    """The server is too old, or is not one that the bus can use."""


class ServerRefused(BusError):
    """Redis answered, and refused: no permission, out of memory, a disk that is full."""


class ServerFull(ServerRefused):
    """Redis has no memory or no disk left for anything new: it refuses what it would take later."""


class WrongType(ServerRefused):
    """A key of the bus holds what another program wrote there: nothing can be done with it.

    Attributes:
        key: Its name.
        found: The Redis type that it has.
        wanted: The one that it should have.
    """

    def __init__(self, where: str, key: str, found: str, wanted: str) -> None:
        super().__init__(
            f"the key {ascii(key)[1:-1]} of Redis at {where} is a {found}, where argentbus keeps a "
            f"{wanted}: another program wrote it; RENAME it if its content is wanted, or DEL it"
        )
        self.key = key
        self.found = found
        self.wanted = wanted


class QueueFull(BusError):
    """A bounded queue has no room for the message, which was not put."""


class NotDurable(BusError):
    """A message is in its stream, and was not as safe in time as the caller asked for.

    Attributes:
        fsynced: Whether the server is known to have it on disk.
        replicas: How many replicas were known to have it.
    """

    def __init__(self, message: str, *, fsynced: bool = False, replicas: int = 0) -> None:
        super().__init__(message)
        self.fsynced = fsynced
        self.replicas = replicas


class DeliveryLost(BusError):
    """A delivery went to another consumer before it was settled: this one was taken for dead."""


class InvalidSchedule(BusError, ValueError):
    """Not a cron expression, or not a time zone."""


class InvalidName(BusError, ValueError):
    """A name (agent, queue, topic, lock, namespace) that the bus does not accept."""


class MessageTooLarge(BusError, ValueError):
    """A message is larger than the bus was told to carry."""


class UndecodableMessage(BusError, ValueError):
    """Bytes that are not an envelope, or a body that is not of the expected type."""


class SignatureRefused(UndecodableMessage):
    """A message that is not signed by whom it names as its sender, where that is required."""


class SigningKeyUnusable(BusError, ValueError):
    """A secret, or a file of secrets, that cannot be used to sign."""


class AgentAlreadyPresent(BusError):
    """Another live instance has joined under this id, and no takeover was asked for."""


class PresenceLost(BusError):
    """This agent is no longer the one that is present: it was taken over, or declared dead."""


class LockLost(BusError):
    """The lease ran out, or is another's, while the holder was still at work."""


class LockNotAcquired(BusError, TimeoutError):
    """The lock was not free within the time that the caller was willing to wait."""


class NotReplicated(BusError):
    """Fewer replicas than were asked for have it, within the time for that.

    Attributes:
        wanted: How many were asked for.
        had: How many had it.
    """

    def __init__(self, message: str, *, wanted: int, had: int) -> None:
        super().__init__(message)
        self.wanted = wanted
        self.had = had


class StaleVersion(BusError):
    """Another wrote the key first: this write was refused, and nothing was overwritten.

    Attributes:
        map: Name of the map.
        key: The key.
        expected: The version that the writer had seen; 0 where it had seen none.
        actual: The version that stands; 0 where there is none.
        current: The entry that stands, or None: there is none, or its value cannot be decoded.
    """

    def __init__(self, map: str, key: str, expected: int, actual: int, current: Any = None) -> None:
        seen = f"version {expected}" if expected else "no entry"
        stands = f"version {actual} stands" if actual else "it is gone"
        super().__init__(
            f"{key} of map {map} was written after {seen} was read, and {stands} now: nothing was "
            "overwritten; read it again, decide anew and put that"
        )
        self.map = map
        self.key = key
        self.expected = expected
        self.actual = actual
        self.current = current


class RequestTimeout(BusError, TimeoutError):
    """No reply came before the request's deadline."""


class RequestFailed(BusError):
    """The other side answered with an error.

    Attributes:
        error_type: Name of the exception's class on the other side.
        agent: Who answered.
    """

    def __init__(self, error_type: str, message: str, agent: str) -> None:
        super().__init__(f"{agent} answered with {error_type}: {message}")
        self.error_type = error_type
        self.agent = agent


class SlowSubscriber(BusError):
    """A feed that was to be closed when its buffer is full was: its reader was too slow."""


class NobodyPresent(BusError):
    """No agent with that role and those capabilities is present."""


class EventsMissed(BusError):
    """Presence events were trimmed before they were read: take a new snapshot."""
