"""Reflections, which are their agent's own."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import Read, Shown, each, seen

ALL = ("of-a", "of-a-too")
SEEN = seen(a={*ALL})


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    for one in ALL:
        await storage.scoped("a").memory.create_reflection(
            trigger_type="manual", content="apple", reflection_id=one
        )


async def _listed(view: Scoped) -> list[str]:
    return [one.id for one in await view.memory.list_reflections()]


READS = {
    ("reflections", "get_reflection"): Read(
        lambda view: each(view.memory.get_reflection, ALL), SEEN
    ),
    ("reflections", "list_reflections"): Read(_listed, SEEN),
}

SQL = {"reflections": Shown("SELECT id FROM reflections", SEEN)}
