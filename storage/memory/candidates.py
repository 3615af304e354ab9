"""Live candidates: facts that an agent heard, and may or may not keep."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from storage import queries
from storage.database import Database
from storage.domain import Reads, View
from storage.errors import CommandRefused
from storage.model import values
from storage.model.candidates import (
    STATUSES,
    Candidate,
    CreateCandidate,
    DiscardCandidate,
    ExpireCandidates,
    MergeCandidate,
    PromoteCandidate,
)
from storage.model.items import MemoryItem
from storage.rows import Rows

SQL = queries.load("storage.memory", "candidates.sql")

#: How long a candidate waits, unless it is said.
WAITS: Final = timedelta(days=1)


class Candidates(View):
    """What one agent may do with its live candidates."""

    async def get_candidate(self, candidate_id: str) -> Candidate | None:
        """The candidate, or None where this agent has none of that id."""
        candidate: Candidate | None = await self._port.read(
            "candidates", "get_candidate", candidate_id=candidate_id
        )
        return candidate

    async def find_candidate(self, fact_hash: str) -> Candidate | None:
        """The pending candidate with that hash, or None."""
        candidate: Candidate | None = await self._port.read(
            "candidates", "find_candidate", fact_hash=fact_hash
        )
        return candidate

    async def list_candidates(
        self,
        *,
        status: str | None = None,
        session_key: str | None = None,
        candidate_type: str | None = None,
        expires_since: datetime | None = None,
        expires_until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Candidate]:
        """Candidates of this agent, the newest first.

        Args:
            status, session_key, candidate_type: Only those that have this one.
            expires_since: Those that expire at this time or later; `expires_until`: before that.
            limit, offset: Most candidates, up to 10,000, and how many of the newest to pass over.

        Raises:
            InvalidValue: a filter or a limit that cannot be.
        """
        candidates: list[Candidate] = await self._port.read(
            "candidates",
            "list_candidates",
            status=status,
            session_key=session_key,
            candidate_type=candidate_type,
            expires_since=expires_since,
            expires_until=expires_until,
            limit=limit,
            offset=offset,
        )
        return candidates

    async def create_candidate(
        self,
        *,
        fact_text: str,
        role: str,
        candidate_type: str,
        confidence: float,
        candidate_id: str | None = None,
        created_at: datetime | None = None,
        **columns: Any,
    ) -> Candidate:
        """Note a fact that may be worth keeping.

        Where the agent has the same fact pending, no second one is made: the first takes the
        higher of the two confidences and the later of the two expiries.

        Args:
            fact_text: 1 to 1,000,000 characters.
            role: Who said it, such as `user`.
            candidate_type: Such as `preference`.
            confidence: 0 to 1.
            candidate_id: A UUIDv7 is made where none is given.
            columns: Other columns of `Candidate`; it expires after a day unless `expires_at` is
                given.

        Returns:
            The candidate as it is stored; over the bus, as it was sent.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: another candidate has that id.
        """
        moment = values.moment("created_at", created_at) or values.now()
        columns = {"source_ts": moment, "expires_at": moment + WAITS} | columns
        candidate = Candidate(
            id=candidate_id or values.new_id(),
            agent_id=self.agent,
            role=role,
            candidate_type=candidate_type,
            fact_text=fact_text,
            fact_hash=values.content_hash(values.text("fact_text", fact_text, least=1)),
            confidence=confidence,
            created_at=moment,
            updated_at=moment,
            **columns,
        )
        await self._port.write(CreateCandidate(candidate=candidate))
        if not self._port.settles:
            return candidate
        stored = await self.get_candidate(candidate.id)
        return stored or await self.find_candidate(candidate.fact_hash) or candidate

    async def promote_candidate(
        self,
        candidate_id: str,
        *,
        memory_type: str | None = None,
        significance: str | None = None,
        embedding: Sequence[float] | None = None,
        reason: str | None = None,
    ) -> MemoryItem:
        """Make a memory item of a pending candidate, or reinforce the one that has its fact.

        Args:
            memory_type: Of the item. None: what the candidate hints at, or else `knowledge`.
            significance: None: what the candidate hints at, or else `routine`.
            embedding: Of the fact.

        Returns:
            The item as it is stored; also over the bus, which takes until it is committed.

        Raises:
            InvalidValue: a value that no table may hold.
            CommandRefused: this agent has no such candidate, or it is not pending.
        """
        await self._port.write(
            PromoteCandidate(
                agent_id=self.agent,
                candidate_id=candidate_id,
                item_id=values.new_id(),
                memory_type=memory_type,
                significance=significance,
                embedding=await self._packed(embedding),
                reason=reason,
                at=values.now(),
            )
        )
        candidate = await self.get_candidate(candidate_id)
        item = candidate and await self._item_of(candidate)
        if not item:
            raise CommandRefused(
                0, f"agent {self.agent} has no live candidate {candidate_id} that is pending"
            )
        return item

    async def _item_of(self, candidate: Candidate) -> MemoryItem | None:
        if candidate.status != "promoted":
            return None
        item: MemoryItem | None = await self._port.read(
            "items", "get_item", item_id=candidate.promoted_item_id
        )
        return item

    async def merge_candidate(
        self, candidate_id: str, item_id: str, *, reason: str | None = None
    ) -> None:
        """A pending candidate says what an item of this agent's own does: reinforce that."""
        await self._port.write(
            MergeCandidate(
                agent_id=self.agent,
                candidate_id=candidate_id,
                item_id=item_id,
                reason=reason,
                at=values.now(),
            )
        )

    async def discard_candidate(self, candidate_id: str, *, reason: str | None = None) -> None:
        """A pending candidate is not worth keeping."""
        await self._port.write(
            DiscardCandidate(
                agent_id=self.agent, candidate_id=candidate_id, reason=reason, at=values.now()
            )
        )

    async def expire_candidates(self, *, at: datetime | None = None) -> None:
        """Give up those of this agent's pending candidates that expire at `at` (now) or before."""
        await self._port.write(
            ExpireCandidates(agent_id=self.agent, at=values.moment("at", at) or values.now())
        )


class CandidateReads(Reads):
    """Reads of live candidates."""

    def __init__(self, database: Database, dimensions: int) -> None:
        super().__init__(database, dimensions)
        self._rows = Rows(Candidate, database.spelling, "live_candidates")
        self._time_in = database.spelling.time_in

    async def get_candidate(self, agent: str, candidate_id: str) -> Candidate | None:
        values.text("candidate_id", candidate_id)
        return await self._one(agent, self._rows, SQL["get_candidate"], candidate_id)

    async def find_candidate(self, agent: str, fact_hash: str) -> Candidate | None:
        values.text("fact_hash", fact_hash)
        return await self._one(agent, self._rows, SQL["find_candidate"], fact_hash)

    async def list_candidates(
        self,
        agent: str,
        *,
        status: str | None = None,
        session_key: str | None = None,
        candidate_type: str | None = None,
        expires_since: datetime | None = None,
        expires_until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[Candidate]:
        if status:
            values.one_of("status", status, STATUSES)
        return await self._all(
            agent,
            self._rows,
            SQL["list_candidates"],
            status or "",
            values.text("session_key", session_key or ""),
            values.text("candidate_type", candidate_type or ""),
            *map(self._time_in, values.span(expires_since, expires_until)),
            values.at_most("limit", limit, 10_000),
            values.at_most("offset", offset, 2**53),
        )
