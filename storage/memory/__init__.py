"""Memory: what agents know."""

from .items import Items, SearchHit

__all__ = ["Memory", "SearchHit"]


class Memory(Items):
    """What one agent may do with its memory."""
