"""The bus: presence, locks, queues, topics and requests for agents, on Redis."""

from .agent import Agent
from .bus import Bus
from .consumer import Consumer
from .dashboard import DASHBOARD, DashboardEvent
from .deadletter import DeadLetter, Kill
from .delivery import Delivery
from .durability import FSYNCED, Durability, replicated
from .envelope import Envelope
from .errors import (
    AgentAlreadyPresent,
    BusError,
    BusUnavailable,
    DeliveryLost,
    EventsMissed,
    InvalidName,
    InvalidSchedule,
    LockLost,
    LockNotAcquired,
    MessageTooLarge,
    NobodyPresent,
    NotDurable,
    PresenceLost,
    QueueFull,
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
from .queue import Queue
from .registry import Registry, Snapshot
from .rules import Rules
from .schedule import Schedule
from .state import AgentState
from .statistics import GroupStatistics, QueueStatistics
from .topic import Topic, Topics

__all__ = [
    "DASHBOARD",
    "FSYNCED",
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
    "DeliveryLost",
    "Durability",
    "Envelope",
    "Event",
    "EventsMissed",
    "Feed",
    "Gap",
    "Gathering",
    "GroupStatistics",
    "Inbox",
    "InvalidName",
    "InvalidSchedule",
    "Kill",
    "Lease",
    "Lock",
    "LockLost",
    "LockNotAcquired",
    "Log",
    "LogEntry",
    "MessageTooLarge",
    "NobodyPresent",
    "NotDurable",
    "Place",
    "Presence",
    "PresenceEvent",
    "PresenceEvents",
    "PresenceLost",
    "Queue",
    "QueueFull",
    "QueueStatistics",
    "Registry",
    "RequestFailed",
    "RequestTimeout",
    "Rules",
    "Schedule",
    "ServerFull",
    "ServerRefused",
    "SlowSubscriber",
    "Snapshot",
    "Topic",
    "Topics",
    "UndecodableMessage",
    "UnsupportedServer",
    "replicated",
]
