"""What whoever runs a queue does with it: count it, mind its dead letters, drop a group."""

from functools import partial
from typing import TYPE_CHECKING, Final

from bus.keys import QueueKeys, check_name

from . import statistics
from .deadletter import DeadLetter, DeadLetters
from .statistics import QueueStatistics

if TYPE_CHECKING:
    from bus.bus import Bus


class Upkeep:
    """The side of the queue `name` that is turned to its operator."""

    def __init__(self, bus: "Bus", name: str, keys: QueueKeys) -> None:
        self.name: Final = name
        self._bus = bus
        self._keys = keys
        self._dead = DeadLetters(bus.link, keys)

    async def statistics(self) -> QueueStatistics:
        """Count what is in the queue, all at one moment."""
        return await statistics.count(self._bus.link, self._keys, self.name)

    async def dead_letters(self, *, limit: int = 100, after: str = "-") -> list[DeadLetter]:
        """List dead letters, the oldest first. The last 100,000 are kept.

        Args:
            limit: Most of them.
            after: Id of the last one seen, for the next page.
        """
        return await self._dead.page(limit=limit, after=after)

    async def dead_letter(self, dead_id: str) -> DeadLetter | None:
        """The dead letter with this id, or None where there is none (any more)."""
        return await self._dead.find(dead_id)

    async def replay(self, *dead_ids: str) -> int:
        """Put dead letters back into the queue, each for the group that gave it up and no other.

        It enters as a new message would, with its attempts counted anew; under a key, behind
        those of its key that wait. Each is moved atomically: it is in one of the two places. One
        whose group was deleted waits until that group is consumed again.

        Returns:
            How many there were. Over a connection that breaks it may be less than were moved.

        Raises:
            InvalidName: one of them is not an id.
        """
        return await self._dead.replay(dead_ids)

    async def replay_all(self, *, group: str | None = None) -> int:
        """Replay all dead letters there are now (of one group, if asked); return their number."""
        return await self._dead.replay(await self._dead.ids(group=group))

    async def purge(self, *dead_ids: str) -> int:
        """Drop dead letters for good; return how many there were.

        Raises:
            InvalidName: one of them is not an id.
        """
        return await self._dead.purge(dead_ids)

    async def purge_all(self, *, group: str | None = None) -> int:
        """Purge all dead letters there are now (of one group, if asked); return their number."""
        return await self._dead.purge(await self._dead.ids(group=group))

    async def delete_group(self, group: str) -> bool:
        """Delete a consumer group, and with it what it had not handled; return whether there was.

        A group that nobody consumes any more keeps messages from leaving the stream.
        """
        check_name("consumer group", group)
        call, keys = self._bus.link.call, self._keys
        deleted = await self._bus.link.retrying(
            partial(call, "XGROUP", "DESTROY", keys.stream, group)
        )
        gone = (keys.retry(group), keys.consumers(group), keys.kills(group), keys.watch(group))
        await self._bus.link.retrying(partial(call, "DEL", *gone))
        return bool(deleted)
