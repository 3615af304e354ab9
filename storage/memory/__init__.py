"""Memory: what agents know."""

from .categories import Categories
from .entities import Entities
from .items import Items
from .recall import Recall, SearchHit
from .resources import Resources
from .totals import Totals

__all__ = ["Memory", "SearchHit"]


class Memory(
    Items,
    Recall,
    Resources,
    Categories,
    Entities,
    Totals,
):
    """What one agent may do with its memory."""
