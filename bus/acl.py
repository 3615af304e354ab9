"""What a Redis ACL user of one agent may do: the rules, as a list for `ACL SETUSER`.

Rules are by command and key, in *selectors* (Redis 7, Valkey 8): a command is allowed where one
selector has it with all its keys. Scripts may be run with any key of the namespace, because each
command in them is checked again, as this user's: running one gives nothing that is not given below.

A user may read and write its own state, inbox and presence record, and the queues, locks and maps
it was granted; append to others' inboxes, to the reads queue and to its partition of the write log;
publish on the channels of instances (replies) but subscribe to its own only, which begin with a
mark that is made of the user's name (`mark_of`).

What Redis cannot express, so that signatures (`signing`) or trust have to stand for it:

- XADD with MAXLEN or MINID trims: who may append to a stream may shorten it. So a granted user
  cannot read another's inbox or the write log, but could drop what waits in them; and it could
  append with an entry id of the far future, behind which nothing else can be appended.
- The index of who is present, its records and its events are shared: a user could strike another
  from them, or write a false record (the presence key itself it cannot write). A record, also its
  own, may name another's estate: when it expires, what that one holds (`agents/holdings.py`) is
  given up early. It is told by no more than its next renewal, so the fences of its locks are what
  protects; estates are named in those records, and so not secret. What a user notes as held itself
  is given up by others, who may do more than it: they do so only where the note is one that it
  could have made, on the keys of a lock, a job or a consumer, for a token with its own mark
  (`agents/giveup.py`).
- The counters beside others' inboxes, and the write log's epoch, may be changed by whoever appends;
  a changed epoch has what waits in the log applied again.
- A channel may be published to under any sender's name.
- Who may subscribe by a pattern hears all that fits it: nobody is granted that.
- `INFO`, `TIME` and the number of keys are not secret.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from .keys import Keys, check_name, check_names

#: What is done with keys of one's own. Left out: what looks at all keys, or at the whole server.
_DATA: Final = [
    "+@read",
    "+@write",
    "+@stream",
    "-@admin",
    "-@dangerous",
    "-scan",
    "-randomkey",
    "-dbsize",
    "-move",
    "-copy",
    "-rename",
    "-renamenx",
    "-migrate",
    "-function",
    "-swapdb",
]

#: What needs no key.
_KEYLESS: Final = [
    "+hello",
    "+auth",
    "+ping",
    "+echo",
    "+time",
    "+select",
    "+wait",
    "+quit",
    "+reset",
    "+asking",
    "+cluster|slots",
    "+cluster|info",
    "+readonly",
    "+readwrite",
    "+client|id",
    "+client|setname",
    "+client|getname",
    "+command",
    "+script|load",
    "+script|exists",
    "+unsubscribe",
    "+punsubscribe",
    "+sunsubscribe",
]

_SINCE_7_2: Final = ["+client|setinfo", "+waitaof"]

_HEAR: Final = "+subscribe +psubscribe +ssubscribe"
_TELL: Final = "+publish +spublish"

#: A plain `~` gives both directions.
_READ: Final = "%R~"
_WRITE: Final = "%W~"


class Grants(msgspec.Struct, frozen=True):
    """What an agent is granted besides itself.

    Attributes:
        roles: It may be found by.
        queues: It may put into and consume.
        topics: It may publish on and subscribe to.
        locks: It may take.
        maps: It may read and write.
    """

    roles: list[str] = []
    queues: list[str] = []
    topics: list[str] = []
    locks: list[str] = []
    maps: list[str] = []

    def checked(self) -> "Grants":
        """The same, sorted. Raises `InvalidName` where something cannot be a name."""
        return Grants(
            check_names("role", self.roles),
            check_names("queue", self.queues),
            check_names("topic", self.topics),
            check_names("lock", self.locks),
            check_names("map", self.maps),
        )


def mark_of(user: str | None) -> str:
    """How the names of instances and estates begin that connect as `user`: rules can name them."""
    if not user or user == "default":
        return ""
    return hashlib.blake2b(user.encode(), digest_size=8).hexdigest() + "-"


def user_of(keys: Keys, agent: str) -> str:
    """Name of the Redis user of an agent."""
    return f"{keys.namespace}:{check_name('agent', agent)}"


def rules(
    keys: Keys, agent: str, grants: Grants, *, partition: int, server: tuple[int, ...] = (7, 2)
) -> list[str]:
    """The rules of an agent's user, in the order for `ACL SETUSER`, without its password.

    Args:
        partition: Of the write log, on which the agent's writes are.
        server: Its version: a server refuses rules about commands that it does not know.

    Raises:
        InvalidName: a name is not accepted (so that none widens a pattern).
    """
    grants = grants.checked()
    mark = mark_of(user_of(keys, agent))
    return [
        "reset",
        "on",
        *_KEYLESS,
        *_SINCE_7_2[: 0 if server < (7, 2) else None],
        *_DATA,
        *_own(keys, agent, grants, mark),
        # Every command in a script is checked again.
        _selector("+eval +evalsha", [f"~{keys.namespace}:*"]),
        _selector("+info", []),
        *_presence(keys, grants),
        *_others(keys, mark),
        *_storage(keys, mark, partition),
    ]


def _own(keys: Keys, agent: str, grants: Grants, mark: str) -> list[str]:
    inbox, state = keys.inbox(agent), keys.state(agent)
    own = [inbox, f"{inbox}:*", state, f"{state}#*", keys.presence(agent)]
    own += [keys.presence(f"{agent}#*"), keys.holdings(f"{mark}*")]
    own += [f"{keys.presences}instances:{agent}"]
    bases = [keys.queue(name) for name in grants.queues]
    bases += [keys.lock(name) for name in grants.locks]
    bases += [keys.map(name) for name in grants.maps]
    for base in bases:
        own += [base, f"{base}:*"]
    both = [keys.topic(name) for name in grants.topics]
    # On a Cluster, for those who listen by a pattern: they are others than this user.
    beside = [keys.broadcast(name) for name in grants.topics]
    hear = [keys.instance(f"{mark}*"), *map(keys.cancelling, [inbox, *bases])]
    return [
        *(f"~{pattern}" for pattern in own),
        _selector(f"{_HEAR} {_TELL}", [f"&{channel}" for channel in both]),
        _selector(_HEAR, [f"&{channel}" for channel in hear]),
        _selector(_TELL, [f"&{channel}" for channel in [*map(keys.cancelling, bases), *beside]]),
        _selector("+zrange", [f"{_READ}{keys.patterns}"]),
    ]


def _presence(keys: Keys, grants: Grants) -> list[str]:
    index = keys.presence_index
    listed = [keys.role(role) for role in grants.roles] + [keys.capability("*")]
    shown = ["agent:*", "role:*", "capability:*", "instances:*"]
    return [
        _selector(
            "+zadd +zrem +zscore +zcard +zrange +zrangebyscore +zremrangebyscore",
            [f"~{index}", f"~{index}:dead"],
        ),
        _selector("+hset +hget +hdel +hgetall +hlen", [f"~{index}:records"]),
        _selector("+hset", [f"{_WRITE}{index}:unsettled"]),
        _selector("+xadd +xread +xrange +xrevrange", [f"~{keys.presence_events}"]),
        _selector("+sadd +srem", [f"{_WRITE}{name}" for name in listed]),
        _selector(
            "+get +exists +smembers +sinter +hgetall +hget",
            [
                *(f"{_READ}{keys.presences}{name}" for name in shown),
                f"{_READ}{keys.state('*')}",
                f"{_READ}{keys.state('*')}#*",
            ],
        ),
    ]


def _others(keys: Keys, mark: str) -> list[str]:
    inbox = keys.inbox("*")
    return [
        _selector("+xadd", [f"{_WRITE}{inbox}"]),
        _selector("+get +set", [f"~{inbox}:producer:{mark}*"]),
        # How many bytes wait there.
        _selector("+hexists +hincrby", [f"~{inbox}:counts"]),
        _selector("+sadd +smembers", [f"~{keys.queues}"]),
        _selector(_TELL, [f"&{keys.instance('*')}", f"&{keys.cancelling(inbox)}"]),
    ]


def _storage(keys: Keys, mark: str, partition: int) -> list[str]:
    log, reads = keys.log(f"storage:{partition}"), keys.queue("storage.reads")
    values = ("storage.partitions", "storage.dimension", f"storage.committed.{partition}")
    return [
        _selector("+xadd +exists", [f"{_WRITE}{log}", f"{_WRITE}{reads}"]),
        _selector("+get +set", [f"~{log}:producer:{mark}*", f"~{reads}:producer:{mark}*"]),
        _selector("+hexists +hincrby", [f"~{reads}:counts"]),
        _selector("+get", [f"{_READ}{log}:epoch", *(f"{_READ}{keys.value(v)}" for v in values)]),
        # The first to append makes the epoch, in the script that appends.
        _selector("+set", [f"{_WRITE}{log}:epoch"]),
        _selector(_HEAR, [f"&{keys.topic('storage.committed')}"]),
        _selector(_TELL, [f"&{keys.cancelling(reads)}"]),
    ]


def _selector(commands: str, patterns: Iterable[str]) -> str:
    return f"({' '.join(['-@all', commands, *patterns])})"
