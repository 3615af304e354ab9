"""How commands on live candidates are applied."""

from collections.abc import Mapping, Sequence
from typing import Any

from storage.database import Database, Transaction, Violation
from storage.domain import Way, Writes, each, taken
from storage.errors import NotFound
from storage.model.candidates import (
    Candidate,
    CreateCandidate,
    DiscardCandidate,
    ExpireCandidates,
    MergeCandidate,
    PromoteCandidate,
)
from storage.model.command import Command
from storage.model.items import CreateItem, MemoryItem, ReinforceItem
from storage.model.values import content_hash
from storage.rows import Rows

from .candidates import SQL
from .items import ItemWrites

#: Ids looked up by one statement.
_AT_ONCE = 500


class CandidateWrites(Writes):
    """Applies commands on live candidates; many new ones at once."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._rows = Rows(Candidate, database.spelling, "live_candidates")
        self._items = ItemWrites(database).ways()
        place = self._rows.columns.index
        self._keys = ((place("id"),), (place("agent_id"), place("fact_hash")))

    def ways(self) -> Mapping[type[Command], Way]:
        return {
            CreateCandidate: Way(self._create),
            PromoteCandidate: each(self._promote),
            MergeCandidate: each(self._merge),
            DiscardCandidate: each(self._discard),
            ExpireCandidates: each(self._expire),
        }

    async def _create(self, transaction: Transaction, commands: Sequence[CreateCandidate]) -> None:
        # Ids that are taken are looked for beforehand: the statement's own conflict is of pending
        # facts.
        known = await self._known(transaction, [command.candidate.id for command in commands])
        new = []
        for command in commands:
            one = command.candidate
            identity = (one.agent_id, one.created_at, one.fact_hash)
            if one.id not in known:
                known[one.id] = identity
                new.append(self._rows.to_row(one))
            elif known[one.id] != identity:
                raise taken("live candidate", one.id)
        await transaction.execute_many(SQL["create_candidate"], new, keys=self._keys)

    async def _known(self, transaction: Transaction, ids: Sequence[str]) -> dict[str, Any]:
        known = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            places = ", ".join(f"${n}" for n, _ in enumerate(some, 1))
            for row in await transaction.fetch(SQL["known"] % places, *some):
                known[row[0]] = (row[1], self._spelling.time_out(row[2]), row[3])
        return known

    async def _promote(self, transaction: Transaction, command: PromoteCandidate) -> None:
        candidate = await self._settle(transaction, command, "promoted")
        item = MemoryItem(
            id=command.item_id,
            agent_id=command.agent_id,
            memory_type=command.memory_type or candidate.memory_type_hint or "knowledge",
            summary=candidate.fact_text,
            embedding=command.embedding,
            content_hash=content_hash(candidate.fact_text),
            significance=command.significance or candidate.significance_hint or "routine",
            created_at=command.at,
            updated_at=command.at,
        )
        await self._items[CreateItem].apply(transaction, [CreateItem(item=item)])
        [(item_id,)] = await transaction.fetch(
            SQL["item_with_hash"], command.agent_id, item.content_hash
        )
        await transaction.fetch(SQL["note_item"], candidate.id, item_id)

    async def _merge(self, transaction: Transaction, command: MergeCandidate) -> None:
        candidate = await self._settle(transaction, command, "merged")
        again = ReinforceItem(agent_id=command.agent_id, item_id=command.item_id, at=command.at)
        await self._items[ReinforceItem].apply(transaction, [again])
        await transaction.fetch(SQL["note_item"], candidate.id, command.item_id)

    async def _discard(self, transaction: Transaction, command: DiscardCandidate) -> None:
        await self._settle(transaction, command, "discarded")

    async def _settle(
        self,
        transaction: Transaction,
        command: PromoteCandidate | MergeCandidate | DiscardCandidate,
        status: str,
    ) -> Candidate:
        target = (command.candidate_id, command.agent_id)
        at = self._spelling.time_in(command.at)
        sql = SQL["settle"] % self._rows.selected
        rows = await transaction.fetch(sql, *target, status, command.reason, at)
        if rows:
            return self._rows.from_row(rows[0])
        found = await transaction.fetch(SQL["status_of"], *target)
        if not found:
            raise NotFound(f"agent {command.agent_id} has no live candidate {command.candidate_id}")
        raise Violation(f"live candidate {command.candidate_id} is {found[0][0]}, and not pending")

    async def _expire(self, transaction: Transaction, command: ExpireCandidates) -> None:
        at = self._spelling.time_in(command.at)
        await transaction.fetch(SQL["expire"], command.agent_id, at)
