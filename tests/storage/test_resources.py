"""Resources: kept, listed, and forgotten without what came from them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from storage import CommandRefused, InvalidValue
from storage.adapter import DatabaseAdapter
from storage.model.resources import CreateResource, Resource
from tests.storage.backends import Raw

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def test_a_resource_comes_back_as_it_was_written(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    columns: dict[str, Any] = {
        "modality": "document",
        "local_path": "/tmp/ä.pdf",
        "caption": "Über 🧀",
        "visibility": "team",
    }
    written = await memory.create_resource(
        "https://example.org/ä", embedding=[1, 0.5, -2], created_at=START, **columns
    )
    read = await memory.get_resource(written.id)
    assert read == written
    assert read is not None
    assert {name: getattr(read, name) for name in columns} == columns
    assert (read.vector, read.created_at, read.updated_at) == ([1, 0.5, -2], START, START)
    plain = await memory.create_resource()
    assert await memory.get_resource(plain.id) == plain
    assert (plain.url, plain.modality, plain.vector) == ("", "text", None)
    assert await memory.get_resource("nope") is None


async def test_lists_are_the_newest_first_in_pages_and_by_filter(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    for n in range(5):
        await memory.create_resource(
            f"#{n % 2}",
            resource_id=f"r-{n}",
            modality="image" if n % 2 else "audio",
            visibility="public" if n == 3 else "private",
            created_at=START + timedelta(seconds=n // 2),
        )

    async def ids(**filters: Any) -> list[str]:
        return [one.id for one in await memory.list_resources(**filters)]

    assert await ids() == ["r-4", "r-3", "r-2", "r-1", "r-0"]
    assert await ids(limit=2, offset=1) == ["r-3", "r-2"]
    assert await ids(modality="image") == ["r-3", "r-1"]
    assert await ids(url="#0") == ["r-4", "r-2", "r-0"]
    assert await ids(modality="image", visibility="public") == ["r-3"]
    with pytest.raises(InvalidValue, match="modality: is 'smell', and must be text, image"):
        await ids(modality="smell")


async def test_items_of_a_resource_that_is_deleted_stay(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    page = await memory.create_resource("https://example.org")
    item = await memory.create_item(summary="x", memory_type="event", resource_id=page.id)
    assert await memory.list_items(resource_id=page.id) == [item]
    await storage.scoped("other").memory.delete_resource(page.id)
    assert await memory.get_resource(page.id) == page, "another's"
    await memory.delete_resource(page.id)
    await memory.delete_resource(page.id)
    assert await memory.get_resource(page.id) is None
    kept = await memory.get_item(item.id)
    assert kept is not None
    assert kept.resource_id is None
    assert await memory.list_items(resource_id=page.id) == []


async def test_an_item_of_no_resource_is_refused_by_name(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    with pytest.raises(CommandRefused, match="resource_id: there is no resource 'nope': create it"):
        await memory.create_item(summary="x", memory_type="event", resource_id="nope")
    assert await memory.list_items() == []


async def test_the_same_again_is_no_news_and_a_taken_id_is_refused(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    memory = storage.scoped("scout").memory
    one = await memory.create_resource("a", resource_id="r-1", created_at=START)
    assert await memory.create_resource("a", resource_id="r-1", created_at=START) == one
    for agent, at in (("scout", START + timedelta(seconds=1)), ("other", START)):
        with pytest.raises(CommandRefused, match="there is another resource r-1 already"):
            await storage.scoped(agent).memory.create_resource(
                "b", resource_id="r-1", created_at=at
            )
    assert await raw.query("SELECT url FROM resources") == [("a",)]


BAD: list[tuple[str, Any, str]] = [
    ("url", "u" * 10_001, "has 10,001 characters"),
    ("url", None, "is a NoneType"),
    ("modality", "smell", "must be text, image"),
    ("local_path", "\0", "NUL"),
    ("caption", "\ud800", "surrogate"),
    ("visibility", "secret", "must be private"),
    ("embedding", b"\0" * 8, "has 2 dimensions"),
    ("created_at", datetime(2026, 1, 2), "time zone"),  # noqa: DTZ001
]


async def test_what_no_table_may_hold_is_refused_by_name(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    resource = Resource(id="r-1", agent_id="scout", created_at=START, updated_at=START)
    for column, value, problem in BAD:
        bad: Any = {column: value}
        with pytest.raises(CommandRefused, match=f"{column}: .*{problem}"):
            await storage.apply([CreateResource(resource=replace(resource, **bad))])
    assert await raw.query("SELECT count(*) FROM resources") == [(0,)]
