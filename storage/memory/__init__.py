"""Memory: what agents know."""

from .candidates import Candidates
from .items import Items, SearchHit
from .lessons import LessonHit, Lessons
from .reflections import Reflections

__all__ = ["LessonHit", "Memory", "SearchHit"]


class Memory(
    Items,
    Reflections,
    Lessons,
    Candidates,
):
    """What one agent may do with its memory."""
