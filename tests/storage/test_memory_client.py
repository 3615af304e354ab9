"""Memory over the bus: what an agent files, links and looks for, through a sidecar."""

from datetime import UTC, datetime, timedelta

import pytest

from bus import Bus
from storage import InvalidValue, StorageConfig
from storage.client import StorageClient
from tests.storage.sidecars import sidecar

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def test_an_agent_files_links_and_finds_what_it_knows(
    bus: Bus, config: StorageConfig
) -> None:
    async with sidecar(config), bus.join("scout") as scout:
        memory = StorageClient(scout).memory
        page = await memory.create_resource("https://example.org", created_at=START)
        item = await memory.create_item(
            summary="The parser is flaky on Fridays",
            memory_type="knowledge",
            resource_id=page.id,
            happened_at=START,
            extra={"n": 1},
        )
        await memory.embed_item(item.id, [1.0] + [0.0] * 767)
        category = await memory.get_or_create_category("bugs")
        assert await memory.get_or_create_category("bugs") == category
        entity = await memory.get_or_create_entity("Ann", bond_strength=1.0)
        assert await memory.get_or_create_entity("Ann") == entity
        await memory.link_category(item.id, category.id)
        await memory.link_entity(item.id, entity.id, role="author")
        await memory.rename_category(category.id, "faults")

        assert await memory.list_resources() == [page]
        [counted] = await memory.count_categories()
        assert (counted.category.name, counted.items) == ("faults", 1)
        [mention] = await memory.entities_of_item(item.id)
        assert (mention.entity.memory_count, mention.role) == (1, "author")
        stored = await memory.get_item(item.id)
        assert stored is not None
        assert stored.vector == [1.0] + [0.0] * 767
        assert await memory.items_of_entity(entity.id) == [stored]

        [hit] = await memory.search_items(
            "flaky friday",
            embedding=[1.0] + [0.0] * 767,
            rank="identity",
            at=item.created_at,
            category="faults",
            entity="Ann",
            memory_type=["knowledge", "skill"],
            happened_since=START,
            happened_before=START + timedelta(microseconds=1),
            extra={"n": 1},
        )
        assert hit.item == stored
        assert hit.score == pytest.approx(1.3)
        assert hit.snippet().marked() == "The parser is **flaky** on **Fridays**"
        assert await memory.search("flaky", created_before=START) == []
        stats = await memory.get_stats()
        assert (stats.items, stats.embedded, stats.categories, stats.entities) == (1, 1, 1, 1)
        assert stats.by_memory_type == {"knowledge": 1}

        with pytest.raises(InvalidValue, match="visibility: is 'secret'"):
            await memory.search("x", visibility="secret")
        with pytest.raises(InvalidValue, match="rank: is 'luck'"):
            await memory.search("x", rank="luck")
