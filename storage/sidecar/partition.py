"""One partition: leased, read from the stored position, applied, trimmed."""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
import msgspec

from bus import DASHBOARD, Agent, BusError, DashboardEvent, LockLost, LogEntry
from bus.link import backoff
from storage.adapter import StorageAdapter
from storage.apply import Position
from storage.errors import CommandRefused, DatabaseUnavailable, FenceRefused
from storage.log import COMMITTED, Committed, committed_name, log_of
from storage.model.memory import MemoryCommand

from .batch import Batch, read_batch
from .report import Report

T = TypeVar("T")
log = logging.getLogger("argentbus.sidecar")

#: Most entries applied in one transaction.
MOST_ENTRIES: Final = 1000

#: Seconds for which one read of the log waits.
BLOCK: Final = 1.0


class PartitionWriter:
    """Brings one partition of the write log into the database.

    Args:
        lease: Seconds that the lease on the partition lasts: after a crash, another sidecar takes
            the partition over within it.
    """

    def __init__(
        self,
        partition: int,
        agent: Agent,
        storage: StorageAdapter,
        report: Report,
        *,
        lease: float,
    ) -> None:
        self._partition = partition
        self._agent = agent
        self._bus = agent.bus
        self._storage = storage
        self._report = report
        self._lease = lease
        self._log = log_of(self._bus, partition)

    async def run(self) -> None:
        """Wait for the lease, and write while it lasts; until cancelled."""
        delays = backoff(0.1, 5.0)
        while True:
            try:
                async with self._bus.lock(f"storage:{self._partition}", ttl=self._lease) as lease:
                    self._report.partitions.add(self._partition)
                    await self._write(lease.fence)
            except (LockLost, FenceRefused) as error:
                log.warning("partition %d given up: %s", self._partition, error)
                delays = backoff(0.1, 5.0)
            except BusError as error:
                log.warning("partition %d waits: %s", self._partition, error)
            finally:
                self._report.partitions.discard(self._partition)
            await anyio.sleep(next(delays))

    async def _write(self, fence: int) -> None:
        position = await self._stored()
        if position is not None and position.epoch == await self._log.epoch():
            # A crash may have come between the commit and the trim.
            await self._log.trim(through=position.entry_id)
            await self._announce(position)
        while True:
            epoch = await self._log.epoch()
            after = position.entry_id if position and position.epoch == epoch else "0-0"
            entries = await self._log.read(after=after, limit=MOST_ENTRIES, block=BLOCK)
            if not entries or epoch != await self._log.epoch():
                continue  # nothing there, or another stream than the one the position is of
            position = Position(self._partition, epoch, entries[-1].id, fence)
            await self._commit(entries, position)
            await self._announce(position)
            await self._log.trim(through=position.entry_id)
            self._report.lag[self._partition] = await self._log.length()

    async def _stored(self) -> Position | None:
        return (await self._untiring(self._storage.positions)).get(self._partition)

    async def _commit(self, entries: list[LogEntry], position: Position) -> None:
        batch = read_batch(entries)
        for entry, reason in batch.rejected:
            await self._reject(entry, reason)
        while True:
            try:
                await self._untiring(lambda: self._apply(batch, position))  # noqa: B023
            except CommandRefused as error:
                # Set aside before the position moves on: a crash in between rejects it again,
                # which has no effect, but never loses it.
                await self._reject(batch.entries[error.index], str(error))
                batch = batch.without(error.index)
            else:
                break
        self._report.committed += len(batch.commands)
        self._report.changed.set()
        await self._tell(batch)

    async def _apply(self, batch: Batch, position: Position) -> object:
        return await self._storage.apply(
            batch.commands, position=position, entry_ids=[entry.id for entry in batch.entries]
        )

    async def _untiring(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Await `operation()` until the database is there: the log in Redis keeps everything."""
        delays = backoff(0.1, 5.0)
        while True:
            try:
                result = await operation()
            except DatabaseUnavailable as error:
                if self._report.error != str(error):
                    log.error("partition %d stalls: %s", self._partition, error)
                self._report.fail(str(error))
                await anyio.sleep(next(delays))
            else:
                self._report.fail(None)
                return result

    async def _reject(self, entry: LogEntry, reason: str) -> None:
        log.warning("entry %s of partition %d set aside: %s", entry.id, self._partition, reason)
        await self._log.reject(entry, reason=reason)

    async def _announce(self, position: Position) -> None:
        committed = Committed(self._partition, position.epoch, position.entry_id)
        await self._bus.put_value(
            committed_name(self._partition), msgspec.msgpack.encode(committed)
        )
        await self._bus.topic(COMMITTED, Committed).publish(committed)

    async def _tell(self, batch: Batch) -> None:
        items = Counter(c.agent_id for c in batch.commands if isinstance(c, MemoryCommand))
        tasks = Counter(c.agent_id for c in batch.commands if not isinstance(c, MemoryCommand))
        dashboard = self._agent.topic(DASHBOARD, DashboardEvent)
        for kind, noun, counts in (
            ("memory_stored", "memory change", items),
            ("task_update", "task change", tasks),
        ):
            for agent, count in counts.items():
                detail = f"{count} {noun}{'s' if count > 1 else ''} in the database"
                await dashboard.publish(DashboardEvent(kind, agent, detail, time.time()))
