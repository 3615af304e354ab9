"""Which rows of ours stand for a row of an ArgentOS file."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, get_type_hints

import msgspec

from storage.errors import InvalidValue
from storage.model.imports import ImportedRow, checked_row, imported_id
from storage.rows import kind_of

from . import spelling
from .places import KINDS, Kind

_WAYS: Final = {dict: spelling.parsed, datetime: spelling.moment, bool: spelling.truth}


def rows_for(
    table: str,
    row: Mapping[str, Any],
    key: Sequence[str],
    *,
    agent: str,
    source: str,
    at: datetime,
    dimensions: int,
) -> list[msgspec.Struct]:
    """The rows of ours that stand for one of theirs, every value checked.

    Columns that have no place here are kept as JSON in a row of `imported_rows`, which follows.

    Args:
        table: Theirs.
        row: Its columns, as sqlite3 gives them.
        key: The columns of its primary key.
        agent: Whose it is, where the row does not say.
        source: What to call the file in imported rows.
        at: When it is imported.
        dimensions: Of vectors, in our storage.

    Raises:
        InvalidValue: a value that no table may hold; named with its table, column and row.
    """
    parts = [spelling.plain(row[column]) for column in key]
    named = str(parts[0]) if len(parts) == 1 else json.dumps(parts)
    kind = KINDS.get(table)
    placed: list[msgspec.Struct] = []
    left: Mapping[str, Any] = row
    try:
        if kind is not None:
            known = kind.row.__struct_fields__
            placed = [_ours(kind, row, agent, dimensions)]
            left = {column: value for column, value in row.items() if column not in known}
        content = {column: spelling.plain(value) for column, value in left.items()}
        if kind is None or any(value is not None for value in content.values()):
            placed.append(_kept(agent, source, table, named, content, at))
    except InvalidValue as error:
        problem = str(error).partition(": ")[2]
        raise InvalidValue(f"{table}.{error.field}", f"of row {named}: {problem}") from None
    return placed


def agent_of(session_key: str, otherwise: str) -> str:
    """The agent whose session it is: ArgentOS's keys are `agent:NAME:REST`."""
    parts = session_key.split(":")
    return parts[1] if len(parts) > 2 and parts[0] == "agent" and parts[1] else otherwise


def _ours(kind: Kind, row: Mapping[str, Any], agent: str, dimensions: int) -> msgspec.Struct:
    kinds = _kinds(kind.row)
    fields: dict[str, Any] = {}
    for column, value in row.items():
        # NULL, where there is no value: ours may have a default of its own then.
        if column in kinds and value is not None and not (kinds[column] is dict and value == ""):
            way = _WAYS.get(kinds[column])
            fields[column] = value if way is None else way(column, value)
    if "agent_id" in kinds and "agent_id" not in row:
        key = fields.get("session_key") if kind.table == "team_members" else None
        fields["agent_id"] = agent_of(key, agent) if isinstance(key, str) else agent
    for column in _required(kind.row):
        if column not in fields:
            raise InvalidValue(column, "is missing")
    found: msgspec.Struct = kind.check(kind.row(**fields), dimensions)
    return found


def _kept(
    agent: str, source: str, table: str, key: str, content: dict[str, Any], at: datetime
) -> ImportedRow:
    return checked_row(
        ImportedRow(
            id=imported_id(agent, source, table, key),
            agent_id=agent,
            source=source,
            source_table=table,
            source_key=key,
            content=content,
            imported_at=at,
        )
    )


@cache
def _kinds(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """What the values of each column are: `rows.kind_of`."""
    hints = get_type_hints(struct)
    return {name: kind_of(hints[name]) for name in struct.__struct_fields__}


@cache
def _required(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(struct) if field.required)
