"""Memory items."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.items import CreateItem, DeleteItem, MemoryItem, ReinforceItem, UpdateItem
from storage.parts import Scoped
from tests.storage.histories import moment

_numbers = st.integers(0, 3)
_facts = st.sampled_from(["one", "ONE ", "two", "three"])

plans = st.one_of(
    st.tuples(st.just("create item"), _facts),
    st.tuples(st.just("reinforce item"), _numbers),
    st.tuples(st.just("update item"), _numbers, _facts),
    st.tuples(st.just("delete item"), _numbers),
)

#: How most histories begin.
FIRST: list[tuple[Any, ...]] = [("create item", "one"), ("create item", "two")]


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create item", fact):
            item = MemoryItem(
                id=f"i-{n % 7}",
                agent_id="scout",
                memory_type="event",
                summary=fact,
                created_at=now,
                updated_at=now,
            )
            return CreateItem(item=item)
        case ("reinforce item", which):
            return ReinforceItem(agent_id="scout", item_id=f"i-{which}", at=now)
        case ("update item", which, fact):
            return UpdateItem(
                agent_id="scout", item_id=f"i-{which}", changes={"summary": fact}, at=now
            )
        case ("delete item", which):
            return DeleteItem(agent_id="scout", item_id=f"i-{which}")
    return None


async def reads(view: Scoped) -> list[Any]:
    hits = await view.memory.search("one three")
    return [{hit.item.id for hit in hits}, await view.memory.list_items()]
