"""Resources, and items that come from them."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.items import CreateItem, MemoryItem
from storage.model.resources import CreateResource, DeleteResource, Resource
from storage.parts import Scoped
from tests.storage.histories import moment

_numbers = st.integers(0, 2)

plans = st.one_of(
    st.tuples(st.just("create resource")),
    st.tuples(st.just("create item from resource"), _numbers),
    st.tuples(st.just("delete resource"), _numbers),
)

#: How most histories begin.
FIRST: list[tuple[Any, ...]] = [("create resource",)]


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create resource",):
            resource = Resource(
                id=f"r-{n % 3}", agent_id="scout", url=f"#{n}", created_at=now, updated_at=now
            )
            return CreateResource(resource=resource)
        case ("create item from resource", which):
            item = MemoryItem(
                id=f"i-{n % 7}",
                agent_id="scout",
                resource_id=f"r-{which}",
                memory_type="knowledge",
                summary=f"from {n % 4}",
                created_at=now,
                updated_at=now,
            )
            return CreateItem(item=item)
        case ("delete resource", which):
            return DeleteResource(agent_id="scout", resource_id=f"r-{which}")
    return None


async def reads(view: Scoped) -> list[Any]:
    return [
        await view.memory.list_resources(),
        await view.memory.list_items(resource_id="r-1"),
    ]
