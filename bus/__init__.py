"""The bus: presence, locks, queues, topics and requests for agents, on Redis."""

from .agent import Agent
from .bus import Bus
from .consumer import Consumer
from .dashboard import DASHBOARD, DashboardEvent
from .deadletter import DeadLetter
from .delivery import Delivery
from .election import Election, Leader, LeaderChange, LeaderChanges
from .entry import ABSENT, Entry, MapChange, MapSnapshot
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
    NotReplicated,
    PresenceLost,
    RequestFailed,
    RequestTimeout,
    ServerFull,
    ServerRefused,
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
from .queue import GroupStatistics, Queue, QueueStatistics
from .registry import Registry, Snapshot
from .semaphore import Semaphore
from .state import AgentState
from .topic import Topic, Topics
from .watch import Watch

__all__ = [
    "ABSENT",
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
    "NotReplicated",
    "OncePer",
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
    "Run",
    "Semaphore",
    "ServerFull",
    "ServerRefused",
    "SlowSubscriber",
    "Snapshot",
    "StaleVersion",
    "Topic",
    "Topics",
    "UndecodableMessage",
    "UnsupportedServer",
    "Watch",
]
