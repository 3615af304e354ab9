"""Memory items."""

from storage.adapter import DatabaseAdapter
from storage.model.values import content_hash
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import SHARED, VISIBILITIES, Read, Shown, each, seen


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    for visibility in VISIBILITIES:
        await storage.scoped("a").memory.create_item(
            summary=f"apple {visibility}",
            memory_type="event",
            embedding=[1, 0, 0],
            item_id=visibility,
            visibility=visibility,
            significance="core",
        )


async def _by_hash(view: Scoped) -> list[str]:
    hashes = {v: content_hash(f"apple {v}") for v in VISIBILITIES}
    return [v for v, one in hashes.items() if await view.memory.find_by_hash(one) is not None]


async def _listed(view: Scoped) -> list[str]:
    return [item.id for item in await view.memory.list_items()]


READS = {
    ("items", "get_item"): Read(lambda view: each(view.memory.get_item, VISIBILITIES), SHARED),
    ("items", "find_by_hash"): Read(_by_hash, seen(a={*VISIBILITIES})),
    ("items", "list_items"): Read(_listed, SHARED),
}

SQL = {
    "memory_items": Shown("SELECT id FROM memory_items", SHARED),
    "memory_items by words": Shown(
        "SELECT id FROM memory_items WHERE words @@ to_tsquery('apple')", SHARED
    ),
    "memory_items by vector": Shown(
        "SELECT id FROM memory_items ORDER BY embedding <=> '[1,0,0]'", SHARED
    ),
}
