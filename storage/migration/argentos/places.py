"""Where each table and column of an ArgentOS file goes."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from storage.model import values
from storage.model.candidates import Candidate, checked_candidate
from storage.model.categories import Category, ItemCategory, checked_category
from storage.model.command import check_target
from storage.model.entities import Entity, ItemEntity, checked_entity
from storage.model.feedback import Feedback, check_feedback
from storage.model.items import MemoryItem, checked_item
from storage.model.lessons import Lesson, checked_lesson
from storage.model.reflections import Reflection, check_reflection
from storage.model.resources import Resource, checked_resource
from storage.model.tasks import Task, checked_task
from storage.model.teams import Team, TeamMember, checked_member, checked_team

Check = Callable[[Any, int], Any]


class Place(NamedTuple):
    """A column of ours."""

    table: str
    column: str


class Internal(NamedTuple):
    """Why a column of theirs has no place here."""

    reason: str


class Kind(NamedTuple):
    """What the rows of one of their tables are here. Their columns have the names of ours.

    Attributes:
        table: Ours.
        row: Its rows.
        check: Returns a row with every value checked, given the dimension of vectors.
    """

    table: str
    row: type[msgspec.Struct]
    check: Check


def _seen(check: Callable[[Any], Any]) -> Check:
    """A check that returns nothing, or knows no vectors."""

    def checked(row: Any, _dimensions: int) -> Any:
        return check(row) or row

    return checked


def _check_filed(link: ItemCategory) -> None:
    check_target("item_id", link.item_id)
    check_target("category_id", link.category_id)


def _check_mention(link: ItemEntity) -> None:
    check_target("item_id", link.item_id)
    check_target("entity_id", link.entity_id)
    values.text("role", link.role, least=1, most=256)


#: Their tables that are tables here, parents first.
KINDS: Final[Mapping[str, Kind]] = {
    "resources": Kind("resources", Resource, checked_resource),
    "memory_items": Kind("memory_items", MemoryItem, checked_item),
    "memory_categories": Kind("categories", Category, checked_category),
    "category_items": Kind("item_categories", ItemCategory, _seen(_check_filed)),
    "entities": Kind("entities", Entity, checked_entity),
    "item_entities": Kind("item_entities", ItemEntity, _seen(_check_mention)),
    "reflections": Kind("reflections", Reflection, _seen(check_reflection)),
    "lessons": Kind("lessons", Lesson, checked_lesson),
    "live_memory_candidates": Kind("live_candidates", Candidate, _seen(checked_candidate)),
    "model_feedback": Kind("model_feedback", Feedback, _seen(check_feedback)),
    "teams": Kind("teams", Team, checked_team),
    "team_members": Kind("team_members", TeamMember, checked_member),
    "tasks": Kind("tasks", Task, checked_task),
}

#: Why the columns of `memu_meta` have no place.
_META: Final = "says which version of their schema the file has (`SourceFile.version`)"


def place_of(table: str, column: str, internal: Mapping[str, str]) -> Place | Internal:
    """Where a column of theirs goes.

    Args:
        internal: Tables that the file keeps for itself, with the reason (`SourceFile.internal`).
    """
    if table in internal:
        return Internal(internal[table])
    if table == "memu_meta":
        return Internal(_META)
    kind = KINDS.get(table)
    if kind is not None and column in kind.row.__struct_fields__:
        return Place(kind.table, column)
    return Place("imported_rows", "content")
