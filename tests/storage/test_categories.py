"""Categories: of unique names, filled, renamed, summarised, dropped without what is in them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from storage import CommandRefused, InvalidValue
from storage.adapter import DatabaseAdapter
from storage.model.categories import Category, CreateCategory, EnsureCategory
from tests.storage.backends import Raw

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
CATEGORY = Category(id="c-1", agent_id="scout", name="x", created_at=START, updated_at=START)


async def test_a_category_comes_back_as_it_was_written(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    written = await memory.create_category(
        "Käse 🧀", description="d", summary="s", embedding=[1, 0.5, -2], created_at=START
    )
    assert await memory.get_category(written.id) == written
    assert await memory.find_category("Käse 🧀") == written
    assert (written.vector, written.created_at) == ([1, 0.5, -2], START)
    assert await memory.find_category("käse 🧀") is None
    assert await memory.get_category("nope") is None
    assert await storage.scoped("other").memory.find_category("Käse 🧀") is None


async def test_a_name_is_unique_for_an_agent(storage: DatabaseAdapter, raw: Raw) -> None:
    memory = storage.scoped("scout").memory
    one = await memory.create_category("one")
    two = await memory.create_category("two")
    taken = "name: there is another category 'one' of this agent already: .*get_or_create_category"
    with pytest.raises(CommandRefused, match=taken):
        await memory.create_category("one")
    with pytest.raises(CommandRefused, match=taken):
        await memory.rename_category(two.id, "one")
    other = await storage.scoped("other").memory.create_category("one")
    assert other.id != one.id
    assert await raw.query("SELECT count(*) FROM categories") == [(3,)]


async def test_get_or_create_creates_once(storage: DatabaseAdapter, raw: Raw) -> None:
    memory = storage.scoped("scout").memory
    first = await memory.get_or_create_category("one", description="first")
    assert await memory.get_or_create_category("one", description="second") == first
    assert first.description == "first"
    # Sent by one who had not seen that there is such a category.
    late = replace(CATEGORY, name="one")
    await storage.apply([EnsureCategory(category=late), EnsureCategory(category=late)])
    assert await raw.query("SELECT id FROM categories") == [(first.id,)]


async def test_the_same_again_is_no_news_and_a_taken_id_is_refused(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    for kind in (CreateCategory, EnsureCategory):
        await storage.apply([kind(category=CATEGORY)] * 2)
        await storage.apply([kind(category=CATEGORY)])
    before = await raw.everything()
    for change in (
        {"name": "y", "created_at": START + timedelta(seconds=1)},
        {"name": "y", "agent_id": "other"},
    ):
        for kind in (CreateCategory, EnsureCategory):
            command = kind(category=replace(CATEGORY, **change))
            with pytest.raises(CommandRefused, match="id: there is another category c-1 already"):
                await storage.apply([command])
    assert await raw.everything() == before


async def test_many_are_created_at_once_and_a_bad_one_is_named(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    many: list[Any] = [
        CreateCategory(category=replace(CATEGORY, id=f"c-{n}", name=f"name {n % 90}"))
        for n in range(100)
    ]
    with pytest.raises(CommandRefused) as caught:
        await storage.apply(many)
    assert sorted(caught.value.refused) == list(range(90, 100))
    assert "another category 'name 3' of this agent" in caught.value.refused[93]
    assert await raw.query("SELECT count(*) FROM categories") == [(0,)]
    await storage.apply([EnsureCategory(category=one.category) for one in many])
    assert await raw.query("SELECT count(*) FROM categories") == [(90,)]


async def test_items_are_filed_counted_and_taken_out(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    work, home = await memory.create_category("work"), await memory.create_category("home")
    items = [
        await memory.create_item(
            summary=f"{n}", memory_type="event", created_at=START + timedelta(seconds=n)
        )
        for n in range(3)
    ]
    for item in items:
        await memory.link_category(item.id, work.id)
        await memory.link_category(item.id, work.id)
    await memory.link_category(items[1].id, home.id)
    assert await memory.items_of_category(work.id) == items[::-1]
    assert await memory.items_of_category(work.id, limit=1, offset=1) == [items[1]]
    assert await memory.categories_of_item(items[1].id) == [home, work]
    counts = await memory.count_categories()
    assert [(one.category.name, one.items) for one in counts] == [("home", 1), ("work", 3)]
    await memory.unlink_category(items[1].id, work.id)
    await memory.unlink_category(items[1].id, work.id)
    await memory.delete_item(items[0].id)
    assert await memory.items_of_category(work.id) == [items[2]]
    assert (await memory.count_categories(limit=1, offset=1))[0].items == 1
    await memory.delete_category(work.id)
    await memory.delete_category(work.id)
    assert await memory.list_categories() == [home]
    assert await memory.get_item(items[2].id) == items[2]
    assert await memory.categories_of_item(items[1].id) == [home]


async def test_a_category_is_renamed_described_and_summarised(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    made = await memory.create_category("old", description="d", created_at=START)
    await memory.rename_category(made.id, "new")
    await memory.summarise_category(made.id, "all of it")
    await memory.update_category(made.id, description=None, embedding=[0, 0, 1])
    changed = await memory.get_category(made.id)
    assert changed is not None
    assert (changed.name, changed.summary, changed.description) == ("new", "all of it", None)
    assert (changed.vector, changed.created_at) == ([0, 0, 1], START)
    assert changed.updated_at > START
    assert await memory.find_category("old") is None
    with pytest.raises(InvalidValue, match="id: cannot be changed; these can: name, desc"):
        await memory.update_category(made.id, id="x")


async def test_what_is_not_the_agents_is_left_alone(storage: DatabaseAdapter) -> None:
    mine, theirs = storage.scoped("scout").memory, storage.scoped("other").memory
    category = await mine.create_category("mine")
    item = await mine.create_item(summary="x", memory_type="event", visibility="public")
    await mine.link_category(item.id, category.id)
    for change in (
        theirs.rename_category(category.id, "yours"),
        theirs.summarise_category(category.id, "x"),
        theirs.update_category("nope", name="x"),
    ):
        with pytest.raises(CommandRefused, match="agent other has no category"):
            await change
    own = await theirs.create_category("theirs")
    with pytest.raises(CommandRefused, match=f"agent other has no memory item {item.id}"):
        await theirs.link_category(item.id, own.id)
    with pytest.raises(CommandRefused, match=f"agent scout has no category {own.id}"):
        await mine.link_category(item.id, own.id)
    await theirs.unlink_category(item.id, category.id)
    await theirs.delete_category(category.id)
    assert await mine.items_of_category(category.id) == [item]


BAD: list[tuple[str, Any, str]] = [
    ("id", "", "0 characters"),
    ("name", "", "0 characters"),
    ("name", "n" * 501, "501 characters"),
    ("name", "\0", "NUL"),
    ("description", "\ud800", "surrogate"),
    ("summary", 5, "is a int"),
    ("embedding", b"\0" * 8, "has 2 dimensions"),
    ("created_at", None, "is missing"),
]


async def test_what_no_table_may_hold_is_refused_by_name(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    for column, value, problem in BAD:
        bad: Any = {column: value}
        for kind in (CreateCategory, EnsureCategory):
            with pytest.raises(CommandRefused, match=f"{column}: .*{problem}"):
                await storage.apply([kind(category=replace(CATEGORY, **bad))])
    assert await raw.query("SELECT count(*) FROM categories") == [(0,)]
    memory = storage.scoped("scout").memory
    for change in (memory.link_category("\0", "x"), memory.link_category("x", "c" * 129)):
        with pytest.raises(InvalidValue, match="item_id: has a NUL|category_id: has 129"):
            await change
