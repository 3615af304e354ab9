"""Categories: what is shared is filed under them, too."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import VISIBILITIES, Read, Shown, each, seen

NAMES = ("fruit", "pips")
OWN = seen(a={*NAMES})


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    memory = storage.scoped("a").memory
    for name in NAMES:
        await memory.create_category(name, category_id=name)
        for item in VISIBILITIES:
            await memory.link_category(item, name)


async def _listed(view: Scoped) -> list[str]:
    return [one.id for one in await view.memory.list_categories()]


async def _counted(view: Scoped) -> list[str]:
    counted = await view.memory.count_categories()
    assert {one.items for one in counted} <= {4}
    return [one.category.id for one in counted]


async def _of_items(view: Scoped) -> set[str]:
    found = [await view.memory.categories_of_item(item) for item in VISIBILITIES]
    return {one.id for categories in found for one in categories}


READS = {
    ("categories", "get_category"): Read(lambda view: each(view.memory.get_category, NAMES), OWN),
    ("categories", "find_category"): Read(lambda view: each(view.memory.find_category, NAMES), OWN),
    ("categories", "list_categories"): Read(_listed, OWN),
    ("categories", "count_categories"): Read(_counted, OWN),
    ("categories", "categories_of_item"): Read(_of_items, OWN),
}

SQL = {
    "categories": Shown("SELECT id FROM categories", OWN),
    "item_categories": Shown("SELECT item_id FROM item_categories", seen(a={*VISIBILITIES})),
}
