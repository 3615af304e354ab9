"""Collections, grants, documents and what is shared."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from storage.errors import NotFound
from storage.model.collections import (
    Collection,
    CreateCollection,
    DeleteCollection,
    Grant,
    GrantCollection,
    RevokeGrant,
)
from storage.model.command import Command
from storage.model.documents import Chunk, DeleteDocument, IngestChunks, chunk_hash, chunk_id
from storage.model.shared_knowledge import (
    DeleteKnowledge,
    EndorseKnowledge,
    PublishKnowledge,
    SharedKnowledge,
)
from storage.parts import Scoped
from tests.storage.histories import moment

_two = st.sampled_from(["c-0", "c-1"])
_agents = st.sampled_from(["scout", "mate"])
_sources = st.sampled_from(["one.md", "two.md"])
_flag = st.booleans()
_texts = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), max_size=3)

plans = st.one_of(
    st.tuples(st.just("create collection"), _two, _agents, st.sampled_from(["tag", "t-2"])),
    st.tuples(st.just("delete collection"), _two, _agents),
    st.tuples(st.just("grant"), _two, _agents, _agents, _flag, _flag, _flag),
    st.tuples(st.just("revoke"), _two, _agents, _agents),
    st.tuples(st.just("ingest"), _two, _agents, _sources, _texts, _flag),
    st.tuples(st.just("delete document"), _two, _agents, _sources),
    st.tuples(st.just("publish"), _agents, st.integers(0, 2)),
    st.tuples(st.just("endorse"), _agents, st.integers(0, 2)),
    st.tuples(st.just("delete shared"), _agents, st.integers(0, 2)),
)


def command(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("create collection", which, by, tag):
            collection = Collection(
                id=which,
                collection_name="x",
                collection_tag=tag,
                owner_agent_id=by,
                created_at=now,
                updated_at=now,
            )
            return CreateCollection(by=by, collection=collection)
        case ("delete collection", which, by):
            return DeleteCollection(agent_id=by, collection_id=which)
        case ("grant", which, by, to, read, write, own):
            grant = Grant(
                id=f"g-{n % 4}",
                collection_id=which,
                agent_id=to,
                can_read=read or not (write or own),
                can_write=write,
                is_owner=own,
                created_at=now,
                updated_at=now,
            )
            return GrantCollection(by=by, grant=grant)
        case ("revoke", which, by, to):
            return RevokeGrant(by=by, collection_id=which, grantee=to)
        case ("ingest", which, by, source, texts, finishes):
            chunks = [_chunk(n, which, by, source, place, text) for place, text in enumerate(texts)]
            keep = [chunk.id for chunk in chunks] if finishes else None
            return IngestChunks(
                agent_id=by, collection_id=which, source=source, chunks=chunks, keep=keep
            )
        case ("delete document", which, by, source):
            return DeleteDocument(agent_id=by, collection_id=which, source=source)
        case _:
            return _of_library(n, plan)


def _chunk(n: int, which: str, by: str, source: str, place: int, text: str) -> Chunk:
    digest = chunk_hash("head", text)
    return Chunk(
        id=chunk_id(which, source, digest),
        collection_id=which,
        agent_id=by,
        source=source,
        section=[None, "head"][n % 2],
        start_offset=place * 10,
        content=text,
        context="head",
        content_hash=digest,
        embedding=[None, b"\0\0\x80?" * 3, b"\0\0\0\0" * 3][n % 3],
        metadata=[{}, {"n": 1}][n % 5 == 0],
        created_at=moment(n),
        updated_at=moment(n),
    )


def _of_library(n: int, plan: Sequence[Any]) -> Command | None:
    now = moment(n)
    match plan:
        case ("publish", by, which):
            knowledge = SharedKnowledge(
                id=f"k-{which}",
                source_agent_id=by,
                category="fact",
                title=f"title {n}",
                content="words",
                created_at=now,
                updated_at=now,
            )
            return PublishKnowledge(knowledge=knowledge)
        case ("endorse", by, which):
            return EndorseKnowledge(agent_id=by, knowledge_id=f"k-{which}", at=now)
        case ("delete shared", by, which):
            return DeleteKnowledge(agent_id=by, knowledge_id=f"k-{which}")
    return None


async def reads(view: Scoped) -> list[Any]:
    knowledge = view.knowledge
    found: list[Any] = [await knowledge.list_collections(), await knowledge.list_shared()]
    for which in ("c-0", "c-1"):
        try:
            found += [
                await knowledge.list_grants(which),
                await knowledge.list_documents(which),
                await knowledge.list_chunks(which, "one.md"),
            ]
        except NotFound as error:
            found.append(str(error))
    hits = await knowledge.search("alpha gamma", embedding=[1, 1, 1])
    shared = await knowledge.search_shared("words")
    return [*found, {hit.chunk.id for hit in hits}, {hit.knowledge.id for hit in shared}]
