"""Imported rows: what another program kept and has no table here, and the commands on it."""

import uuid
from datetime import datetime
from typing import Any, Final, Self

import msgspec

from storage.errors import InvalidValue

from . import values
from .command import Command, check_target

#: Of the ids of imported rows (RFC 9562, version 5).
_NAMESPACE: Final = uuid.UUID("0f6a3f0e-6c1e-5a54-9d0b-6f1d8a3f2c77")


class ImportedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `imported_rows`. Its agent's own.

    Attributes:
        id: Follows from agent, source, table and key (`imported_id`).
        agent_id: For whom it was imported.
        source: From which program and file, such as `argentos memory.db`.
        source_table: Its table there.
        source_key: Its primary key there, as text; of several columns, a JSON list.
        content: Its columns, by their names there.
        imported_at: When it was imported last, with a time zone.

    Example:
        kept: ImportedRow = await mine.imports.keep(
            "argentos memory.db", "personal_skill_candidates", "7", {"title": "bisects builds"}
        )
        again = await mine.imports.keep(
            "argentos memory.db", "personal_skill_candidates", "7", {"title": "bisects"}
        )
        found = await mine.imports.list_rows(source_table="personal_skill_candidates")
        print(again.id == kept.id, [row.content["title"] for row in found])  #> True ['bisects']
    """

    id: str
    agent_id: str
    source: str
    source_table: str
    source_key: str
    content: dict[str, Any]
    imported_at: datetime


class KeepRow(Command, frozen=True, kw_only=True, tag=True):
    """Keep a row as it is; of the same row, what was kept before gives way."""

    area = "imports"

    row: ImportedRow

    @property
    def agent_id(self) -> str:
        return self.row.agent_id

    def checked(self, dimensions: int) -> Self:
        checked_row(self.row)
        return self


class ForgetRow(Command, frozen=True, kw_only=True, tag=True):
    """Delete an imported row of the agent's own."""

    area = "imports"

    agent_id: str
    row_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("row_id", self.row_id)
        return self


COMMANDS: Final = (KeepRow, ForgetRow)


def checked_row(row: ImportedRow, _dimensions: int = 0) -> ImportedRow:
    """Return `row` with every value checked.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("agent_id", row.agent_id, least=1, most=128)
    values.text("source", row.source, least=1, most=256)
    values.text("source_table", row.source_table, least=1, most=256)
    values.text("source_key", row.source_key, least=1, most=1_000)
    values.json_object("content", row.content)
    values.known_moment("imported_at", row.imported_at)
    if row.id != imported_id(row.agent_id, row.source, row.source_table, row.source_key):
        raise InvalidValue("id", "is not the one that follows from the row (`imported_id`)")
    return row


def imported_id(agent_id: str, source: str, source_table: str, source_key: str) -> str:
    """The id of an imported row: imported again, it has the same one."""
    named = f"{agent_id}\0{source}\0{source_table}\0{source_key}"
    return str(uuid.uuid5(_NAMESPACE, named))
