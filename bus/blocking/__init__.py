"""The bus for code that is not async: the same nouns, in any number of threads.

    with Bus.connect("redis://127.0.0.1:6380") as bus:
        bus.queue("reviews", Review).put(Review("parser.py"))

Envelopes, keys, errors and Lua scripts are those of the async bus: both are on one bus together.

The nouns are the async ones, with their methods, parameters and errors: what is awaited there is
called here, `async with` is `with`, `async for` is `for`. Their structs, errors and constants are
the same objects: `from bus import QueueFull`.

What goes straight from the calling thread, by redis-py and with the scripts of the async bus:
`Queue.put`, `Topic.publish`, `Log.append` and `Log.place`. They need nothing in the background, and
are several times as fast as through another thread. What many threads put at the same time travels
together. That holds for one server without TLS; with TLS, sentinels or a Cluster these go through
the portal as well, with the same guarantees.

What goes through the portal, one thread with an event loop that the `Bus` owns and on which the
async bus runs: everything else, and puts that wait (for room in a full queue, for a durability).
Agents beat, leases are renewed and deliveries are read ahead and acknowledged there, however long a
thread is busy.

What differs from the async bus, since nobody can cancel a thread:

- A lost lock: `Lease.check` raises `LockLost`, and so does leaving the block.
- An agent that was taken over: `Agent.check` and leaving the block raise `PresenceLost`.
- A request that nobody waits for any more, a handler that took longer than its timeout, a delivery
  whose consumer has ended: `Delivery.abandoned`, and `Delivery.check` raises.
- Iterations end when their block does, in every thread; `stop()` ends them before.
  `receive(timeout)` waits for one item only so long; one that comes later is the next one.
- Ctrl-C leaves every block as an exception does: agents leave, locks are released, and what was not
  handled goes back.

A bus is closed by its `with` block, or by `close()`. One that is not warns (`ResourceWarning`), and
is closed when the interpreter ends, which waits for it for a few seconds at most. After a fork, the
child connects a bus of its own: its parent's raises `BusError` there.

The examples in this package's docstrings stand in such a program, where the dots are; what one
prints is behind `#>`.

    from bus import ABSENT, Answer, Event, LeaderChange, MapSnapshot
    from bus.blocking import *
    from msgspec import Struct
    from threading import Thread

    class Review(Struct):
        path: str

    class Mood(Struct):
        word: str

    with Bus.connect("redis://127.0.0.1:6380") as bus, bus.join("scout") as agent:
        ...
"""

from .agent import Agent
from .bus import Bus
from .consumer import Consumer, Inbox
from .delivery import Delivery
from .election import Election, LeaderChanges
from .gathering import Gathering
from .hold import Block
from .lock import Lease, Lock, Semaphore
from .log import Log
from .map import Map, Watch
from .once import OncePer, Run
from .queue import Queue
from .registry import PresenceEvents, Registry
from .topic import Feed, Topic, Topics

__all__ = [
    "Agent",
    "Block",
    "Bus",
    "Consumer",
    "Delivery",
    "Election",
    "Feed",
    "Gathering",
    "Inbox",
    "LeaderChanges",
    "Lease",
    "Lock",
    "Log",
    "Map",
    "OncePer",
    "PresenceEvents",
    "Queue",
    "Registry",
    "Run",
    "Semaphore",
    "Topic",
    "Topics",
    "Watch",
]
