"""A queue in numbers."""

from typing import Any, Final

import msgspec

from bus.keys import QueueKeys
from bus.servers.link import Link
from bus.servers.script import Script

_STATISTICS: Final = Script("queues/statistics", "queues/entries")


class GroupStatistics(msgspec.Struct, frozen=True):
    """One consumer group of a queue.

    Attributes:
        name: Of the group.
        pending: Deliveries that are not settled.
        lag: Messages not delivered yet; None where the server cannot tell (before Redis 7).
        consumers: Members of the group.
        oldest_age: Seconds since its oldest message that is not settled entered the stream; None
            where there is none.
        retrying: Deliveries that wait to be tried again.
        suspects: Unsettled messages that a consumer died with.

    Example: See `QueueStatistics`.
    """

    name: str
    pending: int
    lag: int | None
    consumers: int
    oldest_age: float | None = None
    retrying: int = 0
    suspects: int = 0


class QueueStatistics(msgspec.Struct, frozen=True):
    """A queue at one moment.

    Attributes:
        name: Of the queue.
        length: Messages in the stream, unhandled or not trimmed yet.
        dead: Dead letters.
        delayed: Messages whose time has not come.
        groups: Its consumer groups.
        parked: Messages that wait for others with their key.
        refused: Garbled messages that were ever refused here, and became dead letters.
        bytes: Of all its messages' envelopes, in bytes; None where nobody bounds them.
        schedules: How many there are.
        garbled: What was no entry id where one belongs (a foreign hand), and was passed over.
        oldest_age: Seconds since the oldest message that some group is not done with entered the
            stream; None where there is none.

    Example:
        reviews = bus.queue("reviews", Review)
        await reviews.put(Review("parser.py"))
        async with reviews.consume("reviewers") as deliveries, await anext(deliveries):
            statistics: QueueStatistics = await reviews.statistics()
            group: GroupStatistics = statistics.groups[0]
            print(statistics.length, group.name, group.pending)  #> 1 reviewers 1
    """

    name: str
    length: int
    dead: int
    delayed: int
    groups: list[GroupStatistics]
    parked: int = 0
    refused: int = 0
    bytes: int | None = None
    schedules: int = 0
    garbled: int = 0
    oldest_age: float | None = None


async def count(link: Link, keys: QueueKeys, name: str) -> QueueStatistics:
    """Count what is in the queue `name` now."""
    length, dead, delayed, parked, refused, size, schedules, garbled, rows, now = await link.run(
        _STATISTICS,
        [keys.stream, keys.dead, keys.delayed, keys.counts, keys.schedules],
        [keys.retry(""), keys.kills("")],
    )
    groups = [_group(row, now) for row in rows]
    ages = [group.oldest_age for group in groups if group.oldest_age is not None]
    return QueueStatistics(
        name=name,
        length=length,
        dead=dead,
        delayed=delayed,
        groups=[group for group in groups if group.name],
        parked=parked,
        refused=refused,
        bytes=None if size < 0 else size,
        schedules=schedules,
        garbled=garbled,
        oldest_age=max(ages, default=None),
    )


def _group(row: Any, now: int) -> GroupStatistics:
    name, pending, lag, consumers, oldest, retrying, suspects = row
    return GroupStatistics(
        name=name.decode(errors="replace"),
        pending=pending,
        lag=None if lag < 0 else lag,
        consumers=consumers,
        oldest_age=None if oldest < 0 else max(0.0, (now - oldest) / 1000),
        retrying=retrying,
        suspects=suspects,
    )
