"""Documents in knowledge collections: brought in pieces, searched, listed, removed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from storage import queries
from storage.errors import InvalidValue
from storage.model import values
from storage.model.collections import Collection
from storage.model.documents import Chunk, DeleteDocument, IngestChunks

from .collections import Collections
from .ingestion import Draft, Section, Stored, batches, checked_metadata, drafts, is_as_stored
from .splitting import OVERLAP, SIZE

SQL: Final = queries.load("storage.knowledge", "documents.sql")

MODES: Final = ("hybrid", "keyword", "vector")


class KnowledgeHit(msgspec.Struct, frozen=True):
    """A piece of a document that was found.

    Attributes:
        chunk: Its `source`, `section` and `start_offset` say where it stands.
        score: 1 for the best of all candidates, 0 for the last.
    """

    chunk: Chunk
    collection: Collection
    score: float


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document of a collection.

    Attributes:
        chunks: How many it was split into, those that repeat each other counted once.
        embedded: How many of them have an embedding.
        updated_at: When anything of it was changed last.
    """

    source: str
    chunks: int
    embedded: int
    created_at: datetime
    updated_at: datetime


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What bringing a document came to, in chunks.

    Attributes:
        new: Those that were not there.
        kept: Those that were: they keep their ids, and embeddings.
        removed: Those of an earlier text of the document.
    """

    collection_id: str
    source: str
    new: int
    kept: int
    removed: int


class Documents(Collections):
    """What one agent may do with documents."""

    async def ingest(
        self,
        collection: str,
        source: str,
        text: str | None = None,
        *,
        sections: Sequence[Section] | None = None,
        title: str | None = None,
        form: str | None = None,
        size: int = SIZE,
        overlap: int = OVERLAP,
        metadata: Mapping[str, Any] | None = None,
    ) -> Ingested:
        """Bring a document into a collection, or its new text: of that only what has changed.

        It is split along its headings and paragraphs. A document of up to 200 chunks (and a
        megabyte) is changed at once; of a larger one, old and new are there together for a while,
        and doing it again finishes what was interrupted.

        Args:
            collection: Id or tag; this agent may write there.
            source: The document's name: a path, a URL. What is there of it is replaced.
            text: All of it, up to 20,000,000 characters; or give its sections.
            sections: Where the caller knows better where it begins anew.
            title: Found with every piece of it, as the headings are.
            form: markdown or plain; by the name of the source where it is not given.
            size: Longest piece, in characters.
            overlap: What a piece repeats of the one before, in characters at most.
            metadata: Kept with every piece.

        Raises:
            InvalidValue: a value that no table may hold.
            NotFound: there is no such collection that this agent may write in.
            CommandRefused: others changed the document at the same time: bring it again.
            EmbeddingFailed: the embedder that is configured failed; what was written stays.
        """
        collection_id = await self._writable(collection)
        made = drafts(source, text, sections, title=title, form=form, size=size, overlap=overlap)
        metadata = checked_metadata(metadata)
        stored: dict[str, Stored] = {
            one.id: one
            for one in await self._port.read(
                "documents", "stored", collection_id=collection_id, source=source
            )
        }
        wanted = {draft.id_in(collection_id, source): draft for draft in made}
        kept = wanted.keys() & stored.keys()
        report = Ingested(
            collection_id=collection_id,
            source=source,
            new=len(wanted) - len(kept),
            kept=len(kept),
            removed=len(stored) - len(kept),
        )
        embeds = self._port.embedder is not None
        if wanted.keys() == stored.keys() and all(
            is_as_stored(draft, stored[key], metadata, embedded=embeds)
            for key, draft in wanted.items()
        ):
            return report
        moment = values.now()
        rest = len(wanted)
        for batch in batches(list(wanted.items())):
            rest -= len(batch)
            vectors = await self._vectors(batch, stored)
            chunks = [
                Chunk(
                    id=key,
                    collection_id=collection_id,
                    agent_id=self.agent,
                    source=source,
                    section=draft.section,
                    start_offset=draft.start,
                    content=draft.content,
                    context=draft.context,
                    content_hash=draft.content_hash,
                    embedding=vectors.get(key),
                    metadata=metadata,
                    created_at=moment,
                    updated_at=moment,
                )
                for key, draft in batch
            ]
            await self._port.write(
                IngestChunks(
                    agent_id=self.agent,
                    collection_id=collection_id,
                    source=source,
                    chunks=chunks,
                    keep=None if rest else list(wanted),
                )
            )
        return report

    async def _vectors(
        self, batch: Sequence[tuple[str, Draft]], stored: Mapping[str, Stored]
    ) -> dict[str, bytes | None]:
        """Embeddings of those that have none."""
        bare = [
            (key, draft) for key, draft in batch if key not in stored or not stored[key].embedded
        ]
        texts = [draft.searched for _, draft in bare]
        vectors = await self._embedded_all(texts)
        return {} if vectors is None else dict(zip((key for key, _ in bare), vectors, strict=True))

    async def search(
        self,
        query: str,
        *,
        embedding: Sequence[float] | None = None,
        collections: str | Sequence[str] | None = None,
        source: str | None = None,
        mode: str = "hybrid",
        limit: int = 10,
    ) -> list[KnowledgeHit]:
        """The pieces that fit best, of all collections that this agent may read.

        Args:
            query: Any of its words will do.
            embedding: Numbers, as many as this storage's dimension; made of the query where there
                is an embedder.
            collections: Only these, by id or tag.
            source: Only of this document.
            mode: hybrid; or keyword or vector alone.

        Raises:
            InvalidValue: a value that cannot be looked for.
            NotFound: a collection is named that this agent may not read.
            EmbeddingFailed: the embedder that is configured failed: `mode="keyword"` needs none.
        """
        values.one_of("mode", mode, MODES)
        if mode == "keyword":
            embedding = None
        else:
            embedding = await self._embedded_query(query, embedding)
        if mode == "vector" and embedding is None:
            raise InvalidValue("embedding", "is missing: give one, or configure an embedder")
        named = [collections] if isinstance(collections, str) else list(collections or ())
        hits: list[KnowledgeHit] = await self._port.read(
            "documents",
            "search",
            query="" if mode == "vector" else query,
            embedding=embedding,
            collections=named if collections is not None else None,
            source=source,
            limit=limit,
        )
        return hits

    async def list_documents(
        self, collection: str, *, limit: int = 50, offset: int = 0
    ) -> list[Document]:
        """The documents of a collection, by the names of their sources.

        Raises:
            NotFound: there is no such collection that this agent may read.
        """
        found: list[Document] = await self._port.read(
            "documents",
            "list_documents",
            collection_id=await self._readable(collection),
            limit=limit,
            offset=offset,
        )
        return found

    async def list_chunks(
        self, collection: str, source: str, *, start: int = 0, limit: int = 50
    ) -> list[Chunk]:
        """The pieces of a document in their order, from `start` (in characters) on.

        Raises:
            NotFound: there is no such collection that this agent may read.
        """
        found: list[Chunk] = await self._port.read(
            "documents",
            "list_chunks",
            collection_id=await self._readable(collection),
            source=source,
            start=start,
            limit=limit,
        )
        return found

    async def delete_document(self, collection: str, source: str) -> None:
        """Remove a document; one that is not there is no error.

        Raises:
            NotFound: there is no such collection that this agent may write in.
        """
        await self._port.write(
            DeleteDocument(
                agent_id=self.agent,
                collection_id=await self._writable(collection),
                source=source,
            )
        )
