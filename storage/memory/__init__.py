"""Memory: what agents know."""

from .candidates import Candidates
from .categories import Categories
from .entities import Entities
from .items import Items
from .lessons import LessonHit, Lessons
from .recall import Recall, SearchHit
from .reflections import Reflections
from .resources import Resources
from .totals import Totals

__all__ = ["LessonHit", "Memory", "SearchHit"]


class Memory(
    Items,
    Recall,
    Resources,
    Categories,
    Entities,
    Totals,
    Reflections,
    Lessons,
    Candidates,
):
    """What one agent may do with its memory."""
