"""What a sidecar tells OpenTelemetry of its work, beside what the bus tells of its messages."""

from typing import Final

from bus import LogEntry
from bus.telemetry import Destination, Operation, Telemetry

#: Upper bounds of how many commands a batch has.
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Figures:
    """The figures of one partition.

    Args:
        log: Name of its log.
    """

    def __init__(self, telemetry: Telemetry, log: str, partition: int) -> None:
        self._telemetry = telemetry
        self._source = Destination(log)
        self._of = {"messaging.destination.partition.id": str(partition)}
        self._commands = telemetry.counter(
            "argentbus.sidecar.commands", "{command}", "Commands that were committed"
        )
        self._rejected = telemetry.counter(
            "argentbus.sidecar.rejected", "{entry}", "Entries of the write log that were set aside"
        )
        self._sizes = telemetry.histogram(
            "argentbus.sidecar.batch.size", "{command}", "Commands of a transaction", _SIZES
        )
        self._commits = telemetry.histogram(
            "argentbus.sidecar.commit.duration", "s", "Time from a batch to its commit"
        )
        self._lag = telemetry.gauge(
            "argentbus.sidecar.log.lag", "{entry}", "Entries of the write log that wait"
        )

    def applying(self, entries: list[LogEntry]) -> Operation:
        """A batch of entries is being brought into the database."""
        traces = (entry.envelope.trace for entry in entries if entry.envelope is not None)
        return self._telemetry.applying(self._source, traces, len(entries))

    def committed(self, commands: int, seconds: float) -> None:
        """A batch is in the database."""
        self._commands.add(commands, self._of)
        self._sizes.record(commands, self._of)
        self._commits.record(seconds, self._of)

    def rejected(self) -> None:
        """An entry was set aside."""
        self._rejected.add(1, self._of)

    def waiting(self, entries: int) -> None:
        """So many entries wait now."""
        self._lag.set(entries, self._of)
