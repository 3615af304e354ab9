"""What waits in a namespace: its queues, and under names alike its inboxes and write logs.

`inbox:NAME` is the inbox of the agent NAME, `log:P` the write log of partition P on its way to the
database. A queue that was given such a name is the one that is meant.
"""

import re
from typing import Final

from bus import Bus, InvalidName, Queue, QueueStatistics, ServerRefused
from bus.agents.inbox import INBOXES, inbox_of
from presence.text import clean
from storage.log import PARTITIONS_VALUE, log_of, partition_count

from .errors import NoSuchQueue, NotReplayable

_INBOX: Final = "inbox:"
_LOG: Final = "log:"

#: Keys that one step looks at.
_STEP: Final = 1_000

#: Looks through the keys of one node of a Cluster, where a cursor cannot be sent back to its node.
_SCAN_ALL: Final = """
local found, cursor = {}, '0'
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', ARGV[2], 'TYPE', 'stream')
  cursor = page[1]
  for _, key in ipairs(page[2]) do found[#found + 1] = key end
until cursor == '0'
return found
"""


class Backlog:
    """What was counted.

    Attributes:
        counted: Of each, sorted by their kinds and names.
        hidden: Names of those that the user of Redis in the URL may not look into.
        odd: Of what is none: the name, and why not.
    """

    def __init__(self) -> None:
        self.counted: list[QueueStatistics] = []
        self.hidden: list[str] = []
        self.odd: dict[str, str] = {}

    def in_words(self) -> str:
        """That not all could be looked into; to be said where `hidden` is not empty."""
        shown = ", ".join(clean(name, 128) for name in self.hidden[:5])
        more = f" and {len(self.hidden) - 5} more" if len(self.hidden) > 5 else ""
        return (
            f"this user of Redis may not look into {shown}{more}: use an operator's URL to see them"
        )


async def backlog(bus: Bus) -> Backlog:
    """Count the queues, the inboxes, and those write logs in which there is something."""
    found = Backlog()
    for name in await bus.queues():
        try:
            await _count(found, name, bus.queue(name, object))
        except InvalidName as error:
            found.odd[name] = str(error)
    try:
        for agent in await inboxes(bus):
            await _count(found, _INBOX + agent, _inbox(bus, agent))
        for partition in range(await _partitions(bus)):
            await _count(found, f"{_LOG}{partition}", _log(bus, partition), even_empty=False)
    except ServerRefused as error:
        if not _is_forbidden(error):
            raise
        found.hidden.append("inboxes and write logs")
    return found


async def _count(
    found: Backlog, name: str, queue: Queue[object], *, even_empty: bool = True
) -> None:
    try:
        statistics = await queue.statistics()
    except ServerRefused as error:
        if _is_forbidden(error):
            found.hidden.append(name)
        else:
            found.odd[name] = str(error)
        return
    if even_empty or statistics.length or statistics.dead:
        found.counted.append(statistics)


def _is_forbidden(error: ServerRefused) -> bool:
    said = str(error)
    return "NOPERM" in said or "ACL failure" in said or "no permissions" in said


def is_log(name: str) -> bool:
    """Whether it is the name of a write log."""
    return name.startswith(_LOG) and name.removeprefix(_LOG).isdecimal()


async def inboxes(bus: Bus) -> list[str]:
    """Names of the agents that have an inbox, or dead letters of one; present or not."""
    keys: list[bytes] = []
    pattern = bus.keys.inbox("*") + "*"
    if "cluster" in str(bus.link.address).partition("://")[0]:
        pages = await bus.link.retrying(
            lambda: bus.link.everywhere("EVAL", _SCAN_ALL, 0, pattern, _STEP)
        )
        keys = [key for page in pages for key in page]
    else:
        cursor = b"0"
        while True:
            words = ("SCAN", cursor, "MATCH", pattern, "COUNT", _STEP, "TYPE", "stream")
            cursor, page = await bus.link.retrying(
                lambda words=words: bus.link.call(*words)  # type: ignore[misc]
            )
            keys += page
            if cursor == b"0":
                break
    form = re.compile(re.escape(bus.keys.inbox("*")).replace(r"\*", "([^{}]+)") + "(:dead)?")
    matches = (form.fullmatch(key.decode(errors="replace")) for key in keys)
    return sorted({match[1] for match in matches if match})


async def _partitions(bus: Bus) -> int:
    """How many partitions the write log has: none, where nobody has used it."""
    if await bus.get_value(PARTITIONS_VALUE) is None:
        return 0
    return await partition_count(bus)


def _inbox(bus: Bus, agent: str) -> Queue[object]:
    inbox = inbox_of(bus, agent, {}, sender=bus.instance)
    return Queue(
        bus,
        _INBOX + agent,
        inbox.base,
        lambda _: None,
        sender=bus.instance,
        template=INBOXES.template,
    )


def _log(bus: Bus, partition: int) -> Queue[object]:
    # Its dead letters are kept in the form of a queue's.
    return Queue(
        bus, f"{_LOG}{partition}", log_of(bus, partition).key, lambda _: None, sender=bus.instance
    )


async def existing(bus: Bus, name: str, *, to_replay: bool = False) -> Queue[object]:
    """The queue, inbox or write log of this name, for its operator.

    Raises:
        NoSuchQueue: there is none.
        NotReplayable: it is a write log, whose letters are not put back.
        InvalidName: nothing can be named so.
    """
    queue = bus.queue(name, object)
    known = await bus.queues()
    if name in known:
        return queue
    if name.startswith(_INBOX) and name.removeprefix(_INBOX) in await inboxes(bus):
        return _inbox(bus, name.removeprefix(_INBOX))
    if is_log(name) and int(name.removeprefix(_LOG)) < await _partitions(bus):
        if to_replay:
            raise NotReplayable(
                f"what {name} has set aside is not put back: the database refused it, and later "
                "writes of the same agents are in it by now. Have the agent write it again, and "
                f"drop it here with `argentbus queues purge {name}`"
            )
        return _log(bus, int(name.removeprefix(_LOG)))
    some = f"there are {', '.join(known[:10])}" if known else "none was ever used"
    raise NoSuchQueue(
        f"no queue {name} in the namespace {bus.namespace}: {some}; see `argentbus queues`, "
        "inboxes and write logs included"
    )
