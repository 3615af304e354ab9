"""What a sidecar says of itself, for dashboards."""

from typing import Final

import anyio

from bus import Agent, BusError
from bus.telemetry.journal import Journal
from storage.adapter import StorageAdapter
from storage.errors import DatabaseUnavailable
from storage.reads import REQUIRED, SIGNATURES

log = Journal("argentbus.sidecar")

#: Least seconds between two reports.
EVERY: Final = 0.25


class Report:
    """Figures that the sidecar's tasks keep, and one task that publishes them as agent state.

    Attributes:
        partitions: Partitions that this sidecar holds now.
        committed: Commands committed since it started.
        lag: Entries that wait, by partition.
        error: Why the database cannot be written, or None.
        changed: Set when there is something to say.
    """

    def __init__(self, backend: str) -> None:
        self.partitions: set[int] = set()
        self.committed = 0
        self.lag: dict[int, int] = {}
        self.error: str | None = None
        self.changed = anyio.Event()
        self._backend = backend

    def fail(self, error: str | None) -> None:
        """Note why the database cannot be written, or that it can."""
        if error != self.error:
            self.error = error
            self.changed.set()

    async def run(self, agent: Agent, storage: StorageAdapter) -> None:
        """Publish the figures when they change; until cancelled."""
        known: set[int] = set()
        while True:
            with anyio.move_on_after(1.0):
                await self.changed.wait()
            if self.changed.is_set() or known != self.partitions:
                self.changed = anyio.Event()
                known = set(self.partitions)
                try:
                    await self._publish(agent, storage)
                except BusError as error:
                    log.warning("the sidecar's figures were not reported", error=error)
            await anyio.sleep(EVERY)

    async def _publish(self, agent: Agent, storage: StorageAdapter) -> None:
        counts: dict[str, int] = {}
        try:
            counts = await storage.count("memory_items", "tasks")
        except DatabaseUnavailable as error:
            self.error = str(error)
        signing = agent.bus.signing
        signatures = {SIGNATURES: REQUIRED if signing and signing.required else None}
        await agent.set_state(
            status="idle" if self.error is None else "contemplating",
            activity="writing what agents send" if self.error is None else "waits for the database",
            backend=self._backend,
            committed=self.committed,
            lag=sum(self.lag.get(partition, 0) for partition in self.partitions),
            partitions=",".join(str(partition) for partition in sorted(self.partitions)),
            error=self.error,
            **signatures,
            **counts,
        )
