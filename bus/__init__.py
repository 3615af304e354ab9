"""The bus: presence, locks, queues, topics and requests for agents, on Redis."""

from .agent import Agent
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
    NobodyPresent,
    PresenceLost,
    RequestFailed,
    RequestTimeout,
    ServerFull,
    ServerRefused,
    SlowSubscriber,
    UndecodableMessage,
    UnsupportedServer,
)
from .events import PresenceEvents
from .feed import Event, Feed, Gap
from .gathering import Answer, Answers, Gathering
from .inbox import Inbox
from .lock import Lease, Lock
from .log import Log, LogEntry, Place
from .presence import Presence, PresenceEvent
from .queue import GroupStatistics, Queue, QueueStatistics
from .registry import Registry, Snapshot
from .state import AgentState
from .topic import Topic, Topics

__all__ = [
    "DASHBOARD",
    "Agent",
    "AgentAlreadyPresent",
    "AgentState",
    "Answer",
    "Answers",
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
    "Gap",
    "Gathering",
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
    "NobodyPresent",
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
    "SlowSubscriber",
    "Snapshot",
    "Topic",
    "Topics",
    "UndecodableMessage",
    "UnsupportedServer",
]
