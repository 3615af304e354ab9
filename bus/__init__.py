"""The bus: presence, locks, queues, topics and requests for agents, on Redis."""

from .agent import Agent, Inbox
from .bus import Bus
from .consumer import Consumer
from .dashboard import DASHBOARD, DashboardEvent
from .deadletter import DeadLetter
from .delivery import Delivery
from .envelope import Envelope
from .errors import (
    AgentAlreadyPresent,
    BusError,
    BusUnavailable,
    EventsMissed,
    InvalidName,
    LockLost,
    LockNotAcquired,
    MessageTooLarge,
    PresenceLost,
    RequestFailed,
    RequestTimeout,
    ServerFull,
    ServerRefused,
    UndecodableMessage,
    UnsupportedServer,
)
from .events import PresenceEvents
from .lock import Lease, Lock
from .log import Log, LogEntry, Place
from .presence import AgentState, Presence, PresenceEvent
from .queue import GroupStatistics, Queue, QueueStatistics
from .registry import Registry, Snapshot
from .topic import Event, Feed, Topic

__all__ = [
    "DASHBOARD",
    "Agent",
    "AgentAlreadyPresent",
    "AgentState",
    "Bus",
    "BusError",
    "BusUnavailable",
    "Consumer",
    "DashboardEvent",
    "DeadLetter",
    "Delivery",
    "Envelope",
    "Event",
    "EventsMissed",
    "Feed",
    "GroupStatistics",
    "Inbox",
    "InvalidName",
    "Lease",
    "Lock",
    "LockLost",
    "LockNotAcquired",
    "Log",
    "LogEntry",
    "MessageTooLarge",
    "Place",
    "Presence",
    "PresenceEvent",
    "PresenceEvents",
    "PresenceLost",
    "Queue",
    "QueueStatistics",
    "Registry",
    "RequestFailed",
    "RequestTimeout",
    "ServerFull",
    "ServerRefused",
    "Snapshot",
    "Topic",
    "UndecodableMessage",
    "UnsupportedServer",
]
