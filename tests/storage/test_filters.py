"""Filters: the same for lists and for each way of searching, chosen in the database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from storage import InvalidValue, MemoryItem
from storage.adapter import DatabaseAdapter
from storage.memory.filters import ItemFilter
from storage.model.command import Command
from storage.model.items import CreateItem
from storage.parts import Scoped
from storage.postgres.adapter import PgAdapter
from tests.postgres import PostgresServer
from tests.storage.backends import RawPostgres

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
APPLE = [1.0, 0.0, 0.0]

#: Filters, and the items that they leave.
CASES: list[tuple[dict[str, Any], set[int]]] = [
    ({}, {0, 1, 2, 3}),
    ({"memory_type": "skill"}, {1, 3}),
    ({"memory_type": ["skill", "event"]}, {0, 1, 3}),
    ({"memory_type": []}, set()),
    ({"memory_type": None, "significance": ""}, {0, 1, 2, 3}),
    ({"significance": "core"}, {3}),
    ({"significance": {"core", "important"}, "memory_type": ("event", "knowledge")}, {2}),
    ({"visibility": "public"}, {2}),
    ({"agent_id": "scout"}, {0, 1, 2, 3}),
    ({"agent_id": "nobody"}, set()),
    ({"resource_id": "page"}, {0, 1}),
    ({"category_id": "c"}, {1, 2}),
    ({"category": "Cakes"}, {1, 2}),
    ({"category": "cakes"}, set()),
    ({"entity_id": "e"}, {2, 3}),
    ({"entity": "Ann", "category": "Cakes"}, {2}),
    ({"happened_since": START - DAY}, {1, 2}),
    ({"happened_since": START - DAY + TICK}, {2}),
    ({"happened_before": START}, {1}),
    ({"happened_before": START + TICK}, {1, 2}),
    ({"created_since": START + DAY, "created_before": START + 3 * DAY}, {1, 2}),
    ({"created_since": (START + DAY + TICK).astimezone()}, {2, 3}),
    ({"min_reinforcement": 0}, {0, 1, 2, 3}),
    ({"min_reinforcement": 2}, {3}),
    ({"extra": {"n": 1}}, {0, 2}),
    ({"extra": {"n": 1.0}}, {0, 2}),
    ({"extra": {"n": True}}, {1}),
    ({"extra": {"n": "1"}}, {3}),
    ({"extra": {"n": 1, "k": None}}, {0}),
    ({"extra": {"k": "a \" 'b' \\ ü 🧀"}}, {2}),
    ({"extra": {"a.b \" $[0] 'ü": -2.5}}, {1}),
    ({"extra": {"k": "x"}}, set()),
    ({"extra": {"missing": None}}, set()),
    ({"extra": {"nested": "x"}}, set()),
    ({"extra": {"list": 1}}, set()),
    ({"extra": {}}, {0, 1, 2, 3}),
    ({"shared": False}, {0, 1, 2, 3}),
    ({"shared": True}, set()),
]


async def fill(view: Scoped) -> None:
    """Four items of one agent, all of them about apples."""
    memory = view.memory
    await memory.create_resource(resource_id="page")
    await memory.create_category("Cakes", category_id="c")
    await memory.create_entity("Ann", entity_id="e")
    columns: list[dict[str, Any]] = [
        {"memory_type": "event", "resource_id": "page", "extra": {"n": 1, "k": None, "list": [1]}},
        {
            "memory_type": "skill",
            "resource_id": "page",
            "extra": {"n": True, "a.b \" $[0] 'ü": -2.5},
            "happened_at": START - DAY,
        },
        {
            "memory_type": "knowledge",
            "significance": "important",
            "visibility": "public",
            "extra": {"n": 1.0, "k": "a \" 'b' \\ ü 🧀", "nested": {"nested": "x"}},
            "happened_at": START,
        },
        {"memory_type": "skill", "significance": "core", "extra": {"n": "1"}},
    ]
    for n, one in enumerate(columns):
        await memory.create_item(
            summary=f"apple {n}",
            item_id=f"{n}",
            embedding=[1, n / 10, 0],
            created_at=START + n * DAY,
            **one,
        )
    await memory.reinforce("3")
    for n in (1, 2):
        await memory.link_category(f"{n}", "c")
        await memory.link_entity(f"{n + 1}", "e")


async def test_each_filter_leaves_the_same_in_lists_and_in_every_search(
    storage: DatabaseAdapter,
) -> None:
    view = storage.scoped("scout")
    memory = view.memory
    await fill(view)
    for filters, left in CASES:
        expected = {str(n) for n in left}
        assert {item.id for item in await memory.list_items(**filters)} == expected, filters
        for hits in (
            await memory.search_by_keyword("apple", **filters),
            await memory.search_by_vector(APPLE, **filters),
            await memory.search("apple", embedding=APPLE, **filters),
            await memory.search_items("apple", embedding=APPLE, rank="identity", **filters),
        ):
            assert {hit.item.id for hit in hits} == expected, filters


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour: is no filter; these are: agent_id, memory_type"),
    ({"memory_type": "rumour"}, "memory_type: is 'rumour', and must be profile, event"),
    ({"memory_type": ["event", "rumour"]}, "memory_type: is 'rumour'"),
    ({"memory_type": 5}, "memory_type: is a int"),
    ({"significance": "CORE"}, "significance: is 'CORE'"),
    ({"visibility": "secret"}, "visibility: is 'secret'"),
    ({"category": "\0"}, "category: has a NUL"),
    ({"entity_id": 5}, "entity_id: is a int"),
    ({"happened_since": "2026-01-02"}, "happened_since: must be a datetime"),
    ({"created_before": datetime(2026, 1, 2)}, "created_before: .*time zone"),  # noqa: DTZ001
    ({"min_reinforcement": -1}, "min_reinforcement: is out of range, and must be from 0"),
    ({"min_reinforcement": 2**80}, "min_reinforcement: is out of range"),
    ({"min_reinforcement": 1.5}, "min_reinforcement: .*whole number"),
    ({"extra": "x"}, "extra: is a str"),
    ({"extra": {"k": [1]}}, r"extra\['k'\]: is a list, and only text, numbers"),
    ({"extra": {"k": float("nan")}}, "extra: has a NaN"),
    ({"extra": {"k": 2**64}}, "extra: "),
    ({"extra": {"\ud800": 1}}, "extra, a key: has half of a surrogate"),
    ({"shared": 1}, "shared: is a int, and must be true or false"),
]


async def test_what_cannot_be_asked_for_is_said_by_name(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    for filters, problem in WRONG:
        with pytest.raises(InvalidValue, match=problem):
            await memory.list_items(**filters)
        with pytest.raises(InvalidValue, match=problem):
            await memory.search("apple", **filters)
        # As it would come over the bus, from whom our view has not checked.
        with pytest.raises(InvalidValue, match=problem):
            await storage.read("scout", "items", "list_items", filters=filters)


def _crowd(count: int) -> list[Command]:
    item = MemoryItem(
        id="x",
        agent_id="scout",
        memory_type="event",
        summary="x",
        embedding=b"\0\0\x80?" + b"\0" * 8,
        created_at=START,
        updated_at=START,
    )
    return [
        CreateItem(item=replace(item, id=f"e-{n}", summary=f"apple apple {n}"))
        for n in range(count)
    ]


async def test_what_is_not_wanted_does_not_crowd_out_what_is(storage: DatabaseAdapter) -> None:
    # More than a list of candidates holds, and all of them better.
    await storage.apply(_crowd(300))
    memory = storage.scoped("scout").memory
    item = await memory.create_item(
        summary="one apple among many other words", memory_type="skill", embedding=[0, 1, 0.1]
    )
    for hits in (
        await memory.search_by_keyword("apple", memory_type="skill"),
        await memory.search_by_vector(APPLE, memory_type="skill"),
        await memory.search("apple", embedding=APPLE, memory_type="skill"),
        await memory.search_by_vector(APPLE, created_since=START + TICK, rank="salience"),
    ):
        assert [hit.item.id for hit in hits] == [item.id]


async def test_shared_is_what_others_share(storage: DatabaseAdapter) -> None:
    for agent in ("a", "b"):
        for visibility in ("private", "family", "public"):
            await storage.scoped(agent).memory.create_item(
                summary=f"apple {visibility}",
                memory_type="event",
                item_id=f"{agent}-{visibility}",
                visibility=visibility,
            )
    memory = storage.scoped("b").memory
    others = {"a-family", "a-public"}
    assert {hit.item.id for hit in await memory.search_shared("apple")} == others
    assert {item.id for item in await memory.list_items(shared=True)} == others
    [hit] = await memory.search_shared("apple", visibility="public", rank="salience")
    assert hit.item.id == "a-public"
    assert await memory.search_shared("pear") == []


async def test_what_others_file_and_whom_they_know_is_no_way_to_their_items(
    storage: DatabaseAdapter,
) -> None:
    theirs = storage.scoped("a").memory
    item = await theirs.create_item(summary="apple", memory_type="event", visibility="public")
    category = await theirs.create_category("fruit")
    await theirs.link_category(item.id, category.id)
    ids = {}
    for visibility in ("private", "public"):
        entity = await theirs.create_entity(f"tree {visibility}", visibility=visibility)
        await theirs.link_entity(item.id, entity.id)
        ids[visibility] = entity.id
    cases: list[tuple[dict[str, Any], bool]] = [
        ({"category": "fruit"}, False),
        ({"category_id": category.id}, False),
        ({"entity": "tree private"}, False),
        ({"entity_id": ids["private"]}, False),
        ({"entity": "tree public"}, True),
        ({"entity_id": ids["public"]}, True),
    ]
    for filters, seen in cases:
        for agent, expected in (("a", True), ("b", seen)):
            memory = storage.scoped(agent).memory
            assert (await memory.list_items(**filters) == [item]) is expected, (agent, filters)
            assert bool(await memory.search("apple", **filters)) is expected, (agent, filters)


@pytest.fixture
def name(postgres_server: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database of three dimensions."""
    with postgres_server.database(3) as name:
        yield name


async def test_postgres_finds_extra_keys_by_their_index_under_row_level_security(
    postgres_server: PostgresServer, name: str
) -> None:
    async with (
        PgAdapter.open(postgres_server.user_url(name), dimensions=3) as storage,
        RawPostgres.open(postgres_server.url(name)) as raw,
    ):
        await raw.query(
            "INSERT INTO memory_items (id, agent_id, memory_type, summary, content_hash, extra, "
            "created_at, updated_at) SELECT 'i' || n, 'scout', 'event', 'x', n::text, "
            "jsonb_build_object('n', n), now(), now() FROM generate_series(1, 20000) AS n"
        )
        await raw.query("ANALYZE memory_items")
        [item] = await storage.scoped("scout").memory.list_items(extra={"n": 7})
        assert item.id == "i7"
        condition = ItemFilter(storage._database).where({"extra": {"n": 7}})
        sql, args = condition.placed(
            "EXPLAIN SELECT id FROM memory_items WHERE ($1 = '' OR agent_id = $1) {where}"
        )
        plan = await storage._database.fetch(sql, "scout", *args, scope="scout")
        assert "memory_items_extra" in str(plan)
