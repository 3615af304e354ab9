"""Settling deliveries: acks, retries and burials of one consumer, flushed together."""

import logging
import random
from collections import deque
from collections.abc import Iterator
from typing import Final

import anyio

from .errors import BusUnavailable, ServerRefused
from .link import Link
from .script import Script

_ACK: Final = Script("ack")
_RETRY: Final = Script("retry")
_BURY: Final = Script("bury")

log = logging.getLogger("argentbus.queue")

#: Acks that travel in one call (Lua's `unpack` takes no more than about 8000 values).
MOST_ACKS: Final = 1000

#: Dead letters kept for a queue; the oldest go first.
MOST_DEAD: Final = 100_000


def retry_delay(attempt: int, first: float = 0.5, most: float = 60.0) -> float:
    """Seconds until the delivery after `attempt`: doubling, capped, with up to half jitter."""
    return min(most, first * 2.0 ** min(attempt - 1, 30)) * random.uniform(0.5, 1.0)  # noqa: S311


class _Batch:
    __slots__ = ("acks", "burials", "done", "error", "retries", "returns")

    def __init__(self) -> None:
        self.acks: list[str] = []
        self.returns: list[str] = []
        self.retries: list[tuple[str, float]] = []
        self.burials: list[tuple[str, int, str]] = []
        self.done = anyio.Event()
        self.error: Exception | None = None

    @property
    def empty(self) -> bool:
        return not (self.acks or self.returns or self.retries or self.burials)

    def entry_ids(self) -> Iterator[str]:
        """All that the batch settles."""
        yield from self.acks
        yield from self.returns
        yield from (entry_id for entry_id, _ in self.retries)
        yield from (entry_id for entry_id, _, _ in self.burials)


class Settlements:
    """What a consumer has settled and Redis may not know yet.

    Args:
        base: Key of the stream.
        max_deliveries: After so many, a retry becomes a burial.
        held: Entry ids that this consumer answers for; settled ones are removed from it.
    """

    def __init__(
        self,
        link: Link,
        base: str,
        group: str,
        consumer: str,
        max_deliveries: int,
        held: set[str],
    ) -> None:
        self._link = link
        self._base = base
        self._group = group
        self._consumer = consumer
        self._max_deliveries = max_deliveries
        self._held = held
        self._open = _Batch()
        self._unsent: deque[_Batch] = deque()
        self._work = anyio.Event()
        self._untrimmed = 0
        self._lock = anyio.Lock()

    # what a delivery calls

    def ack_later(self, entry_id: str) -> None:
        self._open.acks.append(entry_id)
        self._work.set()

    def return_later(self, entry_id: str) -> None:
        self._open.returns.append(entry_id)
        self._work.set()

    def bury_later(self, entry_id: str, attempt: int, reason: str) -> None:
        self._open.burials.append((entry_id, attempt, reason))
        self._work.set()

    def retry_later(self, entry_id: str, attempt: int, delay: float | None, reason: str) -> None:
        if attempt >= self._max_deliveries:
            self.bury_later(entry_id, attempt, f"{reason} (attempt {attempt}, the last)")
            return
        self._open.retries.append((entry_id, retry_delay(attempt) if delay is None else delay))
        self._work.set()

    async def ack(self, entry_id: str) -> None:
        self.ack_later(entry_id)
        await self._confirmed(self._open)

    async def retry(self, entry_id: str, attempt: int, delay: float | None, reason: str) -> None:
        self.retry_later(entry_id, attempt, delay, reason)
        await self._confirmed(self._open)

    async def bury(self, entry_id: str, attempt: int, reason: str) -> None:
        self.bury_later(entry_id, attempt, reason)
        await self._confirmed(self._open)

    async def _confirmed(self, batch: _Batch) -> None:
        await batch.done.wait()
        if batch.error is not None:
            raise batch.error

    # flushing

    async def run(self) -> None:
        """Flush whatever is settled, as soon as the call before is through."""
        while True:
            await self._work.wait()
            await self.flush()

    async def flush(self) -> None:
        """Send what is settled. What Redis refuses for good is logged, and stays pending there.

        What is not sent when this is cancelled is sent by the next flush.
        """
        async with self._lock:
            if not self._open.empty:
                self._unsent.append(self._open)
                self._open = _Batch()
            self._work = anyio.Event()
            while self._unsent:
                batch = self._unsent[0]
                try:
                    await self._send(batch)
                except ServerRefused as error:
                    batch.error = error
                    log.warning("settling deliveries of %s failed: %s", self._base, error)
                except BusUnavailable as error:
                    batch.error = error
                    log.warning("settling deliveries of %s is put off: %s", self._base, error)
                    batch.done.set()
                    self._work.set()
                    return
                self._unsent.popleft()
                self._held.difference_update(batch.entry_ids())
                batch.done.set()

    async def trim(self) -> None:
        """Drop from the stream what every group is done with, if anything was acked lately."""
        if self._untrimmed:
            self._untrimmed = 0
            await self._link.run(_ACK, [self._base], [self._group, 1])

    async def give_back(self, entry_ids: list[str], *, handled: bool, delay: float = 0.0) -> None:
        """Have deliveries of this consumer delivered again to the group."""
        for start in range(0, len(entry_ids), MOST_ACKS):
            await self._link.run(
                _RETRY,
                [self._base, f"{self._base}:retry:{self._group}"],
                [
                    self._group,
                    self._consumer,
                    int(delay * 1000),
                    int(handled),
                    *entry_ids[start : start + MOST_ACKS],
                ],
            )

    async def _send(self, batch: _Batch) -> None:
        for start in range(0, len(batch.acks), MOST_ACKS):
            ids = batch.acks[start : start + MOST_ACKS]
            self._untrimmed += len(ids)
            trim = self._untrimmed >= MOST_ACKS
            if trim:
                self._untrimmed = 0
            await self._link.run(_ACK, [self._base], [self._group, int(trim), *ids])
        if batch.returns:
            await self.give_back(batch.returns, handled=True)
        for entry_id, delay in batch.retries:
            await self.give_back([entry_id], handled=True, delay=delay)
        for entry_id, attempt, reason in batch.burials:
            await self._link.run(
                _BURY,
                [self._base, f"{self._base}:dead", f"{self._base}:retry:{self._group}"],
                [self._group, entry_id, reason[:2000], attempt, MOST_DEAD],
            )
            self._untrimmed += 1
