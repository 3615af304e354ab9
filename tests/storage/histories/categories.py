"""Categories, and what is filed under them."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.categories import (
    Category,
    CreateCategory,
    DeleteCategory,
    EnsureCategory,
    LinkCategory,
    UnlinkCategory,
    UpdateCategory,
)
from storage.model.command import Command
from storage.parts import Scoped
from tests.storage.histories import moment

_numbers = st.integers(0, 3)
_names = st.sampled_from(["one", "two", "three"])

plans = st.one_of(
    st.tuples(st.sampled_from(["create category", "ensure category"]), _names),
    st.tuples(st.just("rename category"), _numbers, _names),
    st.tuples(st.just("delete category"), _numbers),
    st.tuples(st.sampled_from(["file", "take out"]), _numbers, _numbers),
)

#: How most histories begin.
FIRST: list[tuple[Any, ...]] = [
    ("create category", "one"),
    ("create category", "two"),
    ("file", 0, 0),
    ("file", 0, 3),
]


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create category" | "ensure category" as how, name):
            category = Category(
                id=f"c-{n % 4}", agent_id="scout", name=name, created_at=now, updated_at=now
            )
            kind = CreateCategory if how == "create category" else EnsureCategory
            return kind(category=category)
        case ("rename category", which, name):
            return UpdateCategory(
                agent_id="scout", category_id=f"c-{which}", changes={"name": name}, at=now
            )
        case ("delete category", which):
            return DeleteCategory(agent_id="scout", category_id=f"c-{which}")
        case ("file", item, which):
            return LinkCategory(agent_id="scout", item_id=f"i-{item}", category_id=f"c-{which}")
        case ("take out", item, which):
            return UnlinkCategory(agent_id="scout", item_id=f"i-{item}", category_id=f"c-{which}")
    return None


async def reads(view: Scoped) -> list[Any]:
    return [
        await view.memory.count_categories(),
        await view.memory.categories_of_item("i-1"),
        await view.memory.list_items(category="one"),
    ]
