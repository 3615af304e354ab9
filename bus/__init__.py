"""The bus: presence, locks, queues, topics and requests for agents, on Redis."""

from .agent import Agent
from .bus import Bus
from .consumer import Consumer
from .dashboard import DASHBOARD, DashboardEvent
from .deadletter import DeadLetter, Kill
from .delivery import Delivery
from .durability import FSYNCED, Durability, replicated
from .election import Election, Leader, LeaderChange, LeaderChanges
from .entry import ABSENT, Entry, MapChange, MapSnapshot
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
    NotReplicated,
    PresenceLost,
    QueueFull,
    RequestFailed,
    RequestTimeout,
    ServerFull,
    ServerRefused,
    SignatureRefused,
    SigningKeyUnusable,
    SlowSubscriber,
    StaleVersion,
    UndecodableMessage,
    UnsupportedServer,
)
from .events import PresenceEvents
from .feed import Event, Feed, Gap
from .gathering import Answer, Answers, Gathering
from .inbox import Inbox
from .lease import Lease
from .lock import Lock
from .log import Log, LogEntry, Place
from .map import Map
from .once import OncePer, Run
from .presence import Presence, PresenceEvent
from .queue import Queue
from .registry import Registry, Snapshot
from .rules import Rules
from .schedule import Schedule
from .semaphore import Semaphore
from .signing import Signing
from .state import AgentState
from .statistics import GroupStatistics, QueueStatistics
from .topic import Topic, Topics
from .watch import Watch

__all__ = [
    "ABSENT",
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
    "Election",
    "Entry",
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
    "Leader",
    "LeaderChange",
    "LeaderChanges",
    "Lease",
    "Lock",
    "LockLost",
    "LockNotAcquired",
    "Log",
    "LogEntry",
    "Map",
    "MapChange",
    "MapSnapshot",
    "MessageTooLarge",
    "NobodyPresent",
    "NotDurable",
    "NotReplicated",
    "OncePer",
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
    "Run",
    "Schedule",
    "Semaphore",
    "ServerFull",
    "ServerRefused",
    "SignatureRefused",
    "Signing",
    "SigningKeyUnusable",
    "SlowSubscriber",
    "Snapshot",
    "StaleVersion",
    "Topic",
    "Topics",
    "UndecodableMessage",
    "UnsupportedServer",
    "Watch",
    "replicated",
]
