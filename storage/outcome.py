"""What became of a client's writes: which of them a sidecar set aside, and why."""

import time
from typing import Final, NamedTuple

from bus import Log, Place
from bus.logs.rejection import MOST_TOLD
from bus.telemetry.journal import Journal

from .apply import order
from .errors import Refusal, WritesRefused

log = Journal("argentbus.storage")

#: A client that does not flush looks after so many writes, or so many seconds.
LOOK_WRITES: Final = 1000
LOOK_SECONDS: Final = 30.0

#: Refusals that are kept for the next flush, and those that are logged at once.
MOST_KEPT: Final = 1000
MOST_LOGGED: Final = 10


class _Written(NamedTuple):
    """A write of which nobody knows what became.

    Attributes:
        entry_id: Where it stands, or empty where that is not known.
        epoch: Of `until`.
        until: Where it stands, or behind it.
    """

    entry_id: str
    epoch: str
    until: tuple[int, int]


class Outcome:
    """What became of the writes of one client.

    Args:
        agent: In whose name they are.

    Attributes:
        refused: How many were set aside, as far as is known.
    """

    def __init__(self, agent: str) -> None:
        self.refused = 0
        self._agent = agent
        # By the message's id: a retry does not learn where its entry stands.
        self._written: dict[str, _Written] = {}
        self._kept: list[Refusal] = []
        self._unlisted = 0
        self._writes = 0
        self._looked = time.monotonic()

    def add(self, place: Place, *, exact: bool) -> None:
        """Note a write.

        Args:
            exact: Whether it stands at `place`, or somewhere before.
        """
        entry_id = place.entry_id if exact else ""
        self._written[place.message_id] = _Written(entry_id, place.epoch, order(place.entry_id))
        self._writes += 1

    def carry_over(self, epoch: str) -> None:
        """Note that the log is another one, or lost its end: ids of before do not compare."""
        for message_id, one in self._written.items():
            self._written[message_id] = one._replace(epoch=epoch, until=(0, 0))

    @property
    def due(self) -> bool:
        """Whether a client that has not flushed should look by now."""
        return (
            self._writes >= LOOK_WRITES
            or (self._writes > 1 and time.monotonic() - self._looked >= LOOK_SECONDS)
        )  # fmt: skip

    async def look(self, entries: Log, through: Place) -> None:
        """Learn what became of the writes up to `through`, where the log is committed by now.

        A sidecar notes what it sets aside before it commits a position behind it.

        Raises:
            BusUnavailable: Redis could not be reached.
        """
        self._writes, self._looked = 0, time.monotonic()
        end = order(through.entry_id)
        settled = [
            message_id
            for message_id, one in self._written.items()
            if one.epoch == through.epoch and one.until <= end
        ]
        if not settled:
            return
        rejections = await entries.rejections(self._agent, after=self._before(settled))
        found = []
        for one in rejections:
            written = self._written.get(one.message_id)
            # Somebody may have appended the message again: that is not the client's entry.
            if written is not None and written.entry_id in ("", one.entry_id):
                del self._written[one.message_id]
                found.append(Refusal(one.type, one.entry_id, one.reason))
        # Where as many are told as are kept, older ones may be gone: whose, nobody knows.
        oldest = order(rejections[0].id)[0] if len(rejections) >= MOST_TOLD else -1
        left = [self._written.pop(message_id, None) for message_id in settled]
        doubtful = sum(one is not None and _ms(one) <= oldest for one in left)
        self._learn(found, doubtful)

    def told(self) -> None:
        """Say what was refused and not said before.

        Raises:
            WritesRefused: something was.
        """
        kept, unlisted = self._kept, self._unlisted
        if kept or unlisted:
            self._kept, self._unlisted = [], 0
            raise WritesRefused(_words(self._agent, kept, unlisted), kept, unlisted)

    def _learn(self, found: list[Refusal], doubtful: int) -> None:
        self.refused += len(found)
        room = MOST_KEPT - len(self._kept)
        self._kept += found[:room]
        self._unlisted += len(found[room:]) + doubtful
        for one in found[:MOST_LOGGED]:
            log.warning(
                "a write was refused",
                agent=self._agent,
                kind=one.kind,
                entry=one.entry_id,
                reason=one.reason,
            )
        if doubtful or len(found) > MOST_LOGGED:
            log.warning(
                "more writes were refused",
                agent=self._agent,
                refused=len(found[MOST_LOGGED:]),
                doubtful=doubtful,
            )

    def _before(self, message_ids: list[str]) -> str:
        """An id of a rejection behind which those of these writes are."""
        least = min(_ms(self._written[message_id]) for message_id in message_ids)
        return f"{max(least - 1, 0)}-0"


def _ms(written: _Written) -> int:
    """The time in an entry's id; 0 where that is not known."""
    return order(written.entry_id)[0] if written.entry_id else 0


def _words(agent: str, refused: list[Refusal], unlisted: int) -> str:
    shown = [f"{one.kind} (entry {one.entry_id}): {one.reason}" for one in refused[:3]]
    if len(refused) > len(shown):
        shown.append(f"{len(refused) - len(shown)} more in `refused`")
    if unlisted:
        shown.append(f"{unlisted} more may be refused, of which nothing is kept")
    return (
        f"the storage refused {len(refused) or 'some'} of the writes of {agent}, the others are in "
        f"the database: {'; '.join(shown)}: mend what the reason names, and write those again"
    )
