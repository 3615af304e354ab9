"""Which tasks to list or to claim: any column, by name."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Self, TypedDict

import msgspec

from storage.errors import InvalidValue

from . import values
from .tasks import PRIORITIES, SOURCES, STATUSES

Words = str | list[str] | None


class TaskFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tasks must have; what is None does not matter.

    Attributes:
        status: One, or any of several; so are all others that are text.
        project: Their `parent_task_id`.
        team: Their `team_id`.
        tags: All of these.
        depends_on: All of these.
        metadata: All of these keys, with these values: texts, numbers, true, false or null.
        due_after: Due then or later; so are all others that end in `after`.
        due_before: Due earlier; so are all others that end in `before`.
        without: Columns that are empty.
    """

    id: Words = None
    agent_id: Words = None
    title: Words = None
    description: Words = None
    status: Words = None
    priority: Words = None
    source: Words = None
    assignee: Words = None
    session_id: Words = None
    channel_id: Words = None
    claim_id: Words = None
    project: Words = None
    team: Words = None
    tags: list[str] | None = None
    depends_on: list[str] | None = None
    metadata: dict[str, str | int | float | bool | None] | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    completed_after: datetime | None = None
    completed_before: datetime | None = None
    due_after: datetime | None = None
    due_before: datetime | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    claim_expires_after: datetime | None = None
    claim_expires_before: datetime | None = None
    without: list[str] | None = None

    @classmethod
    def of(cls, filters: Mapping[str, Any]) -> Self:
        """The filter with these fields.

        Raises:
            InvalidValue: one that there is not, or a value that its column cannot have.
        """
        plain = {name: _plain(value) for name, value in filters.items() if value is not None}
        try:
            made = msgspec.convert(plain, cls, builtin_types=(datetime,))
        except msgspec.ValidationError as error:
            unknown = next((name for name in plain if name not in cls.__struct_fields__), None)
            if unknown is not None:
                known = ", ".join(cls.__struct_fields__)
                raise InvalidValue(ascii(unknown)[1:-1][:60], f"is no filter: {known}") from None
            field = str(error).partition("`$.")[2].rstrip("`") or "filters"
            raise InvalidValue(field, f"is of the wrong type: {error}") from None
        made._check()
        return made

    def given(self) -> dict[str, Any]:
        """The fields that matter."""
        values_of = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in values_of if value is not None}

    def _check(self) -> None:
        for name, value in self.given().items():
            if name.endswith(("_after", "_before")):
                values.moment(name, value)
            elif name == "metadata":
                values.json_object(name, value)
            else:
                for one in [value] if isinstance(value, str) else value:
                    values.text(name, one)
                    if name in _ENUMS:
                        values.one_of(name, one, _ENUMS[name])
        for column in self.without or ():
            values.one_of("without", column, NULLABLE)


class Filters(TypedDict, total=False):
    """The fields of `TaskFilter` as keyword arguments, for what nobody has claimed."""

    id: str | Sequence[str] | None
    agent_id: str | Sequence[str] | None
    title: str | Sequence[str] | None
    description: str | Sequence[str] | None
    status: str | Sequence[str] | None
    priority: str | Sequence[str] | None
    source: str | Sequence[str] | None
    assignee: str | Sequence[str] | None
    session_id: str | Sequence[str] | None
    channel_id: str | Sequence[str] | None
    project: str | Sequence[str] | None
    team: str | Sequence[str] | None
    tags: Sequence[str] | None
    depends_on: Sequence[str] | None
    metadata: Mapping[str, str | int | float | bool | None] | None
    started_after: datetime | None
    started_before: datetime | None
    completed_after: datetime | None
    completed_before: datetime | None
    due_after: datetime | None
    due_before: datetime | None
    created_after: datetime | None
    created_before: datetime | None
    updated_after: datetime | None
    updated_before: datetime | None
    claim_expires_after: datetime | None
    claim_expires_before: datetime | None
    without: Sequence[str] | None


class AllFilters(Filters, total=False):
    """All of them."""

    claim_id: str | Sequence[str] | None


#: Columns that may be empty.
NULLABLE: Final = (
    "agent_id",
    "description",
    "assignee",
    "started_at",
    "completed_at",
    "due_at",
    "session_id",
    "channel_id",
    "parent_task_id",
    "team_id",
    "claim_id",
    "claim_expires_at",
)

_ENUMS: Final = {"status": STATUSES, "priority": PRIORITIES, "source": SOURCES}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | set | frozenset):
        return sorted(value)
    return dict(value) if isinstance(value, Mapping) else value
