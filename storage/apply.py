"""Applying a batch of commands, with its position, in one transaction."""

import random
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

import anyio
import msgspec

from . import queries
from .commands import Command
from .database import Contended, Database, Transaction, Violation
from .domain import Way, Writes
from .errors import CommandRefused, DatabaseUnavailable, FenceRefused, NotFound

_SQL: Final = queries.load("storage", "positions.sql")


class Position(msgspec.Struct, frozen=True):
    """Up to where a partition of the write log is applied.

    Attributes:
        partition: Number of the partition.
        epoch: Of its stream: entry ids of two epochs do not compare.
        entry_id: Of the last entry that is applied, `<ms>-<n>`.
        fence: Of the lease under which it was applied.

    Example:
        from datetime import UTC, datetime
        from storage.model.tasks import DeleteTask

        position = Position(partition=0, epoch="first", entry_id="5-0", fence=7)
        command = DeleteTask(agent_id="scout", task_id="done", at=datetime.now(UTC))
        print((await storage.apply([command], position=position)).applied)  #> 1
        again: ApplyResult = await storage.apply([command], position=position)
        print(again.applied, again.skipped)  #> 0 1
    """

    partition: int
    epoch: str
    entry_id: str
    fence: int


class ApplyResult(msgspec.Struct, frozen=True):
    """What a batch came to.

    Attributes:
        applied: Commands that were applied.
        skipped: Commands at or before the stored position: applied earlier.

    Example: See `Position`.
    """

    applied: int
    skipped: int


def order(entry_id: str) -> tuple[int, int]:
    """An entry id as numbers, which compare as the entries follow each other."""
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number or 0)


class Applier:
    """Applies batches on one database.

    Args:
        writes: Of all parts.
    """

    def __init__(self, database: Database, writes: Sequence[Writes]) -> None:
        self._database = database
        self._ways: Mapping[type[Command], Way] = {
            kind: way for part in writes for kind, way in part.ways().items()
        }

    async def positions(self) -> dict[int, Position]:
        """The stored position of each partition."""
        rows = await self._database.fetch(_SQL["get"], scope="")
        return {row[0]: Position(*row) for row in rows}

    async def apply(
        self,
        commands: Sequence[Command],
        position: Position | None,
        entry_ids: Sequence[str] | None,
    ) -> ApplyResult:
        """See `StorageAdapter.apply`."""
        for delay in (0.01, 0.05, 0.2, 1.0):
            try:
                return await self._attempt(commands, position, entry_ids)
            except Contended:
                await anyio.sleep(delay * random.random())  # noqa: S311 (no secret)
        try:
            return await self._attempt(commands, position, entry_ids)
        except Contended as error:
            raise DatabaseUnavailable(
                f"other writers are in the way again and again ({error}): try again"
            ) from error

    async def _attempt(
        self,
        commands: Sequence[Command],
        position: Position | None,
        entry_ids: Sequence[str] | None,
    ) -> ApplyResult:
        refused: dict[int, str] = {}
        async with self._database.transaction() as transaction:
            fresh: Sequence[tuple[int, Command]] = list(enumerate(commands))
            if position is not None:
                stored = await self._stored(transaction, position)
                fresh = _behind(stored, position, entry_ids, fresh)
                await self._put(transaction, furthest(stored, position))
            for run in runs(fresh, self._kind):
                # One that is alone has nothing beside it to be kept.
                guard = transaction.savepoint if len(fresh) > 1 else nullcontext
                await self._apply_run(transaction, run, refused, guard)
            if refused:
                raise CommandRefused(*min(refused.items()), refused)
        return ApplyResult(len(fresh), len(commands) - len(fresh))

    async def _stored(self, transaction: Transaction, position: Position) -> Position | None:
        # Of two that write the partition at once, the deposed one must see the other's fence.
        await transaction.hold(f"positions.{position.partition}")
        rows = await transaction.fetch(_SQL["get"])
        stored = next((Position(*row) for row in rows if row[0] == position.partition), None)
        if stored is not None and stored.fence > position.fence:
            raise FenceRefused(
                f"partition {position.partition} is written under fence {stored.fence} by now; "
                f"{position.fence} is an older lease, and must stop"
            )
        return stored

    async def _put(self, transaction: Transaction, position: Position) -> None:
        try:
            await transaction.fetch(
                _SQL["put"], position.partition, position.epoch, position.entry_id, position.fence
            )
        except Violation as error:
            raise DatabaseUnavailable(
                f"the position of partition {position.partition} cannot be stored ({error}): is "
                "the schema of the database as this program made it?"
            ) from error

    async def _apply_run(
        self,
        transaction: Transaction,
        run: list[tuple[int, Command]],
        refused: dict[int, str],
        guard: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        commands: list[Any] = [command for _, command in run]
        try:
            async with guard():
                await self._ways[type(commands[0])].apply(transaction, commands)
        except (Violation, NotFound) as error:
            if len(run) == 1:
                refused[run[0][0]] = _reason(commands[0], error)
                return
            # Which of them was it? In halves, and halves of those.
            middle = len(run) // 2
            for half in (run[:middle], run[middle:]):
                await self._apply_run(transaction, half, refused, guard)

    def _kind(self, command: Command) -> Hashable:
        return type(command), self._ways[type(command)].kind(command)


def furthest(stored: Position | None, position: Position) -> Position:
    """The position to store: within an epoch it never goes back, whatever is applied again."""
    if (
        stored is not None
        and stored.epoch == position.epoch
        and order(stored.entry_id) > order(position.entry_id)
    ):
        return msgspec.structs.replace(position, entry_id=stored.entry_id)
    return position


def _behind(
    stored: Position | None,
    position: Position,
    entry_ids: Sequence[str] | None,
    numbered: Sequence[tuple[int, Command]],
) -> Sequence[tuple[int, Command]]:
    """Those that are not applied yet."""
    ids = [position.entry_id] * len(numbered) if entry_ids is None else entry_ids
    if len(ids) != len(numbered):
        raise ValueError(f"{len(numbered)} commands have {len(ids)} entry ids")
    if stored is None or stored.epoch != position.epoch:
        return numbered
    last = order(stored.entry_id)
    return [row for row in numbered if order(ids[row[0]]) > last]


def runs(
    rows: Sequence[tuple[int, Command]], kind: Callable[[Command], Hashable]
) -> Iterator[list[tuple[int, Command]]]:
    """Split into the longest stretches of one kind, which one call can serve.

    Areas of different tables do not see each other: each keeps its own order, and so its stretches
    are as long as can be.
    """
    areas: dict[str, list[tuple[int, Command]]] = {}
    for row in rows:
        areas.setdefault(row[1].area, []).append(row)
    for area in areas.values():
        run: list[tuple[int, Command]] = []
        for row in area:
            if run and kind(row[1]) != kind(run[-1][1]):
                yield run
                run = []
            run.append(row)
        yield run


def _reason(command: Command, error: Exception) -> str:
    return f"{type(command).__name__} of {command.agent_id} breaks a rule: {error}"
