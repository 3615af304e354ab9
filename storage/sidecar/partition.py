"""One partition: leased, read from the stored position, applied, trimmed."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
import msgspec

from bus import (
    DASHBOARD,
    Agent,
    BusError,
    DashboardEvent,
    LockLost,
    LogEntry,
    ServerRefused,
    Topic,
)
from bus.messages.seen import without_repetitions
from bus.servers.link import backoff
from bus.telemetry.journal import Journal
from storage.adapter import StorageAdapter
from storage.apply import Position
from storage.errors import CommandRefused, DatabaseUnavailable, FenceRefused
from storage.log import COMMITTED, Committed, committed_name, log_of
from storage.model import claims, tasks

from .batch import FIRST_READ, Batch, next_limit, read_batch
from .figures import Figures
from .report import Report

T = TypeVar("T")
log = Journal("argentbus.sidecar")

#: Commands that change tasks.
TASKS: Final = frozenset((*tasks.COMMANDS, *claims.COMMANDS))

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
        self._figures = Figures(self._bus.telemetry, self._log.name, partition)
        # Kept from one lease to the next: where those are short, batches still grow.
        self._limit = FIRST_READ

    async def run(self) -> None:
        """Wait for the lease, and write while it lasts; until cancelled."""
        delays = backoff(0.1, 5.0)
        while True:
            try:
                name, stored = f"storage:{self._partition}", await self._stored()
                # Redis may have lost its counter, and be on a machine whose clock is behind.
                above = stored.fence if stored else 0
                async with self._bus.lock(name, ttl=self._lease, above=above) as lease:
                    delays = backoff(0.1, 5.0)
                    self._report.partitions.add(self._partition)
                    await self._write(lease.fence)
            except (LockLost, FenceRefused) as error:
                log.warning("a partition was given up", partition=self._partition, error=error)
            except BusError as error:
                log.warning("a partition waits", partition=self._partition, error=error)
            finally:
                self._report.partitions.discard(self._partition)
            await anyio.sleep(next(delays))

    async def _write(self, fence: int) -> None:
        position = await self._stored()
        trimmed: Position | None = None
        if position is not None:
            if await self._log.lost_tail(after=position.entry_id, epoch=position.epoch):
                await self._report_loss(position.entry_id)
            else:
                # A crash may have come between the commit and the trim.
                trimmed = await self._settle(position)
        epoch = await self._log.epoch()
        while True:
            # Few round trips, one after the other: where connections break all the time, each may
            # have to be made several times.
            after = position.entry_id if position and position.epoch == epoch else "0-0"
            entries = await self._log.read(after=after, limit=self._limit, block=BLOCK)
            epoch_before, epoch = epoch, await self._log.epoch()
            if not entries:
                await self._remind(position)
                if after != "0-0" and await self._log.lost_tail(after=after, epoch=epoch_before):
                    await self._report_loss(after)
            elif epoch == epoch_before:  # else: some may be of another stream
                self._limit = next_limit(self._limit, entries)
                position = Position(self._partition, epoch, entries[-1].id, fence)
                entries = await without_repetitions(self._bus, self._log, entries)
                with self._figures.applying(entries):
                    batch = await self._commit(entries, position)
                    if trimmed is not None and trimmed.epoch != epoch:
                        trimmed = None
                    trimmed = await self._settle(position, trimmed)
                    await self._tell(batch)

    async def _settle(self, position: Position, trimmed: Position | None = None) -> Position | None:
        """Trim the log, and say up to where it is committed.

        Args:
            trimmed: Up to where this writer has trimmed it before.

        Returns:
            Up to where it is trimmed; None where it is not, because the server lost its tail.
        """
        # First the trim: a Redis at its maxmemory refuses the value until there is room.
        dropped = await self._log.trim(
            through=position.entry_id,
            epoch=position.epoch,
            before="" if trimmed is None else trimmed.entry_id,
        )
        if dropped < 0:
            await self._report_loss(position.entry_id)
            return None
        committed = _committed(position)
        await self._bus.put_value(
            committed_name(self._partition), msgspec.msgpack.encode(committed)
        )
        await self._publish(self._bus.topic(COMMITTED, Committed), committed)
        lag = self._report.lag[self._partition] = await self._log.length()
        self._figures.waiting(lag)
        return position

    async def _report_loss(self, entry_id: str) -> None:
        words = (
            f"Redis lost the end of the write log {self._partition} (it had been read up to "
            f"{entry_id}): what it still has is read again, what was lost and not committed has to "
            "be written again by its agents, whom flush() tells"
        )
        log.error("the end of a write log is lost", partition=self._partition, error=words)
        event = DashboardEvent("alert", self._agent.id, words, time.time())
        await self._publish(self._agent.topic(DASHBOARD, DashboardEvent), event)

    async def _remind(self, position: Position | None) -> None:
        """Say it again where it no longer stands there: a flush, or a writer that was slow to
        learn that it was deposed, and said something older.
        """
        if position is None:
            return
        name, value = committed_name(self._partition), msgspec.msgpack.encode(_committed(position))
        try:
            stands = await self._bus.get_value(name) == value
        except ServerRefused:  # something of another type
            stands = False
        if not stands:
            await self._bus.put_value(name, value)

    async def _stored(self) -> Position | None:
        return (await self._untiring(self._storage.positions)).get(self._partition)

    async def _commit(self, entries: list[LogEntry], position: Position) -> Batch:
        batch = read_batch(entries)
        for entry, reason in batch.rejected:
            await self._reject(entry, reason)
        while True:
            try:
                await self._untiring(lambda: self._apply(batch, position))  # noqa: B023
            except CommandRefused as error:
                # Set aside before the position moves on: a crash in between rejects them again,
                # which has no effect, but never loses them.
                for index, reason in error.refused.items():
                    await self._reject(batch.entries[index], reason)
                batch = batch.without(error.refused)
            else:
                break
        self._report.committed += len(batch.commands)
        self._report.changed.set()
        return batch

    async def _apply(self, batch: Batch, position: Position) -> None:
        began = time.perf_counter()
        result = await self._storage.apply(
            batch.commands, position=position, entry_ids=[entry.id for entry in batch.entries]
        )
        self._figures.committed(result.applied, time.perf_counter() - began)

    async def _untiring(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Await `operation()` until the database is there: the log in Redis keeps everything."""
        delays = backoff(0.1, 5.0)
        while True:
            try:
                result = await operation()
            except DatabaseUnavailable as error:
                if self._report.error != str(error):
                    log.error(
                        "a partition stalls: its database is away",
                        partition=self._partition,
                        error=error,
                    )
                self._report.fail(str(error))
                await anyio.sleep(next(delays))
            else:
                self._report.fail(None)
                return result

    async def _reject(self, entry: LogEntry, reason: str) -> None:
        log.warning(
            "an entry of the write log was set aside",
            partition=self._partition,
            entry=entry.id,
            reason=reason,
        )
        await self._log.reject(entry, reason=reason)
        self._figures.rejected()

    async def _publish(self, topic: Topic[T], body: T) -> None:
        """Publish a notice: who misses it looks for itself."""
        try:
            await topic.publish(body)
        except BusError as error:
            log.debug("a notice was not published", topic=topic.name, error=error)

    async def _tell(self, batch: Batch) -> None:
        items = Counter(c.agent_id for c in batch.commands if c.area == "memory")
        tasks = Counter(c.agent_id for c in batch.commands if type(c) in TASKS)
        dashboard = self._agent.topic(DASHBOARD, DashboardEvent)
        for kind, noun, counts in (
            ("memory_stored", "memory change", items),
            ("task_update", "task change", tasks),
        ):
            async with anyio.create_task_group() as notices:
                for agent, count in counts.items():
                    detail = f"{count} {noun}{'s' if count > 1 else ''} in the database"
                    event = DashboardEvent(kind, agent, detail, time.time())
                    notices.start_soon(self._publish, dashboard, event)


def _committed(position: Position) -> Committed:
    return Committed(position.partition, position.epoch, position.entry_id)
