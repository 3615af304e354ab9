"""Settling deliveries: acks, retries and burials of one consumer, flushed together."""

import math
import random
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio

from bus.errors import BusUnavailable, DeliveryLost, ServerRefused
from bus.keys import QueueKeys
from bus.servers.link import Link, backoff
from bus.servers.script import Script
from bus.telemetry import Destination
from bus.telemetry.journal import Journal

from .batch import Batch, Burial

if TYPE_CHECKING:
    from .delivery import Delivery

_ACK: Final = Script("queues/ack", "queues/entries")
_RETRY: Final = Script("queues/retry")
_BURY: Final = Script("queues/bury", "queues/entries")

log = Journal("argentbus.queue")

#: Acks that travel in one call (Lua's `unpack` takes no more than about 8000 values).
MOST_ACKS: Final = 1000

#: Burials that travel in one call: each copies a message.
MOST_BURIALS: Final = 100

#: Dead letters kept for a queue; the oldest go first.
MOST_DEAD: Final = 100_000

#: Seconds until what Redis refused is tried again: at first, and at most.
AGAIN: Final = (0.1, 30.0)


def retry_delay(attempt: int, first: float = 0.5, most: float = 60.0) -> float:
    """Seconds until the delivery after `attempt`: doubling, capped, with up to half jitter."""
    return min(most, first * 2.0 ** min(attempt - 1, 30)) * random.uniform(0.5, 1.0)  # noqa: S311


class Settlements:
    """What a consumer has settled and Redis may not know yet.

    What Redis refuses (it is full, its disk cannot be written, a key is of another type) is tried
    again until it does not, and stays in this consumer's hands meanwhile.

    Args:
        max_deliveries: After so many, a retry becomes a burial.
        held: Entry ids that this consumer answers for; settled ones are removed from it.
        source: What telemetry calls the queue.
    """

    def __init__(
        self,
        link: Link,
        keys: QueueKeys,
        group: str,
        consumer: str,
        max_deliveries: int,
        held: set[str],
        source: Destination,
    ) -> None:
        self._link = link
        self._keys = keys
        self._group = group
        self._consumer = consumer
        self._max_deliveries = max_deliveries
        self._held = held
        self._source = source
        self._open = Batch()
        self._unsent: deque[Batch] = deque()
        self._put_off = Batch()
        self._again_at = math.inf
        self._delays = backoff(*AGAIN)
        self._work = anyio.Event()
        self._untrimmed = 0
        self._lock = anyio.Lock()

    @property
    def put_off(self) -> int:
        """How many Redis refused, which are tried again."""
        return len(self._put_off)

    # what a delivery calls

    def ack_later(self, entry_id: str) -> None:
        # The first one of a batch has set it: on the hot path, not once more for each.
        acks = self._open.acks
        if not acks:
            self._work.set()
        acks.append(entry_id)

    def return_later(self, entry_id: str) -> None:
        self._open.returns.append(entry_id)
        self._work.set()

    def bury_later(
        self,
        entry_id: str,
        attempt: int,
        reason: str,
        *,
        kills: str = "",
        refused: bool = False,
    ) -> None:
        self._open.burials.append(Burial(entry_id, attempt, reason, kills, refused))
        self._work.set()
        self._link.telemetry.buried(self._source, self._group)

    def retry_later(self, delivery: "Delivery[Any]", delay: float | None, reason: str) -> str:
        """Have it tried again, or buried; return which, as telemetry has it."""
        failures = delivery.failures
        if failures >= self._max_deliveries:
            reason = f"{reason} (attempt {delivery.attempt}, the last)"
            self.bury_later(delivery.entry_id, delivery.attempt, reason, kills=delivery.evidence)
            return "dead_letter"
        delay = retry_delay(failures) if delay is None else delay
        self._open.retries.append((delivery.entry_id, delay))
        self._work.set()
        self._link.telemetry.retried(self._source, self._group)
        return "retry"

    async def ack(self, entry_id: str) -> None:
        self.ack_later(entry_id)
        batch = self._open
        await batch.confirmed(entry_id)
        self._check_kept(batch, entry_id)

    async def retry(self, delivery: "Delivery[Any]", delay: float | None, reason: str) -> None:
        self.retry_later(delivery, delay, reason)
        await self._open.confirmed(delivery.entry_id)

    async def bury(self, delivery: "Delivery[Any]", reason: str) -> None:
        self.bury_later(delivery.entry_id, delivery.attempt, reason, kills=delivery.evidence)
        batch = self._open
        await batch.confirmed(delivery.entry_id)
        self._check_kept(batch, delivery.entry_id)

    def _check_kept(self, batch: Batch, entry_id: str) -> None:
        if entry_id in batch.lost:
            raise DeliveryLost(
                f"entry {entry_id} of {self._keys.stream} is in another consumer's hands: this one "
                "was without heartbeat for longer than its TTL, and taken for dead"
            )

    # flushing

    async def run(self) -> None:
        """Flush whatever is settled, as soon as the call before is through."""
        while True:
            with anyio.CancelScope(deadline=self._again_at):
                await self._work.wait()
            await self.flush()

    async def flush(self, *, all: bool = False) -> None:
        """Send what is settled. What is not sent when this is cancelled is sent by the next flush.

        Args:
            all: Also what Redis refused and is not due to be tried again yet.
        """
        async with self._lock:
            if not self._put_off.empty and (all or anyio.current_time() >= self._again_at):
                self._unsent.append(self._put_off)
                self._put_off = Batch()
                self._again_at = math.inf
            if not self._open.empty:
                self._unsent.append(self._open)
                self._open = Batch()
            self._work = anyio.Event()
            while self._unsent:
                batch = self._unsent[0]
                try:
                    await self._send(batch)
                except BusUnavailable as error:
                    batch.error = error
                    log.warning(
                        "settling is put off: Redis cannot be reached",
                        queue=self._source.name,
                        count=len(batch),
                        error=error,
                    )
                    batch.done.set()
                    self._again_at = anyio.current_time() + next(self._delays)
                    return
                self._unsent.popleft()
                batch.done.set()
            if self._put_off.empty and self._again_at == math.inf:
                self._delays = backoff(*AGAIN)

    async def trim(self) -> None:
        """Drop from the stream what every group is done with, if anything was acked lately."""
        if self._untrimmed:
            self._untrimmed = 0
            await self._run_ack([], trim=True)

    async def give_back(self, entry_ids: Iterable[str], *, handled: bool) -> None:
        """Have deliveries of this consumer delivered again to the group, now."""
        await self._retry([(entry_id, 0.0) for entry_id in entry_ids], handled=handled)

    async def _retry(self, retries: Sequence[tuple[str, float]], *, handled: bool) -> None:
        for start in range(0, len(retries), MOST_ACKS):
            pairs = [
                word
                for entry_id, delay in retries[start : start + MOST_ACKS]
                for word in (entry_id, int(delay * 1000))
            ]
            await self._link.run(
                _RETRY,
                [self._keys.stream, self._keys.retry(self._group)],
                [self._group, self._consumer, int(handled), *pairs],
            )

    async def _run_ack(self, entry_ids: list[str], *, trim: bool) -> set[str]:
        keys = self._keys
        lost = await self._link.run(
            _ACK,
            [keys.stream, keys.counts, keys.lanes, keys.kills(self._group)],
            [self._group, self._consumer, keys.lane, int(trim), *entry_ids],
        )
        return {entry_id.decode() for entry_id in lost}

    async def _send(self, batch: Batch) -> None:
        """Send what is left of a batch; put off what is refused.

        Raises:
            BusUnavailable: the rest is left in the batch.
        """
        while ids := batch.acks[:MOST_ACKS]:
            self._untrimmed += len(ids)
            trim = self._untrimmed >= MOST_ACKS
            if trim:
                self._untrimmed = 0
            try:
                batch.lost |= await self._run_ack(ids, trim=trim)
                self._held.difference_update(ids)
            except ServerRefused as error:
                self._put_off.acks += ids
                self._refused(batch, ids, error)
            del batch.acks[:MOST_ACKS]
        batch.retries = [*((one, 0.0) for one in batch.returns), *batch.retries]
        batch.returns = []
        while retries := batch.retries[:MOST_ACKS]:
            ids = [entry_id for entry_id, _ in retries]
            try:
                await self._retry(retries, handled=True)
                self._held.difference_update(ids)
            except ServerRefused as error:
                self._put_off.retries += retries
                self._refused(batch, ids, error)
            del batch.retries[:MOST_ACKS]
        while burials := batch.burials[:MOST_BURIALS]:
            ids = [burial.entry_id for burial in burials]
            try:
                batch.lost |= await self._bury(burials)
                self._held.difference_update(ids)
            except ServerRefused as error:
                self._put_off.burials += burials
                self._refused(batch, ids, error)
            del batch.burials[:MOST_BURIALS]

    def _refused(self, batch: Batch, ids: list[str], error: ServerRefused) -> None:
        batch.refused |= dict.fromkeys(ids, error)
        if self._again_at == math.inf:
            self._again_at = anyio.current_time() + next(self._delays)
        log.warning(
            "settling is put off: Redis refuses it, and the deliveries stay with this consumer",
            queue=self._source.name,
            count=len(ids),
            consumer=self._consumer,
            error=error,
        )

    async def _bury(self, burials: list[Burial]) -> set[str]:
        keys, group = self._keys, self._group
        words = [
            word
            for one in burials
            for word in (one.entry_id, one.reason[:2000], one.attempt, one.kills, int(one.refused))
        ]
        lost = await self._link.run(
            _BURY,
            [
                keys.stream,
                keys.dead,
                keys.retry(group),
                keys.kills(group),
                keys.counts,
                keys.lanes,
            ],
            [group, self._consumer, keys.lane, MOST_DEAD, *words],
        )
        self._untrimmed += len(burials)
        return {entry_id.decode() for entry_id in lost}
