"""`StorageClient`: the storage that agents use, over the bus.

A write is durable in Redis when the call returns; the sidecar brings it into the database. A read
is answered by a sidecar, after the reader's own writes are in the database.

The example in `StorageClient` stands in such a program, where the dots are, beside a sidecar
(`argentbus up` has one); what it prints is behind `#>`.

    import anyio
    from bus import Bus
    from storage import StorageConfig
    from storage.client import StorageClient

    async def main():
        config = StorageConfig.load()
        async with Bus.connect(config.redis_url, namespace=config.namespace) as bus:
            async with bus.join("scout") as agent:
                storage = StorageClient(agent)
                ...

    anyio.run(main)
"""

from typing import Any, Final, TypeVar

import anyio
import msgspec

from bus import Agent, Bus, Log, Place, RequestFailed, RequestTimeout, WrongType
from bus.keys import check_name

from . import errors
from .apply import order
from .commands import Command, checked
from .embedding import Embedder, fitting
from .errors import DatabaseUnavailable, StorageError, WritesLost
from .log import (
    COMMITTED,
    Committed,
    committed_name,
    log_of,
    partition_count,
    partition_of,
)
from .model import values
from .parts import RESULTS, Scoped
from .reads import READS, ReadRequest, why_nobody_answers
from .secrets import Keyring
from .stated import StatedDimension

T = TypeVar("T")

#: Seconds after which a read is sent again: the sidecar that had it may be dead.
RESEND: Final = 2.0

#: Seconds between two looks at what is committed, where no notice comes.
LOOK: Final = 0.5


class StorageClient(Scoped):
    """Storage for one agent. Use it while the agent is joined.

    Args:
        agent: Who writes and reads.
        timeout: Seconds that a read may take, with the wait for the agent's own writes.
        dimensions: Of embeddings. None: those that the storage keeps, as its sidecar says.
        embedder: Makes the embeddings that are not given, here: of what is written, and of queries.
        keyring: The master keys, where secrets are to be stored or read: that is done here.

    Attributes:
        memory: What it knows.
        feedback: How models did for it.
        sessions: Its conversations, and what happened in them.
        tasks: Its tasks.
        teams: Its teams.
        agents: The registry of agents.
        knowledge: Collections of documents, and what all agents share.
        secrets: Keys and credentials that it may use.
        imports: What other programs kept of it, and has no table here.
        agent_id: Who writes and reads.
        settles: False: what was written is in the database after `flush`.

    Example:
        await storage.memory.create_item(summary="the test is flaky", memory_type="event")
        await storage.flush()  # in the database by now
        hits = await storage.memory.search("flaky tests")
        print(hits[0].item.summary)  #> the test is flaky
    """

    settles = False

    def __init__(
        self,
        agent: Agent,
        *,
        timeout: float = 15.0,
        dimensions: int | None = None,
        embedder: Embedder | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self._bus: Bus = agent.bus
        self.agent = check_name("agent", agent.id)
        self.embedder = embedder if dimensions is None else fitting(embedder, dimensions)
        self._dimension = StatedDimension(self._bus, dimensions)
        self.keyring = keyring
        self._timeout = timeout
        self._partition: int | None = None
        # Where this client's newest entry stands, up to where it is known to be committed, and
        # whether some before it were lost with their stream.
        self._newest = Place("", "0-0")
        self._committed = "0-0"
        self._lost = False
        self._losses = 0
        super().__init__(self)

    async def dimension(self) -> int:
        """Of vectors: what the storage keeps.

        Raises:
            InvalidValue: this client, or its embedder, was made for another one.
            BusUnavailable: Redis could not be reached.
        """
        return await self._dimension.agreed(self.embedder)

    async def write(self, command: Command) -> None:
        """Append a command to the write log; return once Redis has it.

        Raises:
            InvalidValue: a value that no table may hold.
            BusUnavailable: Redis could not be reached; the command may be in the log.
            BusError: the number of partitions in Redis is garbled.
        """
        command = checked(command, await self._dimension.of_storage(self.embedder))
        log = log_of(self._bus, await self._my_partition())
        if not self._waits:
            self._losses = log.losses  # of what is none of this client's, or committed
        place = await log.place(command, sender=self.agent)
        if not place.entry_id:
            # A retry found its entry in the log already: the newest one is at or behind it.
            place = Place(place.epoch, await log.last_id())
            self._lost = self._lost or await log.epoch() != place.epoch
        self._note(place, log.losses)

    def _note(self, place: Place, losses: int) -> None:
        if losses != self._losses:
            # The log lost its tail: the newest entry may have an older one's id.
            self._losses = losses
            self._lost = self._lost or self._waits
            self._newest, self._committed = place, "0-0"
        elif place.epoch != self._newest.epoch:
            self._lost = self._lost or self._waits
            self._newest, self._committed = place, "0-0"
        elif order(place.entry_id) > order(self._newest.entry_id):
            self._newest = place

    @property
    def _waits(self) -> bool:
        """Whether something is not known to be committed."""
        return order(self._newest.entry_id) > order(self._committed)

    async def flush(self, timeout: float = 30.0) -> None:
        """Return when everything this client wrote is committed in the database.

        Args:
            timeout: Seconds.

        Raises:
            DatabaseUnavailable: it is not within `timeout` seconds: no sidecar runs, it is behind,
                or its database is down. Nothing is lost: the write log in Redis has it.
            WritesLost: Redis lost the log, or the end of it, since the last flush. Said once.
            BusError: the number of partitions in Redis is garbled.
        """
        goal = self._newest
        with anyio.move_on_after(timeout):
            if self._waits:
                await self._until_committed(await self._my_partition(), goal)
            if self._lost:
                self._lost = False
                raise WritesLost(
                    f"Redis lost the write log of {self.agent}, or the end of it (flushed, started "
                    "without its files, failed over to a replica that was behind, or killed before "
                    "it had synced them): what was written before and not committed may be gone; "
                    "write it again, then flush again"
                )
            return
        raise DatabaseUnavailable(
            f"what {self.agent} wrote is not in the database after {timeout:g} s (nothing is "
            "lost, it waits in Redis): is a sidecar running, and its database up "
            "(`argentbus doctor`)?"
        )

    async def _until_committed(self, partition: int, goal: Place) -> None:
        log = log_of(self._bus, partition)
        async with self._bus.topic(COMMITTED, Committed).subscribe() as notices:
            while not await self._is_committed(partition, goal):
                if await log.epoch() != goal.epoch or await self._is_lost(log):
                    self._lost = True
                    break
                with anyio.move_on_after(LOOK):
                    async for notice in notices:
                        if _reaches(notice.body, partition, goal):
                            break
            # What was appended after a loss may have come further than what was lost.
            if not self._lost and await self._is_lost(log):
                self._lost = True
        if self._newest.epoch == goal.epoch and order(self._committed) < order(goal.entry_id):
            self._committed = goal.entry_id

    async def _is_lost(self, log: Log) -> bool:
        """Whether the server no longer has, or had read, what it acknowledged."""
        await log.verify()
        lost, self._losses = log.losses != self._losses, log.losses
        return lost

    async def read(self, part: str, method: str, **args: Any) -> Any:
        """Ask a sidecar, after this client's own writes are committed.

        Raises:
            StorageError: what the storage answered: the same errors as on the database itself.
            DatabaseUnavailable: nobody answered in time.
            WritesLost: as `flush`.
            BusError: as `flush`.
        """
        for name, value in args.items():
            if isinstance(value, str):
                values.text(name, value)
        started = anyio.current_time()
        await self.flush(self._timeout)
        queue = self._bus.queue(READS, ReadRequest)
        request = ReadRequest(part, method, args)
        while True:
            left = self._timeout - (anyio.current_time() - started)
            if left <= 0:
                raise DatabaseUnavailable(
                    f"no sidecar answered {method} within {self._timeout:g} s: "
                    f"{await why_nobody_answers(self._bus)}"
                )
            try:
                # A read changes nothing: it may be asked twice.
                return await self._bus.request(
                    queue,
                    request,
                    RESULTS[part, method],
                    timeout=min(left, RESEND),
                    sender=self.agent,
                )
            except RequestTimeout:
                continue
            except RequestFailed as failure:
                raise _storage_error(failure) from failure

    async def _my_partition(self) -> int:
        if self._partition is None:
            count = await partition_count(self._bus)
            self._partition = partition_of(self.agent, count)
        return self._partition

    async def _is_committed(self, partition: int, goal: Place) -> bool:
        try:
            raw = await self._bus.get_value(committed_name(partition))
            committed = msgspec.msgpack.decode(raw or b"", type=Committed)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
        except WrongType:  # the sidecar puts it right
            return False
        return _reaches(committed, partition, goal)


def _reaches(committed: Committed, partition: int, goal: Place) -> bool:
    try:
        return (
            committed.partition == partition
            and committed.epoch == goal.epoch
            and order(committed.entry_id) >= order(goal.entry_id)
        )
    except ValueError:  # anybody may write there: it is no entry id
        return False


def _storage_error(failure: RequestFailed) -> Exception:
    kind = getattr(errors, failure.error_type, None)
    message = str(failure).partition(": ")[2]
    if kind is errors.InvalidValue:
        field, _, problem = message.partition(": ")
        return errors.InvalidValue(field, problem)
    if isinstance(kind, type) and issubclass(kind, StorageError):
        if kind is errors.CommandRefused:
            return errors.CommandRefused(0, message)
        return kind(message)
    return failure
