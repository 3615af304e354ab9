"""Lessons, shared by their visibility."""

from storage.adapter import DatabaseAdapter
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import SHARED, VISIBILITIES, Read, Shown, each


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    for visibility in VISIBILITIES:
        await storage.scoped("a").memory.create_lesson(
            type="success",
            context="garden",
            action="pick",
            outcome="fruit",
            lesson=f"apple {visibility}",
            embedding=[1, 0, 0],
            lesson_id=visibility,
            related_tools=["ladder"],
            visibility=visibility,
        )


async def _listed(view: Scoped) -> list[str]:
    return [lesson.id for lesson in await view.memory.list_lessons()]


async def _by_tool(view: Scoped) -> list[str]:
    return [lesson.id for lesson in await view.memory.lessons_by_tool("ladder")]


async def _hits(view: Scoped) -> set[str]:
    words = await view.memory.search_lessons("apple", limit=100)
    near = await view.memory.search_lessons("", embedding=[1, 0, 0], limit=100)
    both = await view.memory.search_lessons("apple", embedding=[1, 0, 0], limit=100)
    found = [{hit.lesson.id for hit in hits} for hits in (words, near, both)]
    assert found[0] == found[1] == found[2]
    return found[0]


READS = {
    ("lessons", "get_lesson"): Read(
        lambda view: each(view.memory.get_lesson, VISIBILITIES), SHARED
    ),
    ("lessons", "list_lessons"): Read(_listed, SHARED),
    ("lessons", "lessons_by_tool"): Read(_by_tool, SHARED),
    ("lessons", "search_lessons"): Read(_hits, SHARED),
}

SQL = {
    "lessons": Shown("SELECT id FROM lessons", SHARED),
    "lessons by words": Shown("SELECT id FROM lessons WHERE words @@ to_tsquery('apple')", SHARED),
    "lessons by vector": Shown("SELECT id FROM lessons ORDER BY embedding <=> '[1,0,0]'", SHARED),
    "lessons by tool": Shown("SELECT id FROM lessons WHERE related_tools ? 'ladder'", SHARED),
}
