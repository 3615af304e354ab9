"""Every key and channel of a namespace, in one place.

Keys of one noun share a hash tag (`{...}`), so that each multi-key script is legal on a Redis
Cluster. Names are checked before they become part of a key: no braces (they would move the hash
tag), no glob characters (they would widen an ACL pattern), nothing that a terminal or a page
would have to defuse.
"""

import re
from collections.abc import Iterable

from .arguments import shown, text
from .errors import InvalidName

MAX_NAME = 128
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}\Z")
_PATTERN = re.compile(r"[A-Za-z0-9*?][A-Za-z0-9._:@/+*?-]{0,127}\Z")
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def check_name(kind: str, name: str) -> str:
    """Return `name` when it may name a `kind` (agent, queue, topic, lock, ...).

    Raises:
        InvalidName: it is empty, longer than 128, or has a character outside the accepted ones.
        TypeError: it is not a str.
    """
    text(f"the name of a {kind}", name)
    if not _NAME.match(name):
        shown = ascii(name) if len(ascii(name)) <= 60 else ascii(name)[:57] + "..."
        raise InvalidName(
            f"{shown} cannot name a {kind}: use 1 to {MAX_NAME} characters of "
            "A-Z a-z 0-9 . _ : @ / + -, the first a letter or a digit"
        )
    return name


def check_names(kind: str, names: Iterable[str]) -> list[str]:
    """Return `names`, sorted and each once, when each may name a `kind`.

    Raises:
        InvalidName: one may not, or `names` is a single string.
        TypeError: one is not a str, or `names` is not a number of them.
    """
    if isinstance(names, str):
        raise InvalidName(f"{names[:40]!a} is one {kind}: give a list, such as [{names[:40]!a}]")
    if not isinstance(names, Iterable):
        raise TypeError(f"{shown(names)} is no list of names of a {kind}: give one, such as []")
    return sorted({check_name(kind, name) for name in names})


def check_pattern(kind: str, pattern: str) -> str:
    """Return `pattern` when names of a `kind` can fit it: a name in which `*` stands for any
    characters and `?` for any one. The other glob characters cannot be in a name, and are refused.

    Raises:
        InvalidName: it is not one.
        TypeError: it is not a str.
    """
    text(f"a pattern of {kind} names", pattern)
    if not _PATTERN.match(pattern):
        raise InvalidName(
            f"{ascii(pattern)[:60]} cannot be a pattern of {kind} names: use 1 to {MAX_NAME} "
            "characters of A-Z a-z 0-9 . _ : @ / + -, * for any characters, ? for any one"
        )
    return pattern


class QueueKeys:
    """Key names of one queue: all in the slot of its stream.

    Args:
        stream: Key of the stream, with its hash tag.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        #: Zset of messages by the time they are due.
        self.delayed = f"{stream}:delayed"
        #: Stream of dead letters.
        self.dead = f"{stream}:dead"
        #: Hash of counters.
        self.counts = f"{stream}:counts"
        #: Hash from key to the entry that is the head of its lane; the prefix of the lanes.
        self.lanes = f"{stream}:lanes"
        self.lane = f"{stream}:lane:"
        #: Prefix of the dedupe ids.
        self.dedupe = f"{stream}:dedupe:"
        #: Hash of schedules, and zset of their names by the time they are due.
        self.schedules = f"{stream}:schedules"
        self.scheduled = f"{stream}:scheduled"

    def producer(self, producer: str) -> str:
        return f"{self.stream}:producer:{producer}"

    def retry(self, group: str) -> str:
        return f"{self.stream}:retry:{group}"

    def consumers(self, group: str) -> str:
        return f"{self.stream}:consumers:{group}"

    def kills(self, group: str) -> str:
        return f"{self.stream}:kills:{group}"

    def watch(self, group: str) -> str:
        return f"{self.stream}:watch:{group}"


class Keys:
    """Key names of one namespace.

    Args:
        namespace: 1 to 64 characters of `A-Z a-z 0-9 . _ -`, the first a letter or digit.

    Raises:
        InvalidName: the namespace, or a name given to a method, is not accepted.
    """

    def __init__(self, namespace: str) -> None:
        text("namespace", namespace)
        if not _NAMESPACE.match(namespace):
            raise InvalidName(
                f"{namespace!a} cannot be a namespace: use 1 to 64 characters of "
                "A-Z a-z 0-9 . _ -, the first a letter or a digit"
            )
        self.namespace = namespace

    # presence (one bucket for now; the bucket is part of the key so that it can grow)

    @property
    def presences(self) -> str:
        """How every key on who is present begins."""
        return f"{self.namespace}:{{presence:0}}:"

    def presence(self, member: str) -> str:
        """The record of an agent, or of one of its instances (`<id>#<instance>`)."""
        return f"{self.presences}agent:{member}"

    @property
    def presence_index(self) -> str:
        return f"{self.presences}index"

    @property
    def presence_events(self) -> str:
        return f"{self.presences}events"

    def role(self, role: str) -> str:
        """Set of the members that have a role."""
        return f"{self.presences}role:{role}"

    def capability(self, capability: str) -> str:
        """Set of the members that have a capability."""
        return f"{self.presences}capability:{capability}"

    def state(self, member: str) -> str:
        """The state of an agent, or of one of its instances (`<id>#<instance>`)."""
        agent, mark, instance = member.partition("#")
        return f"{self.namespace}:{{{agent}}}:state{mark}{instance}"

    def holdings(self, estate: str) -> str:
        """What one process holds, to be given up when it is dead."""
        return f"{self.namespace}:{{holdings:{estate}}}"

    # streams

    def inbox(self, agent: str) -> str:
        return f"{self.namespace}:{{{agent}}}:inbox"

    def queue(self, name: str) -> str:
        return f"{self.namespace}:{{queue:{name}}}"

    @property
    def queues(self) -> str:
        return f"{self.namespace}:queues"

    def log(self, name: str) -> str:
        return f"{self.namespace}:{{{name}}}:log"

    # locks

    def lock(self, name: str) -> str:
        return f"{self.namespace}:{{lock:{name}}}"

    def semaphore(self, name: str) -> str:
        return f"{self.namespace}:{{semaphore:{name}}}"

    def election(self, name: str) -> str:
        return f"{self.namespace}:{{election:{name}}}"

    def election_channel(self, name: str) -> str:
        return f"{self.namespace}:election:{name}"

    def once(self, name: str) -> str:
        return f"{self.namespace}:{{once:{name}}}"

    # shared state

    def map(self, name: str) -> str:
        return f"{self.namespace}:{{map:{name}}}"

    # channels and values

    def topic(self, name: str) -> str:
        return f"{self.namespace}:topic:{name}"

    def broadcast(self, name: str) -> str:
        """Channel beside that of a topic, on a Cluster, for those who listen by a pattern."""
        return f"{self.namespace}:broadcast:{name}"

    @property
    def patterns(self) -> str:
        """The patterns by which somebody listens, on a Cluster."""
        return f"{self.namespace}:patterns"

    def instance(self, instance: str) -> str:
        """Channel on which one bus instance hears replies and wake-ups."""
        return f"{self.namespace}:instance:{instance}"

    def cancelling(self, stream: str) -> str:
        """Channel on which those who handle the requests of a stream hear that one was given up."""
        return f"{stream}:cancel"

    def value(self, name: str) -> str:
        return f"{self.namespace}:value:{name}"
