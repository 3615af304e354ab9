"""Entities, and what mentions them."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.model.command import Command
from storage.model.entities import (
    CreateEntity,
    DeleteEntity,
    EnsureEntity,
    Entity,
    LinkEntity,
    UnlinkEntity,
    UpdateEntity,
)
from storage.parts import Scoped
from tests.storage.histories import moment

_numbers = st.integers(0, 3)
_names = st.sampled_from(["Ann", "Bob", "Cara"])

plans = st.one_of(
    st.tuples(st.sampled_from(["create entity", "ensure entity"]), _names),
    st.tuples(st.just("rename entity"), _numbers, _names),
    st.tuples(st.just("delete entity"), _numbers),
    st.tuples(st.just("mention"), _numbers, _numbers, st.sampled_from(["mentioned", "told"])),
    st.tuples(st.just("do not mention"), _numbers, _numbers),
)

#: How most histories begin.
FIRST: list[tuple[Any, ...]] = [
    ("create entity", "Ann"),
    ("create entity", "Bob"),
    *(("mention", item, which, "mentioned") for item in (0, 1) for which in (0, 3)),
]


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create entity" | "ensure entity" as how, name):
            entity = Entity(
                id=f"e-{n % 4}",
                agent_id="scout",
                name=name,
                bond_strength=n % 5 / 4,
                created_at=now,
                updated_at=now,
            )
            kind = CreateEntity if how == "create entity" else EnsureEntity
            return kind(entity=entity)
        case ("rename entity", which, name):
            return UpdateEntity(
                agent_id="scout", entity_id=f"e-{which}", changes={"name": name}, at=now
            )
        case ("delete entity", which):
            return DeleteEntity(agent_id="scout", entity_id=f"e-{which}")
        case ("mention", item, which, role):
            # Not always in the order of their times.
            at = moment(n * 7 % 11)
            return LinkEntity(
                agent_id="scout", item_id=f"i-{item}", entity_id=f"e-{which}", role=role, at=at
            )
        case ("do not mention", item, which):
            return UnlinkEntity(
                agent_id="scout", item_id=f"i-{item}", entity_id=f"e-{which}", at=now
            )
    return None


async def reads(view: Scoped) -> list[Any]:
    return [
        await view.memory.list_entities(),
        await view.memory.entities_of_item("i-1"),
        await view.memory.list_items(entity="Ann"),
        await view.memory.get_stats(),
    ]
