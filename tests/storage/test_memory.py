"""Memory items: stored, reinforced, changed, forgotten, and seen by the right agents."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage import CommandRefused, InvalidValue, MemoryItem
from storage.adapter import DatabaseAdapter
from tests.storage.backends import Raw

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def test_an_item_comes_back_as_it_was_written(storage: DatabaseAdapter, raw: Raw) -> None:
    memory = storage.scoped("scout").memory
    now = "'2026-01-02T00:00:00.000000Z'"
    await raw.query(
        f"INSERT INTO resources (id, agent_id, created_at, updated_at) "
        f"VALUES ('r-1', 'scout', {now}, {now})"
    )
    columns: dict[str, Any] = {
        "summary": "  Der Käse heißt 🧀 \n",
        "memory_type": "episode",
        "resource_id": "r-1",
        "happened_at": START - timedelta(days=1),
        "extra": {"a": [1, None, {"b": "ü"}], "c": 1.5, "d": True},
        "emotional_valence": -1.5,
        "emotional_arousal": 0.25,
        "mood_at_capture": "wary",
        "significance": "core",
        "reflection": "why?",
        "lesson": "ask",
        "visibility": "team",
    }
    written = await memory.create_item(
        embedding=[1, 0.5, -2], item_id="i-1", created_at=START, **columns
    )
    read = await memory.get_item("i-1")
    assert read == written
    assert read is not None
    assert {name: getattr(read, name) for name in columns} == columns
    assert read.vector == [1, 0.5, -2]
    assert (read.created_at, read.updated_at) == (START, START)
    assert (read.reinforcement_count, read.last_reinforced_at) == (1, None)
    expected = hashlib.sha256("der käse heißt 🧀".encode()).hexdigest()
    assert read.content_hash == expected
    assert await memory.find_by_hash(expected) == read


async def test_times_of_any_zone_and_any_age_are_kept(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    local = datetime.fromisoformat("0044-03-15T12:00:00+05:30")
    await memory.create_item(summary="a", memory_type="event", item_id="i-1", happened_at=local)
    read = await memory.get_item("i-1")
    assert read is not None
    assert read.happened_at == local
    assert read.happened_at.utcoffset() == timedelta(0)


async def test_the_same_fact_reinforces_what_the_agent_has(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    memory = storage.scoped("scout").memory
    first = await memory.create_item(
        summary="The sky is blue", memory_type="knowledge", created_at=START, extra={"n": 1}
    )
    later = START + timedelta(hours=1)
    second = await memory.create_item(
        summary="  the SKY is blue\n", memory_type="event", created_at=later, extra={"n": 2}
    )
    assert second.id == first.id
    assert second.reinforcement_count == 2
    assert second.last_reinforced_at == second.updated_at == later
    assert (second.created_at, second.memory_type, second.extra) == (START, "knowledge", {"n": 1})
    await memory.reinforce(first.id)
    [(count,)] = await raw.query("SELECT reinforcement_count FROM memory_items")
    assert count == 3
    other = await storage.scoped("writer").memory.create_item(
        summary="the sky is blue", memory_type="knowledge"
    )
    assert other.id != first.id
    assert other.reinforcement_count == 1, "another agent's fact is another item"


async def test_the_same_item_again_is_no_news(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    written = [
        await memory.create_item(
            summary="once", memory_type="event", item_id="i-1", created_at=START
        )
        for _ in range(3)
    ]
    assert written[2] == written[0]
    assert written[2].reinforcement_count == 1


async def test_an_id_that_is_taken_by_another_fact_is_refused(storage: DatabaseAdapter) -> None:
    await storage.scoped("scout").memory.create_item(
        summary="mine", memory_type="event", item_id="i-1"
    )
    with pytest.raises(CommandRefused, match="id: there is another memory item"):
        await storage.scoped("writer").memory.create_item(
            summary="yours", memory_type="event", item_id="i-1"
        )
    kept = await storage.operator().memory.get_item("i-1")
    assert kept is not None
    assert (kept.agent_id, kept.summary) == ("scout", "mine")


async def test_an_update_changes_what_it_names_and_hashes_anew(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    item = await memory.create_item(
        summary="old words", memory_type="event", created_at=START, lesson="kept"
    )
    await memory.update_item(item.id, summary="New words", embedding=[0, 0, 1], extra={"k": []})
    changed = await memory.get_item(item.id)
    assert changed is not None
    assert (changed.summary, changed.vector, changed.extra) == ("New words", [0, 0, 1], {"k": []})
    assert (changed.lesson, changed.created_at) == ("kept", START)
    assert changed.updated_at > START
    assert changed.content_hash == hashlib.sha256(b"new words").hexdigest()
    assert await memory.find_by_hash(item.content_hash or "") is None
    assert [hit.item.id for hit in await memory.search("new")] == [item.id]
    assert await memory.search("old") == []
    again = await memory.create_item(summary="new WORDS", memory_type="event")
    assert again.id == item.id
    await memory.update_item(item.id, embedding=None, lesson=None)
    cleared = await memory.get_item(item.id)
    assert cleared is not None
    assert cleared.embedding is cleared.lesson is None


async def test_an_update_into_another_items_fact_is_refused(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    await memory.create_item(summary="one", memory_type="event")
    two = await memory.create_item(summary="two", memory_type="event")
    with pytest.raises(CommandRefused, match="summary: agent scout has another"):
        await memory.update_item(two.id, summary="ONE")
    unchanged = await memory.get_item(two.id)
    assert unchanged is not None
    assert unchanged.summary == "two"


async def test_deleting_forgets_everywhere_and_a_second_time_is_no_error(
    storage: DatabaseAdapter, raw: Raw
) -> None:
    memory = storage.scoped("scout").memory
    item = await memory.create_item(summary="secret", memory_type="event", embedding=[1, 0, 0])
    await memory.delete_item(item.id)
    await memory.delete_item(item.id)
    assert await memory.get_item(item.id) is None
    assert await memory.list_items() == []
    assert await memory.search("secret", embedding=[1, 0, 0]) == []
    assert await raw.query("SELECT count(*) FROM memory_items") == [(0,)]
    again = await memory.create_item(summary="secret", memory_type="event")
    assert (again.id != item.id, again.reinforcement_count) == (True, 1)


async def test_changing_what_is_not_there_is_refused(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    with pytest.raises(CommandRefused, match="agent scout has no memory item nope"):
        await memory.update_item("nope", lesson="x")
    with pytest.raises(CommandRefused, match="nope"):
        await memory.reinforce("nope")


async def seen(storage: DatabaseAdapter, agent: str) -> dict[str, set[str]]:
    """What each read shows `agent`, by visibility."""
    memory = storage.scoped(agent).memory
    listed = await memory.list_items()
    found = await memory.search("apple", embedding=[1, 0, 0], limit=100)
    nearest = await memory.search("", embedding=[1, 0, 0], limit=100)
    got = [await memory.get_item(f"of-a-{v}") for v in ("private", "team", "family", "public")]
    return {
        "list": _visibilities(listed),
        "search": _visibilities([hit.item for hit in found]),
        "nearest": _visibilities([hit.item for hit in nearest]),
        "get": _visibilities([item for item in got if item is not None]),
    }


def _visibilities(items: list[MemoryItem]) -> set[str]:
    return {item.visibility for item in items if item.agent_id == "a"}


async def test_others_see_family_and_public_and_nothing_else(storage: DatabaseAdapter) -> None:
    for visibility in ("private", "team", "family", "public"):
        await storage.scoped("a").memory.create_item(
            summary=f"apple {visibility}",
            memory_type="event",
            embedding=[1, 0, 0],
            item_id=f"of-a-{visibility}",
            visibility=visibility,
        )
    mine = {"private", "team", "family", "public"}
    assert await seen(storage, "a") == dict.fromkeys(("list", "search", "nearest", "get"), mine)
    others = {"family", "public"}
    assert await seen(storage, "b") == dict.fromkeys(("list", "search", "nearest", "get"), others)
    by_hash = hashlib.sha256(b"apple public").hexdigest()
    assert await storage.scoped("b").memory.find_by_hash(by_hash) is None, "only one's own"
    everything = await storage.operator().memory.list_items()
    assert len(everything) == 4


async def test_what_others_keep_for_themselves_does_not_crowd_out_what_one_may_see(
    storage: DatabaseAdapter,
) -> None:
    theirs, mine = storage.scoped("a").memory, storage.scoped("b").memory
    for n in range(150):  # more than a list of candidates holds, all of them better
        await theirs.create_item(
            summary=f"apple apple {n}", memory_type="event", embedding=[1, 0, 0]
        )
    item = await mine.create_item(
        summary="one apple among many other words", memory_type="event", embedding=[0, 1, 0.1]
    )
    assert [hit.item.id for hit in await mine.search("", embedding=[1, 0, 0])] == [item.id]
    assert [hit.item.id for hit in await mine.search("apple")] == [item.id]


async def test_nobody_changes_what_is_anothers(storage: DatabaseAdapter) -> None:
    item = await storage.scoped("a").memory.create_item(
        summary="mine", memory_type="event", visibility="public"
    )
    other = storage.scoped("b").memory
    with pytest.raises(CommandRefused):
        await other.update_item(item.id, summary="yours")
    with pytest.raises(CommandRefused):
        await other.reinforce(item.id)
    await other.delete_item(item.id)
    assert await storage.scoped("a").memory.get_item(item.id) == item


async def test_lists_are_the_newest_first_in_pages_and_by_filter(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    for n in range(6):
        await memory.create_item(
            summary=f"fact {n}",
            memory_type="event" if n % 2 else "skill",
            significance="core" if n == 3 else "routine",
            item_id=f"i-{n}",
            created_at=START + timedelta(microseconds=n // 2),
        )

    async def ids(**filters: Any) -> list[str]:
        return [item.id for item in await memory.list_items(**filters)]

    newest_first = ["i-5", "i-4", "i-3", "i-2", "i-1", "i-0"]
    assert await ids() == newest_first
    assert await ids(limit=2, offset=3) == newest_first[3:5]
    assert await ids(memory_type="skill") == ["i-4", "i-2", "i-0"]
    assert await ids(significance="core", memory_type="event") == ["i-3"]
    assert await ids(limit=0) == await ids(limit=-1) == await ids(offset=2**62) == []
    assert (await storage.stats()).memory_items == 6
    assert await storage.count("tasks", "memory_items") == {"memory_items": 6, "tasks": 0}
    with pytest.raises(InvalidValue, match="table: is 'x; --'"):
        await storage.count("x; --")


async def test_an_item_is_given_its_embedding_and_loses_it(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    item = await memory.create_item(summary="x", memory_type="event", created_at=START)
    await memory.embed_item(item.id, [1, 0.5, -2])
    embedded = await memory.get_item(item.id)
    assert embedded is not None
    assert embedded.vector == [1, 0.5, -2]
    assert embedded.updated_at > START
    assert [hit.item.id for hit in await memory.search_by_vector([1, 0.5, -2])] == [item.id]
    with pytest.raises(InvalidValue, match="embedding: has 2 dimensions, and this storage keeps 3"):
        await memory.embed_item(item.id, [1, 2])
    with pytest.raises(CommandRefused, match="agent other has no memory item"):
        await storage.scoped("other").memory.embed_item(item.id, [0, 0, 1])
    await memory.embed_item(item.id, None)
    assert await memory.search_by_vector([1, 0.5, -2]) == []


async def test_stats_count_what_is_the_agents_own(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    empty = await memory.get_stats()
    assert (empty.items, empty.reinforcements, empty.by_memory_type) == (0, 0, {})
    for n in range(4):
        await memory.create_item(
            summary=f"{n % 3}",
            memory_type="skill" if n % 3 else "event",
            significance="core" if n == 1 else "routine",
            visibility="public",
            embedding=[1, 0, 0] if n == 2 else None,
        )
    await memory.create_resource()
    await memory.create_category("c")
    await memory.create_entity("e", visibility="family")
    stats = await memory.get_stats()
    assert (stats.items, stats.embedded, stats.reinforcements) == (3, 1, 4)
    assert stats.by_memory_type == {"event": 1, "skill": 2}
    assert stats.by_significance == {"routine": 2, "core": 1}
    assert stats.by_visibility == {"public": 3}
    assert (stats.resources, stats.categories, stats.entities, stats.lessons) == (1, 1, 1, 0)
    assert await storage.scoped("other").memory.get_stats() == empty
    assert await storage.operator().memory.get_stats() == stats
