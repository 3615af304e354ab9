"""Which Redis type each key of a namespace has, to be named where a foreign hand changed it."""

from typing import Final

#: Behind the base of a queue (also of an inbox).
_QUEUE: Final = {
    "": "stream",
    "delayed": "zset",
    "dead": "stream",
    "counts": "hash",
    "lanes": "hash",
    "lane": "list",
    "dedupe": "string",
    "schedules": "hash",
    "scheduled": "zset",
    "producer": "string",
    "retry": "zset",
    "consumers": "zset",
    "kills": "hash",
    "watch": "string",
}

#: Behind that of a lock, of a semaphore, and of an election.
_LOCK: Final = {
    "": "string",
    "fence": "string",
    "waiters": "zset",
    "alive": "zset",
    "sharers": "zset",
    "note": "string",
}

#: By the first word in the braces, what stands behind them.
_NOUNS: Final = {
    "queue": _QUEUE,
    "lock": _LOCK,
    "semaphore": _LOCK,
    "election": _LOCK,
    "once": {"": "hash", "fence": "string"},
    "map": {
        "": "hash",
        "version": "string",
        "changes": "stream",
        "expiry": "zset",
        "mark": "string",
    },
    "holdings": {"": "hash"},
}

#: Behind the braces of presence.
_PRESENCE: Final = {
    "agent": "string",
    "index": "zset",
    "index:records": "hash",
    "index:watch": "string",
    "index:unsettled": "hash",
    "index:dead": "zset",
    "events": "stream",
    "role": "set",
    "capability": "set",
    "instances": "set",
}

#: Behind that of a log.
_LOG: Final = {
    "": "stream",
    "epoch": "string",
    "dead": "stream",
    "producer": "string",
    "seen": "hash",
    "seen:times": "zset",
}


def type_of(key: str) -> str | None:
    """The type that a key of ours has, as `TYPE` names it; None where it is not known."""
    _, brace, behind = key.partition("{")
    name, closed, part = behind.partition("}")
    if not (brace and closed):
        return "set" if key.endswith(":queues") else "string" if ":value:" in key else None
    part = part.removeprefix(":")
    if name.startswith("presence:"):
        return _PRESENCE.get(part) or _PRESENCE.get(part.partition(":")[0])
    first, _, rest = part.partition(":")
    if first == "inbox":
        return _QUEUE.get(rest.partition(":")[0])
    if first == "state" or first.startswith("state#"):
        return "hash"
    if first == "log":
        # Behind the dead letters there is one mark for each rejected entry.
        return (
            "string"
            if rest.startswith("dead:")
            else _LOG.get(rest) or _LOG.get(rest.partition(":")[0])
        )
    parts = _NOUNS.get(name.partition(":")[0])
    return None if parts is None else parts.get(first)
