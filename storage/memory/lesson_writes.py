"""How commands on lessons are applied."""

from collections.abc import Mapping, Sequence
from typing import Any

from storage.database import Database, Row, Transaction
from storage.domain import Way, Writes, each
from storage.errors import NotFound
from storage.model.command import Command
from storage.model.lessons import (
    CHANGES,
    CreateLesson,
    DecayLesson,
    DecayLessons,
    DeleteLesson,
    Lesson,
    MergeLessons,
    ReinforceLesson,
    UpdateLesson,
)
from storage.rows import Rows

from .lessons import SQL

#: Columns that two lessons have together when they are merged.
_UNITED = ("tags", "related_tools", "source_episode_ids")


class LessonWrites(Writes):
    """Applies commands on lessons; many new ones at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(Lesson, database.spelling, "lessons")

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            CreateLesson: Way(self._create),
            UpdateLesson: each(self._update),
            ReinforceLesson: each(self._reinforce),
            DecayLesson: each(self._decay),
            DecayLessons: each(self._decay_old),
            MergeLessons: each(self._merge),
            DeleteLesson: each(self._delete),
        }

    async def _create(self, transaction: Transaction, commands: Sequence[CreateLesson]) -> None:
        rows = [self._rows.to_row(command.lesson) for command in commands]
        await self._insert_new(transaction, SQL["create_lesson"], rows, keys=((0,),), name="lesson")

    async def _update(self, transaction: Transaction, command: UpdateLesson) -> None:
        changes = CHANGES.converted(command.changes) | {"updated_at": command.at}
        target = (command.lesson_id, command.agent_id)
        if not await self._change(transaction, self._rows, SQL["update_lesson"], changes, *target):
            raise _missing(*target)

    async def _reinforce(self, transaction: Transaction, command: ReinforceLesson) -> None:
        target = (command.lesson_id, command.agent_id)
        at = self._spelling.time_in(command.at)
        if not await transaction.fetch(SQL["reinforce_lesson"], *target, at):
            raise _missing(*target)

    async def _decay(self, transaction: Transaction, command: DecayLesson) -> None:
        target = (command.lesson_id, command.agent_id)
        at = self._spelling.time_in(command.at)
        if not await transaction.fetch(SQL["decay_lesson"], *target, float(command.amount), at):
            raise _missing(*target)

    async def _decay_old(self, transaction: Transaction, command: DecayLessons) -> None:
        before, at = self._spelling.time_in(command.before), self._spelling.time_in(command.at)
        await transaction.fetch(
            SQL["decay_lessons"], command.agent_id, before, float(command.amount), at
        )

    async def _merge(self, transaction: Transaction, command: MergeLessons) -> None:
        keeper = (command.keeper_id, command.agent_id)
        other = (command.other_id, command.agent_id)
        # Both rows are changed before they are looked at: nobody else changes them any more.
        given = await transaction.fetch(SQL["give_up_lesson"], *other)
        if not given:
            raise _missing(*other)
        occurrences, last_seen, *theirs = given[0]
        at = self._spelling.time_in(command.at)
        kept = await transaction.fetch(SQL["take_over_lesson"], *keeper, occurrences, last_seen, at)
        if not kept:
            raise _missing(*keeper)
        united = self._united(kept[0], theirs)
        await self._change(transaction, self._rows, SQL["update_lesson"], united, *keeper)

    def _united(self, ours: Row, theirs: Sequence[Any]) -> dict[str, list[str]]:
        out = self._spelling.json_out
        return {
            column: list(dict.fromkeys([*out(one), *out(other)]))
            for column, one, other in zip(_UNITED, ours, theirs, strict=True)
        }

    async def _delete(self, transaction: Transaction, command: DeleteLesson) -> None:
        await transaction.fetch(SQL["delete_lesson"], command.lesson_id, command.agent_id)


def _missing(lesson_id: str, agent: str) -> NotFound:
    return NotFound(f"agent {agent} has no lesson {lesson_id}")
