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


#: Parts that stand for many keys: what follows them names one.
_MANY: Final = {
    *("lane", "dedupe", "producer", "retry", "consumers", "kills", "watch"),
    *("mark", "agent", "role", "capability", "instances"),
}


def type_of(key: str) -> str | None:
    """The type that a key of ours has, as `TYPE` names it; None where it is not known."""
    base, parts, part = _read(key)
    if not base:
        return "set" if key.endswith(":queues") else "string" if ":value:" in key else None
    if parts is _LOG and part.startswith("dead:"):
        return "string"  # a mark for each rejected entry
    return parts.get(part) or parts.get(part.partition(":")[0])


def kin(key: str) -> list[str]:
    """The keys that scripts may touch along with `key`: of the same noun, and of that name."""
    base, parts, _ = _read(key)
    return [f"{base}:{part}" if part else base for part in parts if part not in _MANY]


def _read(key: str) -> tuple[str, dict[str, str], str]:
    """The base of a key, what the parts behind it are, and which it is; nothing if unknown."""
    _, brace, behind = key.partition("{")
    name, closed, part = behind.partition("}")
    if not (brace and closed):
        return "", {}, ""
    base, part = key[: len(key) - len(part)], part.removeprefix(":")
    if name.startswith("presence:"):
        return base, _PRESENCE, part
    first, _, rest = part.partition(":")
    if first == "inbox":
        return f"{base}:inbox", _QUEUE, rest
    if first == "log":
        return f"{base}:log", _LOG, rest
    if first == "state" or first.startswith("state#"):
        return f"{base}:{first}", {"": "hash"}, ""
    parts = _NOUNS.get(name.partition(":")[0])
    return (base, parts, part) if parts is not None else ("", {}, "")
