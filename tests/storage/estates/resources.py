"""Resources."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import SHARED, VISIBILITIES, Read, Shown, each


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    for visibility in VISIBILITIES:
        await storage.scoped("a").memory.create_resource(
            "https://apple.example", resource_id=visibility, visibility=visibility
        )


async def _listed(view: Scoped) -> list[str]:
    return [one.id for one in await view.memory.list_resources(url="https://apple.example")]


READS = {
    ("resources", "get_resource"): Read(
        lambda view: each(view.memory.get_resource, VISIBILITIES), SHARED
    ),
    ("resources", "list_resources"): Read(_listed, SHARED),
}

SQL = {"resources": Shown("SELECT id FROM resources", SHARED)}
