"""Entities: of unique names, mentioned, counted, changed, forgotten."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from storage import CommandRefused, InvalidValue
from storage.adapter import DatabaseAdapter
from storage.model.entities import CreateEntity, EnsureEntity, Entity, LinkEntity
from tests.storage.backends import Raw

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ENTITY = Entity(id="e-1", agent_id="scout", name="x", created_at=START, updated_at=START)


async def test_an_entity_comes_back_as_it_was_written(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    columns: dict[str, Any] = {
        "entity_type": "pet",
        "relationship": "friend",
        "bond_strength": 0.75,
        "emotional_texture": "warm",
        "profile_summary": "purrs",
        "first_mentioned_at": START - timedelta(days=2),
        "last_mentioned_at": START - timedelta(days=1),
        "memory_count": 7,
        "visibility": "family",
    }
    written = await memory.create_entity(
        "Mieze", embedding=[1, 0.5, -2], created_at=START, **columns
    )
    read = await memory.get_entity(written.id)
    assert read == written
    assert read is not None
    assert {name: getattr(read, name) for name in columns} == columns
    assert (read.vector, read.created_at) == ([1, 0.5, -2], START)
    assert await memory.find_entity("Mieze") == written
    assert await memory.find_entity("mieze") is None
    other = storage.scoped("other").memory
    assert await other.get_entity(written.id) == written
    assert await other.find_entity("Mieze") is None, "only one's own"


async def test_a_name_is_unique_for_an_agent(storage: DatabaseAdapter, raw: Raw) -> None:
    memory = storage.scoped("scout").memory
    await memory.create_entity("Ann")
    bob = await memory.create_entity("Bob")
    taken = "name: there is another entity 'Ann' of this agent already: .*get_or_create_entity"
    with pytest.raises(CommandRefused, match=taken):
        await memory.create_entity("Ann", entity_type="pet")
    with pytest.raises(CommandRefused, match=taken):
        await memory.update_entity(bob.id, name="Ann")
    await storage.scoped("other").memory.create_entity("Ann")
    assert await raw.query("SELECT count(*) FROM entities") == [(3,)]


async def test_get_or_create_creates_once(storage: DatabaseAdapter, raw: Raw) -> None:
    memory = storage.scoped("scout").memory
    first = await memory.get_or_create_entity("Ann", entity_type="project", bond_strength=0.9)
    assert await memory.get_or_create_entity("Ann", entity_type="pet") == first
    assert (first.entity_type, first.bond_strength) == ("project", 0.9)
    late = replace(ENTITY, name="Ann")
    await storage.apply([EnsureEntity(entity=late), EnsureEntity(entity=late)])
    assert await raw.query("SELECT id FROM entities") == [(first.id,)]


async def test_the_same_again_is_no_news_and_a_taken_id_is_refused(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    for kind in (CreateEntity, EnsureEntity):
        await storage.apply([kind(entity=ENTITY)] * 2)
        await storage.apply([kind(entity=ENTITY)])
    before = await raw.everything()
    for kind in (CreateEntity, EnsureEntity):
        command = kind(entity=replace(ENTITY, name="y", agent_id="other"))
        with pytest.raises(CommandRefused, match="id: there is another entity e-1 already"):
            await storage.apply([command])
    assert await raw.everything() == before


async def test_what_is_mentioned_is_counted_once_and_remembers_when(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    memory = storage.scoped("scout").memory
    ann = await memory.create_entity("Ann", entity_id="ann")
    for n in range(3):
        await memory.create_item(summary=f"{n}", memory_type="event", item_id=f"i-{n}")

    async def mention(item: str, at: datetime, role: str = "mentioned") -> Entity:
        link = LinkEntity(agent_id="scout", item_id=item, entity_id="ann", role=role, at=at)
        await storage.apply([link, link])
        found = await memory.get_entity("ann")
        assert found is not None
        return found

    day = timedelta(days=1)
    assert (ann.memory_count, ann.first_mentioned_at, ann.last_mentioned_at) == (0, None, None)
    now = await mention("i-0", START)
    assert (now.memory_count, now.first_mentioned_at, now.last_mentioned_at) == (1, START, START)
    assert now.updated_at == START
    again = await mention("i-0", START + day, role="told")
    assert again == now, "the same item counts once"
    now = await mention("i-1", START + 2 * day)
    assert (now.memory_count, now.first_mentioned_at) == (2, START)
    assert now.last_mentioned_at == START + 2 * day
    now = await mention("i-2", START - day)
    assert (now.memory_count, now.first_mentioned_at) == (3, START), "it was first then"
    assert now.last_mentioned_at == START + 2 * day, "it does not go back"
    assert sorted(await raw.query("SELECT item_id, role FROM item_entities")) == [
        ("i-0", "told"),
        ("i-1", "mentioned"),
        ("i-2", "mentioned"),
    ]


async def test_a_mention_that_goes_is_not_counted_any_longer(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    memory = storage.scoped("scout").memory
    ann = await memory.create_entity("Ann")
    for n in range(3):
        await memory.create_item(summary=f"{n}", memory_type="event", item_id=f"i-{n}")
        await memory.link_entity(f"i-{n}", ann.id)

    async def count() -> int | None:
        found = await memory.get_entity(ann.id)
        return found and found.memory_count

    await memory.unlink_entity("i-0", ann.id)
    await memory.unlink_entity("i-0", ann.id)
    assert await count() == 2
    await storage.scoped("other").memory.delete_item("i-1")
    assert await count() == 2
    await memory.delete_item("i-1")
    await memory.delete_item("i-1")
    assert await count() == 1
    assert [item.id for item in await memory.items_of_entity(ann.id)] == ["i-2"]
    await memory.delete_entity(ann.id)
    await memory.delete_entity(ann.id)
    assert await raw.query("SELECT count(*) FROM item_entities") == [(0,)]
    assert await memory.get_item("i-2") is not None


async def test_items_and_entities_find_each_other(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    ann = await memory.create_entity("Ann", bond_strength=0.2)
    bob = await memory.create_entity("Bob", bond_strength=0.9)
    items = [
        await memory.create_item(
            summary=f"{n}", memory_type="event", created_at=START + timedelta(seconds=n)
        )
        for n in range(3)
    ]
    for item in items:
        await memory.link_entity(item.id, bob.id)
    await memory.link_entity(items[1].id, ann.id, role="author")
    assert await memory.items_of_entity(bob.id) == items[::-1]
    assert await memory.items_of_entity(bob.id, limit=1, offset=2) == [items[0]]
    mentions = await memory.entities_of_item(items[1].id)
    assert [(one.entity.name, one.role) for one in mentions] == [
        ("Bob", "mentioned"),
        ("Ann", "author"),
    ]
    assert await memory.entities_of_item("nope") == []


async def test_lists_are_the_strongest_bonds_first_in_pages_and_by_filter(
    storage: DatabaseAdapter,
) -> None:
    memory = storage.scoped("scout").memory
    for n, (name, bond) in enumerate((("Ann", 0.5), ("Bob", 0.9), ("Cat", 0.5), ("Dan", 0.1))):
        await memory.create_entity(
            name,
            bond_strength=bond,
            entity_type="pet" if name == "Cat" else "person",
            visibility="public" if n % 2 else "private",
        )

    async def names(**filters: Any) -> list[str]:
        return [one.name for one in await memory.list_entities(**filters)]

    assert await names() == ["Bob", "Ann", "Cat", "Dan"]
    assert await names(limit=2, offset=1) == ["Ann", "Cat"]
    assert await names(entity_type="pet") == ["Cat"]
    assert await names(visibility="public") == ["Bob", "Dan"]
    assert await names(min_bond=0.5, entity_type="person") == ["Bob", "Ann"]
    for wrong, problem in (
        ({"entity_type": "robot"}, "entity_type: is 'robot', and must be person"),
        ({"min_bond": 1.5}, "min_bond: is 1.5, and must be from 0 to 1"),
    ):
        with pytest.raises(InvalidValue, match=problem):
            await names(**wrong)


async def test_an_update_changes_what_it_names(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    made = await memory.create_entity("old", relationship="friend", created_at=START)
    await memory.update_entity(made.id, name="new", bond_strength=1, embedding=[0, 1, 0])
    changed = await memory.get_entity(made.id)
    assert changed is not None
    assert (changed.name, changed.bond_strength, changed.vector) == ("new", 1.0, [0, 1, 0])
    assert (changed.relationship, changed.created_at) == ("friend", START)
    assert changed.updated_at > START
    with pytest.raises(InvalidValue, match="memory_count: cannot be changed; these can: name"):
        await memory.update_entity(made.id, memory_count=5)
    with pytest.raises(InvalidValue, match=r"bond_strength: is 1\.5"):
        await memory.update_entity(made.id, bond_strength=1.5)


async def test_what_is_not_the_agents_is_left_alone(storage: DatabaseAdapter) -> None:
    mine, theirs = storage.scoped("scout").memory, storage.scoped("other").memory
    entity = await mine.create_entity("mine", visibility="public")
    item = await mine.create_item(summary="x", memory_type="event", visibility="public")
    await mine.link_entity(item.id, entity.id)
    with pytest.raises(CommandRefused, match=f"agent other has no entity {entity.id}"):
        await theirs.update_entity(entity.id, name="yours")
    own = await theirs.create_item(summary="y", memory_type="event")
    with pytest.raises(CommandRefused, match=f"agent other has no entity {entity.id}"):
        await theirs.link_entity(own.id, entity.id)
    with pytest.raises(CommandRefused, match=f"agent other has no memory item {item.id}"):
        await theirs.link_entity(item.id, entity.id)
    await theirs.unlink_entity(item.id, entity.id)
    await theirs.delete_entity(entity.id)
    assert await mine.items_of_entity(entity.id) == [item]
    kept = await mine.get_entity(entity.id)
    assert kept is not None
    assert kept.memory_count == 1


BAD: list[tuple[str, Any, str]] = [
    ("id", "", "0 characters"),
    ("name", "", "0 characters"),
    ("name", "n" * 501, "501 characters"),
    ("name", "\ud800", "surrogate"),
    ("entity_type", "robot", "must be person, pet"),
    ("bond_strength", float("nan"), "is nan"),
    ("bond_strength", 1.5, "from 0 to 1"),
    ("relationship", "\0", "NUL"),
    ("emotional_texture", 5, "is a int"),
    ("profile_summary", b"", "is a bytes"),
    ("first_mentioned_at", datetime(2026, 1, 2), "time zone"),  # noqa: DTZ001
    ("memory_count", -1, "from 0"),
    ("memory_count", 1.5, "whole number"),
    ("embedding", b"\0" * 8, "has 2 dimensions"),
    ("visibility", "secret", "must be private"),
    ("updated_at", None, "is missing"),
]


async def test_what_no_table_may_hold_is_refused_by_name(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    for column, value, problem in BAD:
        bad: Any = {column: value}
        for kind in (CreateEntity, EnsureEntity):
            with pytest.raises(CommandRefused, match=f"{column}: .*{problem}"):
                await storage.apply([kind(entity=replace(ENTITY, **bad))])
    assert await raw.query("SELECT count(*) FROM entities") == [(0,)]
    with pytest.raises(InvalidValue, match="role: has 0 characters"):
        await storage.scoped("scout").memory.link_entity("x", "y", role="")
