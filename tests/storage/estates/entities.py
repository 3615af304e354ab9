"""Entities: each mentioned by an item that is seen by the same agents, and by a private one."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import SHARED, VISIBILITIES, Read, Shown, each, seen


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    memory = storage.scoped("a").memory
    for visibility in VISIBILITIES:
        await memory.create_entity(
            f"tree {visibility}", entity_id=visibility, visibility=visibility, embedding=[1, 0, 0]
        )
        await memory.link_entity(visibility, visibility)
        await memory.link_entity("private", visibility, role="of private")
        await memory.link_entity(visibility, "private", role="to private")


async def _named(view: Scoped) -> list[str]:
    return await each(lambda name: view.memory.find_entity(f"tree {name}"), VISIBILITIES)


async def _listed(view: Scoped) -> list[str]:
    return [one.id for one in await view.memory.list_entities()]


async def _mentions(view: Scoped) -> set[tuple[str, str]]:
    return {
        (item, mention.entity.id)
        for item in VISIBILITIES
        for mention in await view.memory.entities_of_item(item)
    }


def _both(visible: set[str]) -> set[tuple[str, str]]:
    linked = {(one, one) for one in VISIBILITIES}
    linked |= {("private", one) for one in VISIBILITIES} | {
        (one, "private") for one in VISIBILITIES
    }
    return {(item, entity) for item, entity in linked if {item, entity} <= visible}


LINKS = {agent: _both(visible) for agent, visible in SHARED.items()}

READS = {
    ("entities", "get_entity"): Read(
        lambda view: each(view.memory.get_entity, VISIBILITIES), SHARED
    ),
    ("entities", "find_entity"): Read(_named, seen(a={*VISIBILITIES})),
    ("entities", "list_entities"): Read(_listed, SHARED),
    ("entities", "entities_of_item"): Read(_mentions, LINKS),
}

SQL = {
    "entities": Shown("SELECT id FROM entities", SHARED),
    "entities by vector": Shown("SELECT id FROM entities ORDER BY embedding <=> '[1,0,0]'", SHARED),
    "item_entities": Shown("SELECT (item_id, entity_id) FROM item_entities", LINKS),
}
