"""A batch: entries of the write log as commands, without those that cannot be applied."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from bus import LogEntry, UndecodableMessage
from storage.commands import Command
from storage.log import read_command

#: Most entries applied in one transaction, and how many bytes they should come to.
MOST_ENTRIES: Final = 1000
MOST_BYTES: Final = 32 << 20

#: Entries in a first read, while nobody knows how large they are.
FIRST_READ: Final = 64


class Batch(NamedTuple):
    """What is to be applied, and what is to be set aside.

    Attributes:
        entries: Of the commands, in the log's order.
        commands: Beside their entries.
        rejected: Entries that are no commands, with the reason.
    """

    entries: list[LogEntry]
    commands: list[Command]
    rejected: list[tuple[LogEntry, str]]

    def without(self, refused: Collection[int]) -> "Batch":
        """The batch less some commands, by place, which are the caller's to set aside."""
        return Batch(
            [entry for n, entry in enumerate(self.entries) if n not in refused],
            [command for n, command in enumerate(self.commands) if n not in refused],
            [],
        )


def read_batch(entries: Sequence[LogEntry]) -> Batch:
    """Decode entries; what is no command is rejected, and holds nobody up."""
    batch = Batch([], [], [])
    for entry in entries:
        if entry.envelope is None:
            batch.rejected.append((entry, entry.error or "not an envelope"))
            continue
        try:
            command = read_command(entry.envelope)
        except UndecodableMessage as error:
            batch.rejected.append((entry, str(error)))
        else:
            batch.entries.append(entry)
            batch.commands.append(command)
    return batch


def next_limit(limit: int, entries: Sequence[LogEntry]) -> int:
    """How many entries to read next: about `MOST_BYTES`, judged by the last read's `entries`."""
    average = max(1, sum(len(entry.raw) for entry in entries) // max(1, len(entries)))
    return max(1, min(MOST_ENTRIES, MOST_BYTES // average, limit * 4))
