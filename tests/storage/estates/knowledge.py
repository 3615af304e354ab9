"""Collections of `a`: kept for itself, granted to `b` to read, to `c` to write, to `d` to own; and
what is shared with everybody.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from storage.adapter import DatabaseAdapter
from storage.errors import NotFound
from storage.parts import Scoped
from tests.storage.backends import Raw
from tests.storage.estates import AGENTS, Read, Shown, each, seen

COLLECTIONS = ("kept", "read", "write", "own")
SEEN = seen(a={*COLLECTIONS}, b={"read"}, d={"own"})
EVERYBODY = {agent: {"shared-1", "shared-2"} for agent in (*AGENTS, "")}
GRANTEES = seen(a={"b", "c", "d"}, b={"b"}, d={"d"})


async def fill(storage: DatabaseAdapter, raw: Raw) -> None:
    knowledge = storage.scoped("a").knowledge
    for name in COLLECTIONS:
        await knowledge.create_collection(f"of a: {name}", tag=name, collection_id=name)
        await knowledge.ingest(name, f"{name}.md", f"# Apples\n\napple {name}")
    await knowledge.grant("read", "b")
    await knowledge.grant("write", "c", can_read=False, can_write=True)
    await knowledge.grant("own", "d", can_read=False, is_owner=True)
    await raw.query("UPDATE knowledge_chunks SET embedding = " + await _vector(raw))
    for n in (1, 2):
        await knowledge.publish(
            title="apple", content="x", category="fact", knowledge_id=f"shared-{n}"
        )
    await knowledge.endorse("shared-1")
    await storage.scoped("b").knowledge.endorse("shared-1")


async def _vector(raw: Raw) -> str:
    return "x'0000803f0000000000000000'" if type(raw).__name__ == "RawSQLite" else "'[1,0,0]'"


async def _tried(read: Callable[[str], Awaitable[Iterable[Any]]]) -> list[Any]:
    """What `read` finds in each collection; one that may not be read has nothing."""
    found: list[Any] = []
    for name in COLLECTIONS:
        try:
            found += await read(name)
        except NotFound:
            continue
    return found


async def _grants(view: Scoped) -> list[str]:
    return [one.agent_id for one in await _tried(view.knowledge.list_grants)]


async def _documents(view: Scoped) -> list[str]:
    found = await _tried(view.knowledge.list_documents)
    return [one.source.removesuffix(".md") for one in found]


async def _chunks(view: Scoped) -> list[str]:
    async def read(name: str) -> Iterable[Any]:
        return await view.knowledge.list_chunks(name, f"{name}.md")

    return [one.collection_id for one in await _tried(read)]


async def _stored(view: Scoped) -> list[str]:
    return [
        name
        for name in COLLECTIONS
        if await view.knowledge._port.read(
            "documents", "stored", collection_id=name, source=f"{name}.md"
        )
    ]


async def _hits(view: Scoped) -> set[str]:
    search = view.knowledge.search
    words = await search("apple")
    near = await search("", embedding=[1, 0, 0])
    both = await search("apple", embedding=[1, 0, 0])
    named = await _tried(lambda name: search("apple", collections=name))
    ids = [{hit.chunk.collection_id for hit in hits} for hits in (words, near, both, named)]
    assert ids[0] == ids[1] == ids[2] == ids[3]
    assert all(hit.collection.id == hit.chunk.collection_id for hit in both)
    return ids[0]


async def _to_write(view: Scoped) -> list[str]:
    async def read(name: str) -> Any:
        return await view.knowledge._port.read("collections", "to_write", collection=name)

    return await each(read, COLLECTIONS)


async def _shared_hits(view: Scoped) -> list[str]:
    return [hit.knowledge.id for hit in await view.knowledge.search_shared("apple")]


READS = {
    ("collections", "get_collection"): Read(
        lambda view: each(view.knowledge.get_collection, COLLECTIONS), SEEN
    ),
    ("collections", "list_collections"): Read(
        lambda view: _ids(view.knowledge.list_collections()), SEEN
    ),
    # Of an agent that only writes, just the grant that lets it do so.
    ("collections", "to_write"): Read(
        _to_write, seen(a={*COLLECTIONS}, b={"read"}, c={"write"}, d={"own"})
    ),
    ("collections", "list_grants"): Read(_grants, GRANTEES),
    ("documents", "stored"): Read(_stored, SEEN),
    ("documents", "list_documents"): Read(_documents, SEEN),
    ("documents", "list_chunks"): Read(_chunks, SEEN),
    ("documents", "search"): Read(_hits, SEEN),
    ("shared", "get_shared"): Read(
        lambda view: each(view.knowledge.get_shared, ("shared-1", "shared-2")), EVERYBODY
    ),
    ("shared", "list_shared"): Read(lambda view: _ids(view.knowledge.list_shared()), EVERYBODY),
    ("shared", "search_shared"): Read(_shared_hits, EVERYBODY),
}


async def _ids(found: Awaitable[Iterable[Any]]) -> list[str]:
    return [one.id for one in await found]


SQL = {
    "knowledge_collections": Shown("SELECT id FROM knowledge_collections", SEEN),
    "knowledge_collection_grants": Shown(
        "SELECT agent_id FROM knowledge_collection_grants",
        seen(a={"b", "c", "d"}, b={"b"}, c={"c"}, d={"d"}),
    ),
    "knowledge_chunks": Shown("SELECT collection_id FROM knowledge_chunks", SEEN),
    "knowledge_chunks by words": Shown(
        "SELECT collection_id FROM knowledge_chunks WHERE words @@ to_tsquery('appl')", SEEN
    ),
    "knowledge_chunks by vector": Shown(
        "SELECT collection_id FROM knowledge_chunks ORDER BY embedding <=> '[1,0,0]'", SEEN
    ),
    "shared_knowledge": Shown("SELECT id FROM shared_knowledge", EVERYBODY),
    "knowledge_endorsements": Shown(
        "SELECT agent_id FROM knowledge_endorsements", seen(a={"a"}, b={"b"})
    ),
}
