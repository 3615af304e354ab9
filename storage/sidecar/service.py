"""Running a sidecar: any number of them share the partitions of a namespace."""

import signal

import anyio

from bus import Bus
from bus.messages.envelope import new_id
from bus.telemetry.journal import Journal
from storage.config import StorageConfig
from storage.factory import open_storage
from storage.log import partition_count, state_dimension

from .answers import answer_reads
from .partition import PartitionWriter
from .report import Report

log = Journal("argentbus.sidecar")


async def run_sidecar(config: StorageConfig, *, ready: anyio.Event | None = None) -> None:
    """Write and answer until SIGTERM or SIGINT, or until cancelled.

    What is being applied when the signal comes is finished; the rest waits in Redis.

    Args:
        ready: Set when it is up.

    Raises:
        BusUnavailable: Redis cannot be reached at the start.
        DatabaseUnavailable: the database cannot be opened at the start.
        SchemaMismatch: its schema, or the dimension of its vectors, is not that of this process; at
            the start, or because it was changed meanwhile. What waits in Redis waits for the next.
    """
    async with (
        open_storage(config) as storage,
        Bus.connect(
            config.redis_url,
            namespace=config.namespace,
            ttl=config.lease,
            signing=config.signing(),
        ) as bus,
        bus.join(f"sidecar-{new_id()[-8:]}", role="sidecar", inbox=False) as agent,
    ):
        partitions = await partition_count(bus, config.partitions)
        await state_dimension(bus, config.dimensions)
        report = Report(config.backend)
        log.info(
            "the sidecar is up", agent=agent.id, partitions=partitions, database=config.database
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, tasks.cancel_scope)
            for partition in range(partitions):
                writer = PartitionWriter(partition, agent, storage, report, lease=config.lease)
                tasks.start_soon(writer.run)
            tasks.start_soon(answer_reads, agent, storage)
            tasks.start_soon(report.run, agent, storage)
            if ready is not None:
                ready.set()


async def _stop_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("the sidecar was told to stop", signal=signal.Signals(number).name)
            scope.cancel()
            return
