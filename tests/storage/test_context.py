"""What is indexed with an item: found by its words and its meaning, and for less than its own."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from storage import InvalidValue
from storage.adapter import DatabaseAdapter
from storage.embedding import CallableEmbedder
from storage.embedding.context import CONTEXT_WEIGHT, embedded_in_context
from storage.embedding.remembering import RememberingEmbedder
from storage.memory import Memory
from storage.sqlite.adapter import SQLiteAdapter

pytestmark = pytest.mark.anyio

AXES = {"north": [1.0, 0.0, 0.0], "east": [0.0, 2.0, 0.0], "up": [0.0, 0.0, 1.0]}


class Compass:
    """Knows three words, and which texts it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.embedder = CallableEmbedder(self._embed, 3)

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        return [AXES[text] for text in texts]


async def ids(memory: Memory, query: str) -> list[str]:
    return [hit.item.id for hit in await memory.search_by_keyword(query)]


async def test_words_of_the_context_find_an_item_behind_its_own(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    await memory.create_item(summary="the parser fails", memory_type="event", item_id="own")
    await memory.create_item(
        summary="she moved there", context="the parser team?", memory_type="event", item_id="near"
    )
    await memory.create_item(summary="something else", memory_type="event", item_id="none")
    assert await ids(memory, "parser") == ["own", "near"]
    item = await memory.get_item("near")
    assert item is not None
    assert item.context == "the parser team?"
    await memory.update_item("near", context="a river")
    assert await ids(memory, "parser") == ["own"]
    assert await ids(memory, "river") == ["near"]
    await memory.delete_item("near")
    assert await ids(memory, "river") == []


async def test_a_context_has_its_bounds(storage: DatabaseAdapter) -> None:
    memory = storage.scoped("scout").memory
    with pytest.raises(InvalidValue, match="context: has 10,001 characters"):
        await memory.create_item(summary="x", context="c" * 10_001, memory_type="event")
    with pytest.raises(InvalidValue, match="context: has a NUL"):
        await memory.create_item(summary="x", context="\0", memory_type="event")


async def test_each_line_of_the_context_counts_for_a_part_of_the_embedding() -> None:
    [alone, near] = await embedded_in_context(
        Compass().embedder, [("north", None), ("east", "north\n\nup")]
    )
    assert alone == AXES["north"]
    # As long as the vector of the text itself, and towards it most.
    share = CONTEXT_WEIGHT / (1 + 2 * CONTEXT_WEIGHT**2) ** 0.5
    assert near == pytest.approx([2 * share, 2 * share / CONTEXT_WEIGHT, 2 * share])


async def test_a_new_context_brings_a_new_embedding(path: Path) -> None:
    compass = Compass()
    async with SQLiteAdapter.open(path, dimensions=3, embedder=compass.embedder) as storage:
        memory = storage.scoped("scout").memory
        await memory.create_item(summary="north", memory_type="event", item_id="i")
        await memory.update_item("i", context="up")
        item = await memory.get_item("i")
        assert item is not None
        assert item.vector == pytest.approx([0.894427, 0, 0.447214])
        await memory.update_item("i", summary="east")
        item = await memory.get_item("i")
        assert item is not None
        assert item.vector == pytest.approx([0, 1.788854, 0.894427])
        await memory.update_item("i", context=None)
        item = await memory.get_item("i")
        assert item is not None
        assert item.vector == AXES["east"]


async def test_what_was_just_embedded_is_not_embedded_again() -> None:
    compass = Compass()
    remembering = RememberingEmbedder(compass.embedder, most=2)
    for text, context in (("north", None), ("east", "north"), ("up", "north\neast")):
        await embedded_in_context(remembering, [(text, context)])
    assert compass.asked == ["north", "east", "up"]
    await remembering.embed(["north"], kind="passage")  # the one that was used longest ago is gone
    await remembering.embed(["north"], kind="query")  # a query is another thing
    assert compass.asked[3:] in (["north", "north"], ["north"])
    assert await remembering.embed(["up", "up"], kind="passage") == [AXES["up"], AXES["up"]]
