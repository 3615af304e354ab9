"""Sessions and their observations, which are their agent's own."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import Read, Shown, each, seen

ALL = ("of-a", "of-a-too")
SEEN = seen(a={*ALL})
OBSERVED = seen(a={1, 2})


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    sessions = storage.scoped("a").sessions
    for number, one in enumerate(ALL, 1):
        await sessions.open(one, session_id=one)
        await sessions.record(one, id=number, output="apple")


async def _listed(view: Scoped) -> list[str]:
    return [one.id for one in await view.sessions.list_sessions()]


async def _observed(view: Scoped) -> list[int]:
    return [one.id for one in await view.sessions.list_observations()]


async def _found(view: Scoped) -> list[int]:
    return [one.id for one in await view.sessions.search_observations("apple")]


READS = {
    ("sessions", "get_session"): Read(lambda view: each(view.sessions.get_session, ALL), SEEN),
    ("sessions", "find_session"): Read(lambda view: each(view.sessions.find_session, ALL), SEEN),
    ("sessions", "list_sessions"): Read(_listed, SEEN),
    ("observations", "list_observations"): Read(_observed, OBSERVED),
    ("observations", "search_observations"): Read(_found, OBSERVED),
}

SQL = {
    "sessions": Shown("SELECT id FROM sessions", SEEN),
    "observations": Shown("SELECT id FROM observations", OBSERVED),
    "observations by words": Shown(
        "SELECT id FROM observations WHERE words @@ to_tsquery('apple')", OBSERVED
    ),
}
