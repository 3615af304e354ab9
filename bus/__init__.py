"""The bus: presence, locks, queues, topics and requests for agents, on Redis.

The examples in this package's docstrings stand in such a program, where the dots are; what one
prints is behind `#>`.

    import time

    import anyio
    from bus import *
    from msgspec import Struct

    class Review(Struct):
        path: str

    class Mood(Struct):
        word: str

    async def main():
        async with Bus.connect("redis://127.0.0.1:6380") as bus, bus.join("scout") as agent:
            ...

    anyio.run(main)
"""

from .agents.agent import Agent
from .agents.events import PresenceEvents
from .agents.inbox import Inbox
from .agents.presence import Presence, PresenceEvent
from .agents.registry import Registry, Snapshot
from .agents.state import AgentState
from .bus import Bus
from .dashboard import DASHBOARD, DashboardEvent
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
    WrongType,
)
from .locks.election import Election, Leader, LeaderChange, LeaderChanges
from .locks.lease import Lease
from .locks.lock import Lock
from .locks.once import OncePer, Run
from .locks.semaphore import Semaphore
from .logs.log import Log, LogEntry, Place
from .maps.entry import ABSENT, Entry, MapChange, MapSnapshot
from .maps.map import Map
from .maps.watch import Watch
from .messages.envelope import Envelope
from .messages.signing import Signing
from .queues.consumer import Consumer
from .queues.deadletter import DeadLetter, Kill
from .queues.delivery import Delivery
from .queues.durability import FSYNCED, Durability, replicated
from .queues.queue import Queue
from .queues.rules import Rules
from .queues.schedule import Schedule
from .queues.statistics import GroupStatistics, QueueStatistics
from .requests.gathering import Answer, Answers, Gathering
from .topics.feed import Event, Feed, Gap
from .topics.topic import Topic, Topics

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
    "WrongType",
    "replicated",
]
