"""Knowledge: documents in collections, shared by grant, and a library for the whole family."""

from .documents import Document, Documents, Ingested, KnowledgeHit
from .ingestion import Section
from .shared import Library, SharedHit

__all__ = ["Document", "Ingested", "Knowledge", "KnowledgeHit", "Section", "SharedHit"]


class Knowledge(Documents, Library):
    """What one agent may do with what is shared on purpose."""
