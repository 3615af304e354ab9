"""Which memory items are wanted: what may be asked of lists and searches alike."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict

from storage import queries
from storage.database import Database
from storage.errors import InvalidValue
from storage.model import values
from storage.model.items import MEMORY_TYPES, SIGNIFICANCES, VISIBILITIES
from storage.where import Where, all_of, any_of

#: Several words may be asked for, any of which will do.
Words = str | Sequence[str]


class Filters(TypedDict, total=False):
    """Which items are wanted; of what is not given, any. All that is given has to hold.

    Attributes:
        agent_id: Whose.
        memory_type: One, or several of which any will do; so with significance and visibility.
        category_id: Filed under that category of the agent's.
        category: The same by its name.
        entity_id: Mentions that entity.
        entity: Mentions an entity of that name.
        happened_since: `happened_at` is that time or later.
        happened_before: It is earlier.
        created_since: `created_at` is that time or later.
        created_before: It is earlier.
        min_reinforcement: Stored so often at least.
        extra: Keys of `extra` and their values: text, numbers, booleans or None.
        shared: Only what others share with the agent.
    """

    agent_id: str | None
    memory_type: Words | None
    significance: Words | None
    visibility: Words | None
    resource_id: str | None
    category_id: str | None
    category: str | None
    entity_id: str | None
    entity: str | None
    happened_since: datetime | None
    happened_before: datetime | None
    created_since: datetime | None
    created_before: datetime | None
    min_reinforcement: int | None
    extra: Mapping[str, str | float | bool | None] | None
    shared: bool


def _words(allowed: Sequence[str]) -> Callable[[str, Any], list[str]]:
    def check(field: str, value: Any) -> list[str]:
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list | tuple | set | frozenset):
            raise InvalidValue(field, f"is a {type(value).__name__}, and must be text or a list")
        return [values.one_of(field, word, allowed) for word in words]

    return check


def _count(field: str, value: Any) -> int:
    return values.whole(field, value, 0, 2**53)


def _pairs(field: str, value: Any) -> dict[str, Any]:
    pairs = values.json_object(field, dict(value) if isinstance(value, Mapping) else value)
    for key, one in pairs.items():
        if not isinstance(one, str | int | float | None):
            raise InvalidValue(
                f"{field}[{ascii(key)[:60]}]",
                f"is a {type(one).__name__}, and only text, numbers, true, false and null are "
                "looked for",
            )
    return pairs


def _flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(field, f"is a {type(value).__name__}, and must be true or false")
    return value


_CHECKS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "agent_id": values.text,
    "memory_type": _words(MEMORY_TYPES),
    "significance": _words(SIGNIFICANCES),
    "visibility": _words(VISIBILITIES),
    "resource_id": values.text,
    "category_id": values.text,
    "category": values.text,
    "entity_id": values.text,
    "entity": values.text,
    "happened_since": values.known_moment,
    "happened_before": values.known_moment,
    "created_since": values.known_moment,
    "created_before": values.known_moment,
    "min_reinforcement": _count,
    "extra": _pairs,
    "shared": _flag,
}


def checked(filters: Mapping[str, Any]) -> dict[str, Any]:
    """The filters that are given, their values checked.

    Raises:
        InvalidValue: there is no such filter, or a value that no row can have.
    """
    found = {}
    for field, value in filters.items():
        if field not in _CHECKS:
            raise InvalidValue(
                ascii(field)[1:-1][:60], f"is no filter; these are: {', '.join(_CHECKS)}"
            )
        if value is not None and value != "":
            found[field] = _CHECKS[field](field, value)
    return found


class ItemFilter:
    """Filters as conditions of a database."""

    def __init__(self, database: Database) -> None:
        self._spelling = database.spelling
        self._sql = queries.load("storage.memory", "filters.sql")
        self._sql |= queries.load(database.package, "filters.sql")

    def where(self, filters: Mapping[str, Any]) -> Where:
        """The condition that `filters` are.

        Raises:
            InvalidValue: there is no such filter, or a value that no row can have.
        """
        wanted = checked(filters).items()
        return all_of(
            self._condition(field, value) for field, value in wanted if value or value == []
        )

    def _condition(self, field: str, value: Any) -> Where:
        sql = self._sql[field]
        match value:
            case True:
                return Where(sql)
            case list():
                return any_of(Where(sql, (word,)) for word in value)
            case dict():
                pairs = ((key, self._spelling.json_in(one)) for key, one in value.items())
                return all_of(Where(sql, pair) for pair in pairs)
            case datetime():
                return Where(sql, (self._spelling.time_in(value),))
        return Where(sql, (value,))
