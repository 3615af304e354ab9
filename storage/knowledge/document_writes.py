"""Applying commands on documents within a transaction."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from storage.database import Database, Transaction, Violation
from storage.domain import Way, Writes, each
from storage.model.command import Command
from storage.model.documents import Chunk, DeleteDocument, IngestChunks
from storage.rows import Rows

from .collections import not_there, rights
from .documents import SQL

#: Rows that one statement deletes.
AT_ONCE: Final = 500


class DocumentWrites(Writes):
    """Applies commands on documents."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(Chunk, database.spelling, "knowledge_chunks")
        self._keys = ((self._rows.columns.index("id"),),)

    def ways(self) -> Mapping[type[Command], Way]:
        return {IngestChunks: each(self._ingest), DeleteDocument: each(self._delete)}

    async def _ingest(self, transaction: Transaction, command: IngestChunks) -> None:
        collection_id, source = command.collection_id, command.source
        await self._check_writable(transaction, collection_id, command.agent_id)
        # Two that bring the document at once would each leave what the other has just added.
        await transaction.hold(f"knowledge.{collection_id}.{source}")
        rows = [self._rows.to_row(chunk) for chunk in command.chunks]
        await transaction.execute_many(SQL["ingest"], rows, keys=self._keys)
        if command.keep is not None:
            await self._finish(transaction, command, command.keep)

    async def _finish(
        self, transaction: Transaction, command: IngestChunks, keep: Collection[str]
    ) -> None:
        """Remove what is of an earlier text."""
        found = await transaction.fetch(
            SQL["ids_of_document"], command.collection_id, command.source
        )
        there = [str(row[0]) for row in found]
        if missing := len(set(keep).difference(there)):
            raise Violation(
                f"source: {missing} of {len(keep)} chunks of {ascii(command.source)[1:-1][:100]} "
                "are gone again: another agent changed the document at the same time: bring it "
                "again"
            )
        wanted = frozenset(keep)
        await _delete_chunks(transaction, [one for one in there if one not in wanted])

    async def _delete(self, transaction: Transaction, command: DeleteDocument) -> None:
        await self._check_writable(transaction, command.collection_id, command.agent_id)
        await transaction.fetch(SQL["delete_document"], command.collection_id, command.source)

    async def _check_writable(
        self, transaction: Transaction, collection_id: str, agent: str
    ) -> None:
        found = await rights(transaction, collection_id, agent)
        if found is None or not found.write:
            raise not_there(collection_id, agent, "write in")


async def _delete_chunks(transaction: Transaction, ids: Sequence[str]) -> None:
    for first in range(0, len(ids), AT_ONCE):
        some = ids[first : first + AT_ONCE]
        places = ", ".join(f"${n}" for n, _ in enumerate(some, 1))
        await transaction.fetch(SQL["delete_chunks"] % places, *some)
