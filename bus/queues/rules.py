"""What a queue asks of its messages: how often they are tried, in what order, how many may wait."""

from typing import Literal, TypedDict

import msgspec

from bus.arguments import one_of, whole

WhenFull = Literal["raise", "wait"]


class QueueOptions(TypedDict, total=False):
    """The options of `Bus.queue`; see `Rules`."""

    max_deliveries: int
    max_kills: int
    ordered: bool
    max_length: int | None
    max_bytes: int | None
    when_full: WhenFull


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one queue, as one program states them: they are not kept in Redis.

    Attributes:
        max_deliveries: A message that failed so often becomes a dead letter.
        max_kills: So does one that so many consumers died of, one after another.
        ordered: Whether messages may be put with a key, to be handled in order. Of one key one
            message at a time is delivered, to each group; the next one follows when every group has
            acknowledged it or given it up. So the slowest group sets the pace of a key, and a group
            that nobody consumes any more holds every key up until it is deleted. Other keys, and
            messages without one, go on. A message that is delivered again stays before those
            behind it; one that becomes a dead letter lets them pass, and joins at the end when it
            is replayed. Two can be at a key at a time where one is a process that was suspended for
            longer than its TTL: it was taken for dead.
        max_length: Most messages in the queue (delayed ones and those behind others of their key
            included), or None. A message counts until every group is done with it.
        max_bytes: Most bytes of their encoded envelopes, or None.
        when_full: Whether `put` raises `QueueFull` or waits for room. Whoever waits looks again
            after 5 to 100 ms; puts of one process that wait do so together.

    Raises:
        ValueError: a number is below 1, or `when_full` is neither of the two.
        TypeError: a number is none.

    Example:
        builds = bus.queue("builds", str, ordered=True, max_length=1)
        rules: Rules = builds.rules
        await builds.put("main", key="argentbus")  # of this key, one at a time
        try:
            await builds.put("a branch", key="argentbus")
        except QueueFull:  # or have it wait: `when_full="wait"`
            print(rules.max_length, rules.max_deliveries)  #> 1 5
    """

    max_deliveries: int = 5
    max_kills: int = 3
    ordered: bool = False
    max_length: int | None = None
    max_bytes: int | None = None
    when_full: WhenFull = "raise"

    def __post_init__(self) -> None:
        for name in ("max_deliveries", "max_kills"):
            whole(name, getattr(self, name), least=1)
        for name in ("max_length", "max_bytes"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least=1)
        one_of("when_full", self.when_full, ("raise", "wait"))

    @property
    def bounded(self) -> bool:
        """Whether so many messages, or bytes, and no more may be in it."""
        return self.max_length is not None or self.max_bytes is not None
