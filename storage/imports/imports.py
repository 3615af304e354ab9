"""Imported rows: what another program kept of an agent and has no table here."""

from collections.abc import Mapping, Sequence
from typing import Any

from storage import queries
from storage.database import Database, Transaction
from storage.domain import Reads, View, Way, Writes, each
from storage.model import values
from storage.model.command import Command
from storage.model.imports import ForgetRow, ImportedRow, KeepRow, imported_id
from storage.rows import Rows

SQL = queries.load("storage.imports", "imports.sql")


class Imports(View):
    """What one agent may do with imported rows, which are its own."""

    async def keep(
        self, source: str, source_table: str, source_key: str, content: dict[str, Any]
    ) -> ImportedRow:
        """Keep a row as it is; of the same row, what was kept before gives way.

        Args:
            source: From which program and file.
            source_table, source_key: Its table there, and its primary key as text.
            content: Its columns, up to 1,000,000 characters as JSON.

        Raises:
            InvalidValue: a value that no table may hold.
        """
        for field, value in (
            ("source", source),
            ("source_table", source_table),
            ("source_key", source_key),
        ):
            values.text(field, value, least=1)
        row = ImportedRow(
            id=imported_id(self.agent, source, source_table, source_key),
            agent_id=self.agent,
            source=source,
            source_table=source_table,
            source_key=source_key,
            content=content,
            imported_at=values.now(),
        )
        await self._port.write(KeepRow(row=row))
        return row

    async def list_rows(
        self, *, source_table: str | None = None, limit: int = 50, offset: int = 0
    ) -> list[ImportedRow]:
        """Imported rows of this agent, by source, table and key.

        Args:
            source_table: Of this one.
            limit, offset: Most rows, up to 10,000, and how many of the first to pass over.

        Raises:
            InvalidValue: a table or a limit that cannot be.
        """
        rows: list[ImportedRow] = await self._port.read(
            "imports", "list_rows", source_table=source_table, limit=limit, offset=offset
        )
        return rows

    async def forget(self, row_id: str) -> None:
        """Delete a row of this agent's own; one that is not there is no error."""
        await self._port.write(ForgetRow(agent_id=self.agent, row_id=row_id))


class ImportReads(Reads):
    """Reads of imported rows."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(ImportedRow, database.spelling, "imported_rows")

    async def list_rows(
        self, agent: str, *, source_table: str | None = None, limit: int = 50, offset: int = 0
    ) -> list[ImportedRow]:
        values.optional_text("source_table", source_table)
        return await self._all(
            agent,
            self._rows,
            SQL["list_rows"],
            source_table or "",
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )


class ImportWrites(Writes):
    """Applies commands on imported rows; many at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(ImportedRow, database.spelling, "imported_rows")

    def ways(self) -> Mapping[type[Command], Way]:
        return {KeepRow: Way(self._keep), ForgetRow: each(self._forget)}

    async def _keep(self, transaction: Transaction, commands: Sequence[KeepRow]) -> None:
        rows = [self._rows.to_row(command.row) for command in commands]
        await transaction.execute_many(SQL["keep_row"], rows, keys=((0,),))

    async def _forget(self, transaction: Transaction, command: ForgetRow) -> None:
        await transaction.fetch(SQL["forget_row"], command.agent_id, command.row_id)
