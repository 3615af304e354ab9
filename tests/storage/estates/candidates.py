"""Live candidates, which are their agent's own."""

from storage.adapter import DatabaseAdapter
from storage.model.values import content_hash
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import Read, Shown, each, seen

ALL = ("of-a", "of-a-too")
SEEN = seen(a={*ALL})


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    for one in ALL:
        await storage.scoped("a").memory.create_candidate(
            fact_text=one, role="user", candidate_type="x", confidence=0.5, candidate_id=one
        )


async def _listed(view: Scoped) -> list[str]:
    return [one.id for one in await view.memory.list_candidates()]


async def _by_hash(view: Scoped) -> list[str]:
    found = [await view.memory.find_candidate(content_hash(one)) for one in ALL]
    return [one.id for one in found if one is not None]


READS = {
    ("candidates", "get_candidate"): Read(lambda view: each(view.memory.get_candidate, ALL), SEEN),
    ("candidates", "find_candidate"): Read(_by_hash, SEEN),
    ("candidates", "list_candidates"): Read(_listed, SEEN),
}

SQL = {"live_candidates": Shown("SELECT id FROM live_candidates", SEEN)}
