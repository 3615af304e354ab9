"""Writing rows whose name is unique for an agent: categories and entities."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from storage.database import Database, Transaction, Violation
from storage.domain import Writes, taken
from storage.errors import NotFound
from storage.model.command import Changes
from storage.rows import Rows

#: Whether the agent $2 has the item $1.
ITEM: Final = "SELECT id FROM memory_items WHERE id = $1 AND agent_id = $2"


class NamedWrites(Writes):
    """Creates such rows, many at once, changes and deletes them.

    Args:
        struct: Of the table.
        noun: What one of its rows is called, for messages.
        sql: Statements: create, ensure (where the name is new), update and delete.
        changes: What may be changed.
    """

    def __init__(
        self,
        database: Database,
        rows: Rows[Any],
        noun: str,
        sql: Mapping[str, str],
        changes: Changes[Any],
    ) -> None:
        super().__init__(database)
        self._rows = rows
        self._noun = noun
        self._sql = sql
        self._changes = changes
        place = rows.columns.index
        self._keys = ((place("id"),), (place("agent_id"), place("name")))

    async def _insert(self, transaction: Transaction, statement: str, new: Sequence[Any]) -> None:
        rows = [self._rows.to_row(one) for one in new]
        try:
            await transaction.execute_many(self._sql[statement], rows, keys=self._keys)
        except Violation as error:
            # It is told of the first only, once it is alone (see `apply`).
            raise self._taken(error, new[0].id, new[0].name) from error

    async def _update_row(
        self,
        transaction: Transaction,
        row_id: str,
        agent: str,
        changes: Mapping[str, Any],
        at: datetime,
    ) -> None:
        new = self._changes.converted(dict(changes)) | {"updated_at": at}
        try:
            changed = await self._change(
                transaction, self._rows, self._sql["update"], new, row_id, agent
            )
        except Violation as error:
            raise self._taken(error, row_id, str(new.get("name"))) from error
        if not changed:
            raise self._missing(row_id, agent)

    async def _delete_row(self, transaction: Transaction, row_id: str, agent: str) -> None:
        await transaction.fetch(self._sql["delete"], row_id, agent)

    async def _explain_no_link(
        self, transaction: Transaction, item_id: str, row_id: str, agent: str
    ) -> NotFound:
        """Why an item and a row could not be linked: one of them is not there."""
        if not await transaction.fetch(ITEM, item_id, agent):
            return NotFound(f"agent {agent} has no memory item {item_id}")
        return self._missing(row_id, agent)

    def _missing(self, row_id: str, agent: str) -> NotFound:
        return NotFound(f"agent {agent} has no {self._noun} {row_id}")

    def _taken(self, error: Violation, row_id: str, name: str) -> Violation:
        text = str(error)
        if ".name" in text:
            return Violation(
                f"name: there is another {self._noun} {ascii(name)[:60]} of this agent already: "
                f"find it, or use get_or_create_{self._noun}"
            )
        if ".id" in text or ".created_at" in text:
            return taken(self._noun, row_id)
        return error
