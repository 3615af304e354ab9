"""What searches and counts show of the memory items."""

from collections.abc import Iterable
from typing import Any

from storage.adapter import DatabaseAdapter
from storage.memory import SearchHit
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import SHARED, Read, seen


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    """There are items already, and what they are linked to."""


async def _hits(view: Scoped) -> set[str]:
    memory = view.memory
    apple: list[float] = [1, 0, 0]
    found = _ids(await memory.search("apple", embedding=apple, rank="identity", limit=100))
    assert _ids(await memory.search_by_vector(apple, limit=100)) == found
    assert _ids(await memory.search_by_keyword("apple", limit=100)) == found
    shared = await memory.search_shared("apple", limit=100)
    assert _ids(shared) == (set() if memory.agent == "a" else found - {"private"})
    return found


def _ids(hits: Iterable[SearchHit]) -> set[str]:
    return {hit.item.id for hit in hits}


async def _counts(view: Scoped) -> set[tuple[int, ...]]:
    stats = await view.memory.get_stats()
    assert sum(stats.by_visibility.values()) == stats.items
    return {(stats.items, stats.embedded, stats.resources, stats.categories, stats.entities)}


_nothing = {(0, 0, 0, 0, 0)}

READS = {
    ("recall", "search"): Read(_hits, SHARED),
    ("totals", "get_stats"): Read(
        _counts, seen(a={(4, 4, 4, 2, 4)}, b=_nothing, c=_nothing, d=_nothing)
    ),
}

SQL: dict[str, Any] = {}
