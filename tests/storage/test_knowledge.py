"""Knowledge: collections by grant, documents in pieces that keep their ids, a library for all."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from bus import Bus
from storage import CommandRefused, EmbeddingFailed, InvalidValue, NotFound, StorageConfig
from storage.adapter import DatabaseAdapter
from storage.client import StorageClient
from storage.embedding import CallableEmbedder
from storage.knowledge import Knowledge, Section
from storage.model.collections import CreateCollection, tag_of
from storage.model.documents import Chunk, IngestChunks, chunk_hash, chunk_id
from storage.model.values import now, pack_vector
from tests.storage.backends import Raw
from tests.storage.sidecars import sidecar

pytestmark = pytest.mark.anyio

GUIDE = """\
# Guide

Everything about the parser.

## Install

Run make, then make install.

## Use

Call it on Fridays only.
"""


@dataclasses.dataclass
class Counted:
    """An embedder of three dimensions, which remembers what it was asked."""

    asked: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    failing: bool = False

    async def embed(self, texts: list[str], kind: str) -> list[list[float]]:
        if self.failing:
            raise EmbeddingFailed("the model is gone")
        self.asked += [(kind, text) for text in texts]
        return [[float("Fridays" in text), float("make" in text), 0.1] for text in texts]


@pytest.fixture
def model() -> Counted:
    return Counted()


@pytest.fixture
def embedding(storage: DatabaseAdapter, model: Counted) -> DatabaseAdapter:
    """The storage with an embedder."""
    storage.embedder = CallableEmbedder(model.embed, 3)
    return storage


@pytest.fixture
async def guide(storage: DatabaseAdapter) -> Knowledge:
    """A collection of one document."""
    knowledge = storage.scoped("a").knowledge
    await knowledge.create_collection("Guides", collection_id="c-1")
    await knowledge.ingest("guides", "guide.md", GUIDE)
    return knowledge


def test_a_tag_is_the_name_in_lower_case_with_dashes() -> None:
    assert tag_of("My Docs: v1.2 (new)") == "my-docs-v1.2-new-"
    assert tag_of("a__B") == "a__b"
    for name in ("", "???", "你好"):
        with pytest.raises(InvalidValue, match="collection_name"):
            tag_of(name)


async def test_a_collection_is_found_by_id_and_tag_and_its_tag_is_its_own(
    storage: DatabaseAdapter,
) -> None:
    knowledge = storage.scoped("a").knowledge
    made = await knowledge.create_collection("Team Docs")
    assert (made.collection_tag, made.owner_agent_id) == ("team-docs", "a")
    assert await knowledge.get_collection(made.id) == made
    assert await knowledge.get_collection("team-docs") == made
    assert await knowledge.list_collections() == [made]
    for agent in ("a", "b"):
        with pytest.raises(CommandRefused, match="collection_tag: team-docs is taken"):
            await storage.scoped(agent).knowledge.create_collection("TEAM docs")
    with pytest.raises(CommandRefused, match=f"id: there is another collection {made.id}"):
        await knowledge.create_collection("x", collection_id=made.id)
    with pytest.raises(InvalidValue, match="nothing that a tag could be made of"):
        await knowledge.create_collection("x", tag="é!")
    wrong = msgspec.structs.replace(made, id="other", collection_tag="É")
    with pytest.raises(InvalidValue, match="collection_tag"):
        await storage.write(CreateCollection(by="a", collection=wrong))
    by_operators = storage.operator().knowledge
    await by_operators.create_collection("Nobody's")
    await by_operators.create_collection("For b", owner="b")
    assert [one.collection_tag for one in await by_operators.list_collections()] == [
        *("for-b", "nobody-s", "team-docs")
    ]
    assert await storage.scoped("b").knowledge.get_collection("for-b") is not None


async def test_grants_say_who_reads_and_writes(storage: DatabaseAdapter, guide: Knowledge) -> None:
    other = storage.scoped("b").knowledge
    with pytest.raises(NotFound, match="no collection guides that b may read"):
        await other.list_documents("guides")
    with pytest.raises(NotFound, match="no collection guides that b may write in"):
        await other.ingest("guides", "x", "text")
    with pytest.raises(NotFound):
        await other.search("parser", collections="guides")
    assert await other.search("parser") == []
    await guide.grant("guides", "b")
    assert [hit.chunk.source for hit in await other.search("parser")] == ["guide.md"]
    with pytest.raises(CommandRefused, match="b may write in: its owners let agents in"):
        await other.ingest("guides", "x", "text")
    with pytest.raises(CommandRefused, match="b may grant"):
        await other.grant("guides", "b", can_write=True)
    with pytest.raises(CommandRefused, match="b may delete"):
        await other.delete_collection("guides")
    [granted] = await guide.list_grants("guides")
    await guide.grant("guides", "b", can_write=True)
    [again] = await guide.list_grants("guides")
    assert (again.id, again.created_at, again.can_write) == (granted.id, granted.created_at, True)
    await other.ingest("guides", "x", "text")
    await guide.grant("guides", "b", is_owner=True)
    await other.grant("guides", "c")
    await guide.revoke("guides", "b")
    await guide.revoke("guides", "b")
    assert await other.get_collection("guides") is None
    await other.delete_collection("guides")
    assert [one.agent_id for one in await guide.list_grants("guides")] == ["c"]
    with pytest.raises(InvalidValue, match="use `revoke`"):
        await guide.grant("guides", "b", can_read=False)
    operator = storage.operator().knowledge
    await operator.revoke("guides", "c")
    assert await operator.list_grants("guides") == []


async def test_who_may_only_write_brings_documents_by_the_id_and_sees_none(
    storage: DatabaseAdapter, guide: Knowledge
) -> None:
    await guide.grant("guides", "b", can_read=False, can_write=True)
    other = storage.scoped("b").knowledge
    with pytest.raises(NotFound):
        await other.ingest("guides", "note", "dropped")
    done = await other.ingest("c-1", "note", "dropped")
    assert done.new == 1
    assert await other.search("dropped") == await other.list_collections() == []
    [chunk] = await guide.list_chunks("guides", "note")
    assert (chunk.agent_id, chunk.content) == ("b", "dropped")
    await other.delete_document("c-1", "note")
    assert await guide.list_chunks("guides", "note") == []


async def test_pieces_say_where_they_stand(storage: DatabaseAdapter, guide: Knowledge) -> None:
    chunks = await guide.list_chunks("guides", "guide.md")
    assert [(chunk.section, chunk.start_offset) for chunk in chunks] == [
        ("Guide", 0),
        ("Guide > Install", GUIDE.index("## Install")),
        ("Guide > Use", GUIDE.index("## Use")),
    ]
    for chunk in chunks:
        assert GUIDE[chunk.start_offset :].startswith(chunk.content)
    assert [c.start_offset for c in await guide.list_chunks("guides", "guide.md", start=1)] == [
        chunk.start_offset for chunk in chunks[1:]
    ]
    [hit] = await guide.search("fridays")
    assert (hit.collection.collection_tag, hit.chunk.source, hit.chunk.section) == (
        *("guides", "guide.md", "Guide > Use"),
    )
    assert [h.chunk.section for h in await guide.search("install", limit=1)] == ["Guide > Install"]
    [document] = await guide.list_documents("guides")
    assert (document.source, document.chunks, document.embedded) == ("guide.md", 3, 0)
    assert (await storage.stats()).knowledge_chunks == 3


async def test_the_title_and_the_headings_are_words_of_each_piece(guide: Knowledge) -> None:
    await guide.ingest("guides", "n.txt", "plain words", title="Quagga handbook")
    [hit] = await guide.search("quagga")
    assert (hit.chunk.source, hit.chunk.context) == ("n.txt", "Quagga handbook")


async def test_of_a_new_text_only_what_changed_is_new(
    embedding: DatabaseAdapter, model: Counted, raw: Raw
) -> None:
    knowledge = embedding.scoped("a").knowledge
    await knowledge.create_collection("Guides")
    first = await knowledge.ingest("guides", "guide.md", GUIDE)
    assert (first.new, first.kept, first.removed) == (3, 0, 0)
    before = await knowledge.list_chunks("guides", "guide.md")
    assert all(chunk.embedding for chunk in before)
    assert [kind for kind, _ in model.asked] == ["passage"] * 3
    assert model.asked[1][1] == "Guide > Install\n\n" + before[1].content

    model.asked.clear()
    same = await knowledge.ingest("guides", "guide.md", GUIDE)
    assert (same.new, same.kept, same.removed) == (0, 3, 0)
    assert await knowledge.list_chunks("guides", "guide.md") == before
    assert model.asked == []

    changed = GUIDE.replace("Run make", "Read this first, and run make").replace("Friday", "Monday")
    await raw.query("CREATE TABLE untouched AS SELECT id, updated_at FROM knowledge_chunks")
    third = await knowledge.ingest("guides", "guide.md", changed + "\n## More\n\nNothing.\n")
    assert (third.new, third.kept, third.removed) == (3, 1, 2)
    after = await knowledge.list_chunks("guides", "guide.md")
    assert after[0] == before[0], "neither its id nor its embedding nor a time of it"
    assert [chunk.section for chunk in after][2:] == ["Guide > Use", "Guide > More"]
    assert len(model.asked) == 3
    assert await knowledge.search("fridays", mode="keyword") == []


async def test_what_only_moved_keeps_its_id_and_its_embedding(
    embedding: DatabaseAdapter, model: Counted
) -> None:
    knowledge = embedding.scoped("a").knowledge
    await knowledge.create_collection("Guides")
    await knowledge.ingest("guides", "guide.md", GUIDE)
    before = await knowledge.list_chunks("guides", "guide.md")
    model.asked.clear()
    added = "A line before all of it.\n\n"
    moved = await knowledge.ingest("guides", "guide.md", added + GUIDE)
    assert (moved.new, moved.kept, moved.removed) == (1, 3, 0)
    after = (await knowledge.list_chunks("guides", "guide.md"))[1:]
    assert [chunk.start_offset - len(added) for chunk in after] == [c.start_offset for c in before]
    for one, other in zip(before, after, strict=True):
        assert (one.id, one.embedding, one.created_at) == (
            *(other.id, other.embedding, other.created_at),
        )
    assert len(model.asked) == 1
    labelled = await knowledge.ingest("guides", "guide.md", added + GUIDE, metadata={"v": 2})
    assert labelled.new == labelled.removed == 0
    assert {c.metadata["v"] for c in await knowledge.list_chunks("guides", "guide.md")} == {2}


async def test_what_was_brought_without_an_embedder_is_embedded_when_there_is_one(
    guide: Knowledge, storage: DatabaseAdapter, model: Counted
) -> None:
    [*before] = await guide.list_chunks("guides", "guide.md")
    storage.embedder = CallableEmbedder(model.embed, 3)
    done = await storage.scoped("a").knowledge.ingest("guides", "guide.md", GUIDE)
    assert (done.new, done.kept) == (0, 3)
    after = await guide.list_chunks("guides", "guide.md")
    assert [chunk.id for chunk in after] == [chunk.id for chunk in before]
    assert all(chunk.embedding for chunk in after)


async def test_what_stands_twice_is_there_once_and_other_documents_keep_theirs(
    guide: Knowledge,
) -> None:
    text = "\n\n".join(["The same paragraph over and over again, word by word."] * 4)
    done = await guide.ingest("guides", "twice.txt", text, size=60, overlap=0)
    assert done.new == 1
    again = await guide.ingest("guides", "other.txt", text, size=60, overlap=0)
    assert again.new == 1
    ids = {c.id for s in ("twice.txt", "other.txt") for c in await guide.list_chunks("guides", s)}
    assert len(ids) == 2
    await guide.delete_document("guides", "twice.txt")
    await guide.delete_document("guides", "twice.txt")
    assert [one.source for one in await guide.list_documents("guides")] == [
        *("guide.md", "other.txt")
    ]


async def test_a_large_document_goes_in_several_commands(guide: Knowledge) -> None:
    lines = [f"Line {n} of the large document, about number {n}." for n in range(1200)]
    done = await guide.ingest("guides", "large", "\n\n".join(lines), size=60, overlap=0)
    assert done.new == 1200
    [_, document] = await guide.list_documents("guides")
    assert document.chunks == 1200
    shorter = await guide.ingest("guides", "large", "\n\n".join(lines[:5]), size=60, overlap=0)
    assert (shorter.new, shorter.kept, shorter.removed) == (0, 5, 1195)
    assert [hit.chunk.content for hit in await guide.search("1100 3", source="large")] == [lines[3]]


async def test_what_a_failing_embedder_interrupted_is_finished_by_doing_it_again(
    embedding: DatabaseAdapter, model: Counted
) -> None:
    knowledge = embedding.scoped("a").knowledge
    await knowledge.create_collection("Guides")
    text = "\n\n".join(f"Line {n} of the large document, about number {n}." for n in range(500))
    real = model.embed

    async def failing_later(texts: list[str], kind: str) -> list[list[float]]:
        model.failing = len(model.asked) >= 400
        return await real(texts, kind)

    embedding.embedder = CallableEmbedder(failing_later, 3)
    knowledge = embedding.scoped("a").knowledge
    with pytest.raises(EmbeddingFailed, match="gone"):
        await knowledge.ingest("guides", "large", text, size=50, overlap=0)
    [document] = await knowledge.list_documents("guides")
    assert (document.chunks, document.embedded) == (400, 400)
    model.asked.clear()
    await knowledge.ingest("guides", "large", text, size=50, overlap=0)
    [document] = await knowledge.list_documents("guides")
    assert (document.chunks, document.embedded, len(model.asked)) == (500, 500, 100)


def command(agent: str, texts: Sequence[str], keep: Sequence[str] | None) -> IngestChunks:
    moment = now()
    chunks = [
        Chunk(
            id=chunk_id("c-1", "doc", chunk_hash(None, text)),
            collection_id="c-1",
            agent_id=agent,
            source="doc",
            content=text,
            content_hash=chunk_hash(None, text),
            created_at=moment,
            updated_at=moment,
        )
        for text in texts
    ]
    ids = None if keep is None else [chunk_id("c-1", "doc", chunk_hash(None, t)) for t in keep]
    return IngestChunks(agent_id=agent, collection_id="c-1", source="doc", chunks=chunks, keep=ids)


async def test_two_that_bring_a_document_at_once_are_told_rather_than_mixed(
    storage: DatabaseAdapter, guide: Knowledge
) -> None:
    await storage.write(command("a", ["one"], None))
    await storage.write(command("a", ["other"], ["other"]))
    with pytest.raises(CommandRefused, match="another agent changed the document at the same time"):
        await storage.write(command("a", ["two"], ["one", "two"]))
    assert [c.content for c in await guide.list_chunks("guides", "doc")] == ["other"]


async def test_a_chunk_is_what_its_id_says(storage: DatabaseAdapter, guide: Knowledge) -> None:
    good = command("a", ["one"], None)
    [chunk] = good.chunks
    for changes, field in (
        ({"id": "x"}, "id"),
        ({"content": "other"}, "content_hash"),
        ({"source": "y"}, "chunks"),
        ({"agent_id": "b"}, "agent_id"),
        ({"embedding": pack_vector("e", [1, 2], 2)}, "embedding"),
        ({"start_offset": -1}, "start_offset"),
        ({"metadata": {"a": float("nan")}}, "metadata"),
    ):
        wrong = msgspec.structs.replace(chunk, **changes)
        with pytest.raises(InvalidValue) as caught:
            await storage.write(msgspec.structs.replace(good, chunks=[wrong]))
        assert caught.value.field == field
    with pytest.raises(CommandRefused, match="no collection c-2 that a may write in"):
        await storage.write(msgspec.structs.replace(good, collection_id="c-2", chunks=[]))


async def test_sections_of_the_callers_own(guide: Knowledge) -> None:
    pages = [Section(title="Page 1", text="first words"), Section(title="Page 2", text="more")]
    await guide.ingest("guides", "book.pdf", sections=pages)
    chunks = await guide.list_chunks("guides", "book.pdf")
    assert [(c.section, c.start_offset, c.content) for c in chunks] == [
        ("Page 1", 0, "first words"),
        ("Page 2", 11, "more"),
    ]
    await guide.ingest("guides", "log", sections=[Section(text="tail", start=900)])
    assert [c.start_offset for c in await guide.list_chunks("guides", "log")] == [900]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"source": ""}, "source"),
        ({"source": "s" * 2001}, "source"),
        ({"source": "\ud800"}, "source"),
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "a\0"}, "text"),
        ({"text": "\udfff"}, "text"),
        ({"text": None}, "text"),
        ({"sections": []}, "text"),
        ({"text": None, "sections": ["x"]}, "sections[0]"),
        ({"text": None, "sections": [Section(text="x", start=-1)]}, "sections[0].start"),
        ({"title": "\0"}, "title"),
        ({"form": "html"}, "form"),
        ({"size": 10}, "size"),
        ({"overlap": -1}, "overlap"),
        ({"metadata": [1]}, "metadata"),
        ({"text": "".join(f"{n:049}\n" for n in range(20_001)), "size": 50, "overlap": 0}, "text"),
    ],
)
async def test_a_wrong_value_is_named(
    guide: Knowledge, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        await guide.ingest("guides", **({"source": "s", "text": "words"} | arguments))
    assert caught.value.field == field
    assert [one.source for one in await guide.list_documents("guides")] == ["guide.md"]


async def test_searches_by_words_by_vector_and_by_both(
    embedding: DatabaseAdapter, model: Counted
) -> None:
    knowledge = embedding.scoped("a").knowledge
    await knowledge.create_collection("Guides")
    await knowledge.create_collection("Other")
    await knowledge.ingest("guides", "guide.md", GUIDE)
    await knowledge.ingest("other", "guide.md", GUIDE)
    model.asked.clear()

    async def found(query: str, **more: Any) -> list[tuple[str, str | None]]:
        hits = await knowledge.search(query, **more)
        return [(hit.collection.collection_tag, hit.chunk.section) for hit in hits]

    use = {("guides", "Guide > Use"), ("other", "Guide > Use")}
    assert set(await found("Fridays", mode="keyword")) == use
    assert model.asked == []
    assert set((await found("Fridays", mode="vector"))[:2]) == use
    assert set((await found("Fridays"))[:2]) == use
    assert model.asked == [("query", "Fridays")] * 2
    assert await found("Fridays", collections="other", limit=1) == [("other", "Guide > Use")]
    assert await found("x", embedding=[0, 1, 0], collections=["guides"], limit=1) == [
        ("guides", "Guide > Install")
    ]
    assert await found("Fridays", collections=[]) == []
    assert await found("Fridays", source="none.md") == []
    embedding.embedder = None
    with pytest.raises(InvalidValue, match="embedding: is missing"):
        await embedding.scoped("a").knowledge.search("x", mode="vector")
    with pytest.raises(InvalidValue, match="mode"):
        await knowledge.search("x", mode="magic")
    with pytest.raises(InvalidValue, match="collections: are 101"):
        await knowledge.search("x", collections=["guides"] * 101)


async def test_an_embedder_serves_memory_and_what_is_shared_too(
    embedding: DatabaseAdapter, model: Counted
) -> None:
    view = embedding.scoped("a")
    item = await view.memory.create_item(summary="Only on Fridays", memory_type="event")
    given = await view.memory.create_item(summary="make", memory_type="event", embedding=[0, 0, 1])
    assert item.vector == [1, 0, pytest.approx(0.1)]
    assert given.vector == [0, 0, 1]
    hits = await view.memory.search("What about Fridays?")
    assert hits[0].item.id == item.id
    await view.memory.update_item(given.id, summary="also on Fridays")
    changed = await view.memory.get_item(given.id)
    assert changed is not None
    assert changed.vector == item.vector
    await view.memory.search_by_keyword("Fridays")
    lesson = await view.memory.create_lesson(
        type="mistake", context="c", action="make", outcome="o", lesson="l"
    )
    assert lesson.vector == [0, 1, pytest.approx(0.1)]
    assert [hit.lesson.id for hit in await view.memory.search_lessons("how to make")] == [lesson.id]
    shared = await view.knowledge.publish(title="Fridays", content="no", category="lesson")
    assert [h.knowledge.id for h in await view.knowledge.search_shared("Fridays?")] == [shared.id]
    assert [kind for kind, _ in model.asked] == [
        *("passage", "query", "passage", "passage", "query", "passage", "query")
    ]
    model.failing = True
    with pytest.raises(EmbeddingFailed):
        await view.memory.create_item(summary="lost?", memory_type="event")
    assert len(await view.memory.list_items()) == 2


async def test_shared_knowledge_is_endorsed_once_by_each_and_deleted_by_its_own(
    storage: DatabaseAdapter,
) -> None:
    mine, other = storage.scoped("a").knowledge, storage.scoped("b").knowledge
    made = await mine.publish(
        title="Parsers", content="never on Fridays", category="tool_tip", confidence=0.75,
        source_item_id="i-1", embedding=[1, 0, 0],
    )  # fmt: skip
    assert await other.get_shared(made.id) == made
    for _ in range(2):
        await mine.endorse(made.id)
        await other.endorse(made.id)
    second = await other.publish(title="x", content="y", category="fact")
    listed = await other.list_shared()
    assert [(one.id, one.endorsements) for one in listed] == [(made.id, 2), (second.id, 0)]
    assert [one.id for one in await mine.list_shared(category="fact")] == [second.id]
    assert [one.id for one in await mine.list_shared(source_agent_id="a")] == [made.id]
    assert [hit.knowledge.id for hit in await other.search_shared("friday")] == [made.id]
    assert await other.search_shared("friday", category="pattern") == []
    with pytest.raises(CommandRefused, match="no shared knowledge nope"):
        await other.endorse("nope")
    with pytest.raises(CommandRefused, match="another shared knowledge"):
        await other.publish(title="t", content="c", category="fact", knowledge_id=made.id)
    with pytest.raises(InvalidValue, match="category"):
        await mine.publish(title="t", content="c", category="rumour")
    await other.delete_shared(made.id)
    assert await mine.get_shared(made.id) is not None
    await mine.delete_shared(made.id)
    await mine.delete_shared(made.id)
    assert await other.get_shared(made.id) is None
    await storage.operator().knowledge.delete_shared(second.id)
    assert await mine.list_shared() == []


async def test_all_of_it_goes_over_the_bus(bus: Bus, config: StorageConfig, model: Counted) -> None:
    async def embed(texts: list[str], kind: str) -> list[list[float]]:
        return [vector * 256 for vector in await model.embed(texts, kind)]

    async with sidecar(config), bus.join("a") as a, bus.join("b") as b:
        mine = StorageClient(a, embedder=CallableEmbedder(embed, 768))
        other = StorageClient(b)
        made = await mine.knowledge.create_collection("Guides")
        done = await mine.knowledge.ingest("guides", "guide.md", GUIDE)
        assert (done.collection_id, done.new) == (made.id, 3)
        assert (await mine.knowledge.ingest("guides", "guide.md", GUIDE)).kept == 3
        await mine.knowledge.grant("guides", "b")
        shared = await mine.knowledge.publish(title="t", content="c", category="fact")
        await mine.flush()
        await other.knowledge.endorse(shared.id)
        [hit] = await other.knowledge.search("fridays")
        assert (hit.collection, hit.chunk.section) == (made, "Guide > Use")
        [best, *_] = await mine.knowledge.search("Fridays", mode="vector")
        assert best.chunk == hit.chunk
        found = await other.knowledge.get_shared(shared.id)
        assert found is not None
        assert found.endorsements == 1
        with pytest.raises(NotFound, match="no collection nope that b may read"):
            await other.knowledge.search("x", collections="nope")
        await mine.knowledge.delete_collection("guides")
        await mine.flush()
        assert await other.knowledge.list_collections() == []
