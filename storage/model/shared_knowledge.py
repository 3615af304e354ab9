"""Shared knowledge: what an agent has found out and all may use, and the commands on it."""

from datetime import datetime
from typing import ClassVar, Final, Self

import msgspec

from . import values
from .command import Command, check_target

CATEGORIES: Final = ("lesson", "fact", "tool_tip", "pattern")


class SharedKnowledge(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `shared_knowledge`. Seen by every agent.

    Attributes:
        source_agent_id: Who published it.
        source_item_id: The memory item of that agent that it comes from.
        category: lesson, fact, tool_tip or pattern.
        embedding: Little-endian float32, or None; `vector` has its numbers.
        confidence: 0 to 1.
        endorsements: By how many agents.
    """

    id: str
    source_agent_id: str
    source_item_id: str | None = None
    category: str
    title: str
    content: str
    embedding: bytes | None = None
    confidence: float = 0.5
    endorsements: int = 0
    created_at: datetime
    updated_at: datetime

    @property
    def vector(self) -> list[float] | None:
        """The embedding as numbers."""
        return None if self.embedding is None else values.unpack_vector(self.embedding)


class Endorsement(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `knowledge_endorsements`: who said that it holds. Seen by that agent."""

    knowledge_id: str
    agent_id: str
    at: datetime


class SharedCommand(Command, frozen=True, kw_only=True):
    """What is common to commands on shared knowledge."""

    area = "shared knowledge"


class PublishKnowledge(SharedCommand, frozen=True, kw_only=True, tag=True):
    """Share something with every agent."""

    knowledge: SharedKnowledge

    @property
    def agent_id(self) -> str:
        return self.knowledge.source_agent_id

    def checked(self, dimensions: int) -> Self:
        one = self.knowledge
        values.text("id", one.id, least=1, most=128)
        values.text("source_agent_id", one.source_agent_id, least=1, most=128)
        values.optional_text("source_item_id", one.source_item_id, most=128)
        values.one_of("category", one.category, CATEGORIES)
        values.text("title", one.title, least=1, most=1_000)
        values.text("content", one.content, least=1)
        values.check_packed("embedding", one.embedding, dimensions)
        values.number("confidence", one.confidence, 0, 1)
        values.whole("endorsements", one.endorsements, 0, 0)
        values.known_moment("created_at", one.created_at)
        values.known_moment("updated_at", one.updated_at)
        return self


class EndorseKnowledge(SharedCommand, frozen=True, kw_only=True, tag=True):
    """Say that it holds: once counts."""

    agent_id: str
    knowledge_id: str
    at: datetime

    def checked(self, dimensions: int) -> Self:
        check_target("knowledge_id", self.knowledge_id, self.at)
        return self


class DeleteKnowledge(SharedCommand, frozen=True, kw_only=True, tag=True):
    """Take back what the agent published; operators, what anybody did."""

    by_operators: ClassVar[bool] = True

    agent_id: str
    knowledge_id: str

    def checked(self, dimensions: int) -> Self:
        check_target("knowledge_id", self.knowledge_id)
        return self


COMMANDS: Final = (PublishKnowledge, EndorseKnowledge, DeleteKnowledge)
