"""Imported rows, which are their agent's own."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import Read, Shown, seen

KEYS = ("1", "2")
SEEN = seen(a={*KEYS})


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    for key in KEYS:
        await storage.scoped("a").imports.keep("argentos memory.db", "apples", key, {"b": 1})


async def _listed(view: Scoped) -> list[str]:
    return [row.source_key for row in await view.imports.list_rows()]


READS = {("imports", "list_rows"): Read(_listed, SEEN)}

SQL = {"imported_rows": Shown("SELECT source_key FROM imported_rows", SEEN)}
