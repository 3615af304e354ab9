"""Live candidates: facts heard in a conversation that may become memories, until they expire."""

from datetime import datetime
from typing import Final, Self

import msgspec

from . import values
from .command import Command, check_target
from .items import MEMORY_TYPES, SIGNIFICANCES

STATUSES: Final = ("pending", "promoted", "merged", "discarded", "expired")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `live_candidates`. Its agent's own.

    Attributes:
        id: A UUIDv7, unless another one was given.
        agent_id: Whose it is.
        session_key, message_id: Where it was heard, or None.
        role: Who said it, such as `user`.
        candidate_type: What it is, such as `preference`.
        fact_text: The fact itself, in words.
        fact_hash: SHA-256 of the trimmed, lower-cased fact; an agent has one pending candidate
            with it at most.
        confidence: 0 to 1.
        trigger_flags: What made its agent note it.
        entities: Names of whom and what it is about.
        memory_type_hint: What kind of item it would make.
        significance_hint: How significant that would be.
        source_ts: When it was said.
        expires_at: From then on `ExpireCandidates` gives it up.
        status: Of `STATUSES`; only what is pending can be promoted, merged, discarded or expire.
        promoted_item_id: The item that it became, or was merged into.
        promotion_reason: Why it was promoted, merged or discarded.
        created_at, updated_at: With a time zone.

    Example:
        heard: Candidate = await mine.memory.create_candidate(
            fact_text="tests run at night", role="user", candidate_type="habit", confidence=0.6
        )
        item = await mine.memory.promote_candidate(heard.id, reason="was said twice")
        print(heard.status, "->", item.summary)  #> pending -> tests run at night
    """

    id: str
    agent_id: str
    session_key: str | None = None
    message_id: str | None = None
    role: str
    candidate_type: str
    fact_text: str
    fact_hash: str = ""
    confidence: float
    trigger_flags: list[str] = []
    entities: list[str] = []
    memory_type_hint: str | None = None
    significance_hint: str | None = None
    source_ts: datetime
    expires_at: datetime
    status: str = "pending"
    promoted_item_id: str | None = None
    promotion_reason: str | None = None
    created_at: datetime
    updated_at: datetime


class CreateCandidate(Command, frozen=True, kw_only=True, tag=True):
    """Note a candidate. Where the fact is pending already, that one takes the higher of the two
    confidences and the later of the two expiries instead.
    """

    area = "memory"

    candidate: Candidate

    @property
    def agent_id(self) -> str:
        return self.candidate.agent_id

    def checked(self, dimensions: int) -> Self:
        return msgspec.structs.replace(self, candidate=checked_candidate(self.candidate))


class PromoteCandidate(Command, frozen=True, kw_only=True, tag=True):
    """Make a memory item of a candidate, or reinforce the one that has its fact.

    Attributes:
        item_id: Of the item, if it is a new one.
        memory_type: Of the item. None: the candidate's hint, or else `knowledge`.
        significance: None: the candidate's hint, or else `routine`.
        embedding: Of the fact, packed.
        reason: Why.
    """

    area = "memory"

    agent_id: str
    candidate_id: str
    item_id: str
    memory_type: str | None = None
    significance: str | None = None
    embedding: bytes | None = None
    reason: str | None = None
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("candidate_id", self.candidate_id, self.at)
        check_target("item_id", self.item_id)
        _check_hints("memory_type", self.memory_type, "significance", self.significance)
        values.check_packed("embedding", self.embedding, dimensions)
        values.optional_text("reason", self.reason, most=10_000)
        return self


class MergeCandidate(Command, frozen=True, kw_only=True, tag=True):
    """A candidate says what an item of the agent's own does: reinforce that."""

    area = "memory"

    agent_id: str
    candidate_id: str
    item_id: str
    reason: str | None = None
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("candidate_id", self.candidate_id, self.at)
        check_target("item_id", self.item_id)
        values.optional_text("reason", self.reason, most=10_000)
        return self


class DiscardCandidate(Command, frozen=True, kw_only=True, tag=True):
    """A candidate is not worth keeping."""

    area = "memory"

    agent_id: str
    candidate_id: str
    reason: str | None = None
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("candidate_id", self.candidate_id, self.at)
        values.optional_text("reason", self.reason, most=10_000)
        return self


class ExpireCandidates(Command, frozen=True, kw_only=True, tag=True):
    """Give up those of the agent's pending candidates whose time is over."""

    area = "memory"

    agent_id: str
    at: datetime

    def checked(self, dimensions: int) -> Self:
        values.known_moment("at", self.at)
        return self


COMMANDS: Final = (
    CreateCandidate,
    PromoteCandidate,
    MergeCandidate,
    DiscardCandidate,
    ExpireCandidates,
)


def checked_candidate(candidate: Candidate) -> Candidate:
    """Return `candidate` with every value checked, and its hash computed.

    Raises:
        InvalidValue: a value that no table may hold.
    """
    values.text("id", candidate.id, least=1, most=128)
    for field in ("session_key", "message_id"):
        values.optional_text(field, getattr(candidate, field), most=256)
    values.text("role", candidate.role, least=1, most=256)
    values.text("candidate_type", candidate.candidate_type, least=1, most=256)
    values.text("fact_text", candidate.fact_text, least=1)
    values.number("confidence", candidate.confidence, 0, 1)
    values.texts("trigger_flags", candidate.trigger_flags, most=256)
    values.texts("entities", candidate.entities, most=1000)
    hints = (candidate.memory_type_hint, candidate.significance_hint)
    _check_hints("memory_type_hint", hints[0], "significance_hint", hints[1])
    values.known_moment("source_ts", candidate.source_ts)
    values.known_moment("expires_at", candidate.expires_at)
    values.one_of("status", candidate.status, STATUSES)
    values.optional_text("promoted_item_id", candidate.promoted_item_id, most=128)
    values.optional_text("promotion_reason", candidate.promotion_reason, most=10_000)
    values.known_moment("created_at", candidate.created_at)
    values.known_moment("updated_at", candidate.updated_at)
    return msgspec.structs.replace(candidate, fact_hash=values.content_hash(candidate.fact_text))


def _check_hints(of_type: str, memory_type: str | None, of_worth: str, worth: str | None) -> None:
    if memory_type is not None:
        values.one_of(of_type, memory_type, MEMORY_TYPES)
    if worth is not None:
        values.one_of(of_worth, worth, SIGNIFICANCES)
