"""Rows to structs and back. What a column's Python type means is said here once; how a database
spells it (text or timestamptz, TEXT or JSONB) is said by its `Spelling`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar, get_args, get_origin, get_type_hints

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


class Spelling(Protocol):
    """How one database writes the values that differ between databases."""

    def time_in(self, value: datetime) -> Any:
        """A time on its way in."""

    def time_out(self, value: Any) -> datetime:
        """A time on its way out."""

    def json_in(self, value: Any) -> Any:
        """A list or an object on its way in."""

    def json_out(self, value: Any) -> Any:
        """A list or an object on its way out."""

    def any_of(self, words: Sequence[str]) -> str:
        """What full-text search takes for any of these words."""


class Rows(Generic[S]):
    """Converts rows of one table. The struct's fields are the columns, in their order.

    Attributes:
        table: Its name.
        columns: Names of the columns.
        selected: The same as a list for SELECT.
    """

    def __init__(self, struct: type[S], spelling: Spelling, table: str) -> None:
        self._struct = struct
        self.table = table
        hints = get_type_hints(struct)
        self.columns: tuple[str, ...] = struct.__struct_fields__
        self.selected = ", ".join(f"{table}.{column}" for column in self.columns)
        kinds = [kind_of(hints[name]) for name in self.columns]
        ways_in = {datetime: spelling.time_in, dict: spelling.json_in}
        ways_out: dict[Any, Callable[[Any], Any]] = {
            bool: bool,
            datetime: spelling.time_out,
            dict: spelling.json_out,
        }
        self._in = {n: ways_in.get(k) for n, k in zip(self.columns, kinds, strict=True)}
        self._places_in = [(place, way) for place, way in enumerate(self._in.values()) if way]
        self._values = attrgetter(*self.columns)
        self._out = [
            (n, ways_out[k]) for n, k in zip(self.columns, kinds, strict=True) if k in ways_out
        ]

    def to_row(self, value: S) -> list[Any]:
        """The values of all columns."""
        row = list(self._values(value))
        for place, way in self._places_in:
            if row[place] is not None:
                row[place] = way(row[place])
        return row

    def value_in(self, column: str, value: Any) -> Any:
        """One column's value on its way in."""
        way = self._in[column]
        return value if way is None or value is None else way(value)

    def from_row(self, row: Sequence[Any] | Mapping[str, Any]) -> S:
        """The struct of a row that has all columns in their order (more may follow)."""
        if isinstance(row, Mapping):
            fields = {name: row[name] for name in self.columns}
        else:
            fields = dict(zip(self.columns, row, strict=False))
        for name, way in self._out:
            if fields[name] is not None:
                fields[name] = way(fields[name])
        return self._struct(**fields)


def kind_of(hint: Any) -> Any:
    """What a column's type means: `dict` for JSON, `datetime`, `bool`; None for all else."""
    for part in (hint, *get_args(hint)):
        origin = get_origin(part) or part
        if origin in (dict, list):
            return dict
        if origin in (datetime, bool):
            return origin
    return None
