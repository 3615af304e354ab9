"""Filters as conditions of a statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from storage.model.filters import TaskFilter
from storage.rows import Spelling

#: The most urgent first, then by due date, then by age: as the index of what is pending has it.
QUEUE: Final = (
    "CASE priority WHEN 'urgent' THEN 0 WHEN 'high' THEN 1 WHEN 'normal' THEN 2 WHEN 'low' THEN 3 "
    "ELSE 4 END, CASE WHEN due_at IS NULL THEN 1 ELSE 0 END, due_at, created_at, id"
)

_COLUMNS: Final = {"project": "parent_task_id", "team": "team_id"}


def conditions(
    filters: TaskFilter, own: Mapping[str, str], spelling: Spelling, first: int
) -> tuple[str, list[Any]]:
    """What stands behind `WHERE ...`, each condition with its AND, and the values in it.

    Args:
        own: Statements of the database's own.
        first: Number of the first placeholder.
    """
    written = []
    values: list[Any] = []

    def place(value: Any) -> str:
        values.append(value)
        return f"${first + len(values) - 1}"

    for name, value in filters.given().items():
        column = _COLUMNS.get(name, name)
        match value:
            case _ if name == "without":
                written += [f"tasks.{empty} IS NULL" for empty in value]
            case _ if name in {"tags", "depends_on"}:
                had = own["has_all"].replace("this", name)
                written.append(had % place(spelling.json_in(value)))
            case dict():
                written.append(own["has_keys"] % place(spelling.json_in(value)))
            case datetime():
                moment, _, side = column.rpartition("_")
                compared = ">=" if side == "after" else "<"
                written.append(f"tasks.{moment}_at {compared} {place(spelling.time_in(value))}")
            case str():
                written.append(f"tasks.{column} = {place(value)}")
            case _:
                written.append(_any_of(column, [place(one) for one in value]))
    return "".join(f" AND {one}" for one in written), values


def _any_of(column: str, places: Sequence[str]) -> str:
    return f"tasks.{column} IN ({', '.join(places)})" if places else "1 = 0"
