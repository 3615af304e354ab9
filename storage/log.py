"""The write log: every command on its way to the database, in partitions, by agent.

A partition is one `bus.Log`. All commands of an agent go to the same one, so they keep their
order; the number of partitions belongs to the namespace, and is fixed when it is first used.
"""

import hashlib
from typing import Any, Final

import msgspec

from bus import Bus, BusError, Envelope, Log, ServerRefused, UndecodableMessage
from bus.messages.codec import decode_body

from .commands import TYPES, Command

#: Partitions of a namespace that nobody has used yet.
PARTITIONS: Final = 4

#: Name of the value that says how many partitions a namespace has.
PARTITIONS_VALUE: Final = "storage.partitions"

#: Name of the value that says the dimension of the storage's vectors: the sidecar's.
DIMENSION_VALUE: Final = "storage.dimension"

#: Topic on which the sidecar says up to where it has committed.
COMMITTED: Final = "storage.committed"


class Committed(msgspec.Struct, frozen=True, array_like=True):
    """A partition is in the database up to an entry."""

    partition: int
    epoch: str
    entry_id: str


async def partition_count(bus: Bus, wanted: int = PARTITIONS) -> int:
    """How many partitions the namespace has; `wanted`, where it is new.

    Raises:
        BusError: what stands there is not a number.
    """
    stored = await bus.get_value(PARTITIONS_VALUE)
    if stored is None:  # an agent's user may read it, not write it (`bus.acl`)
        await bus.put_value(PARTITIONS_VALUE, str(wanted).encode(), if_absent=True)
        stored = await bus.get_value(PARTITIONS_VALUE) or b""
    if not stored.isdigit() or len(stored) > 4 or not 1 <= int(stored) <= 1024:
        raise BusError(
            f"the number of partitions in namespace {bus.namespace} is {ascii(stored)[:40]}: "
            f"set {bus.keys.value(PARTITIONS_VALUE)} back to what it was, from 1 to 1024"
        )
    return int(stored)


async def state_dimension(bus: Bus, dimension: int) -> None:
    """Say which dimension the vectors of the storage have, for clients to know."""
    await bus.put_value(DIMENSION_VALUE, str(dimension).encode())


async def stated_dimension(bus: Bus) -> int | None:
    """Which dimension they have; None where no sidecar has said so yet, or it cannot be read."""
    try:
        stated = await bus.get_value(DIMENSION_VALUE) or b""
    except ServerRefused:  # a user of before, or something else stands there
        return None
    return int(stated) if stated.isdigit() and len(stated) < 6 else None


def partition_of(agent: str, partitions: int) -> int:
    """The partition of an agent's commands: the same on every machine and in every release."""
    digest = hashlib.blake2b(agent.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % partitions


def log_of(bus: Bus, partition: int) -> Log:
    """The log of a partition."""
    return bus.log(f"storage:{partition}")


def committed_name(partition: int) -> str:
    """Name of the value that says up to where a partition is committed."""
    return f"{COMMITTED}.{partition}"


def read_command(envelope: Envelope) -> Command:
    """The command in an entry.

    Raises:
        UndecodableMessage: it is not one, or not of the agent that sent it.
    """
    kind: Any = TYPES.get(envelope.type)
    if kind is None:
        raise UndecodableMessage(f"{ascii(envelope.type)[:60]} is not a command")
    command: Command = decode_body(envelope, kind)
    if command.agent_id != envelope.sender:
        raise UndecodableMessage(
            f"{ascii(envelope.sender)[:60]} may not write as {ascii(command.agent_id)[:60]}"
        )
    return command
