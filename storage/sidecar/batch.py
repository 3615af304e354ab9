"""A batch: entries of the write log as commands, without those that cannot be applied."""

from collections.abc import Sequence
from typing import NamedTuple

from bus import LogEntry, UndecodableMessage
from storage.commands import Command
from storage.log import read_command


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

    def without(self, index: int) -> "Batch":
        """The batch less one command, which is the caller's to set aside."""
        return Batch(
            self.entries[:index] + self.entries[index + 1 :],
            self.commands[:index] + self.commands[index + 1 :],
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
