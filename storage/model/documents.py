"""Documents in knowledge collections, in pieces, and the commands that bring and remove them."""

import hashlib
import uuid
from datetime import datetime
from typing import Any, Final, Self

import msgspec

from storage.errors import InvalidValue

from . import values
from .collections import KnowledgeCommand
from .command import check_target

#: Longest name of a source, such as a path or a URL, in characters.
MOST_SOURCE: Final = 2_000

#: Longest content of a chunk, in characters.
MOST_CONTENT: Final = 100_000

#: Most chunks of one command, and of one document.
MOST_AT_ONCE: Final = 200
MOST_CHUNKS: Final = 20_000

#: Of the ids of chunks (RFC 9562, version 5).
_NAMESPACE: Final = uuid.UUID("5f0e6c3a-8f5e-5d0b-9a53-3a4f4d2f7c11")


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `knowledge_chunks`: a piece of a document.

    Attributes:
        id: Follows from the collection, the source and the hash (`chunk_id`).
        agent_id: Who brought it.
        source: The document: a path, a URL, a name.
        section: The headings above it, the outermost first, with ` > ` between.
        start_offset: Where it begins in the document, in characters.
        context: What is indexed with it: the document's title, the section.
        content_hash: SHA-256 of context and content (`chunk_hash`); unique in a document.
        embedding: Little-endian float32, or None; `vector` has its numbers.
    """

    id: str
    collection_id: str
    agent_id: str
    source: str
    section: str | None = None
    start_offset: int = 0
    content: str
    context: str | None = None
    content_hash: str
    embedding: bytes | None = None
    metadata: dict[str, Any] = {}
    created_at: datetime
    updated_at: datetime

    @property
    def vector(self) -> list[float] | None:
        """The embedding as numbers."""
        return None if self.embedding is None else values.unpack_vector(self.embedding)


class IngestChunks(KnowledgeCommand, frozen=True, kw_only=True, tag=True):
    """Bring chunks of a document. Those that stand there keep their ids, and their embeddings where
    no other comes with them.

    Attributes:
        keep: Ids of all chunks of the document, with its last command: what else there is of it
            goes. None: more is to come.
    """

    agent_id: str
    collection_id: str
    source: str
    chunks: list[Chunk]
    keep: list[str] | None = None

    def checked(self, dimensions: int) -> Self:
        check_target("collection_id", self.collection_id)
        values.text("source", self.source, least=1, most=MOST_SOURCE)
        if len(self.chunks) > MOST_AT_ONCE:
            raise InvalidValue("chunks", f"are {len(self.chunks)}, and must be {MOST_AT_ONCE}")
        for chunk in self.chunks:
            self._check(chunk, dimensions)
        if self.keep is not None:
            if len(self.keep) > MOST_CHUNKS:
                raise InvalidValue("keep", f"has {len(self.keep):,}, and at most {MOST_CHUNKS:,}")
            values.texts("keep", self.keep, most=128)
        return self

    def _check(self, chunk: Chunk, dimensions: int) -> None:
        if (chunk.collection_id, chunk.source) != (self.collection_id, self.source):
            raise InvalidValue("chunks", "are not all of the document that the command names")
        values.text("agent_id", chunk.agent_id, most=128)
        if chunk.agent_id != self.agent_id:
            raise InvalidValue("agent_id", f"of a chunk is not {self.agent_id or 'empty'}")
        values.optional_text("section", chunk.section, most=1_000)
        values.whole("start_offset", chunk.start_offset, 0, 2**53)
        values.text("content", chunk.content, least=1, most=MOST_CONTENT)
        values.optional_text("context", chunk.context, most=10_000)
        values.check_packed("embedding", chunk.embedding, dimensions)
        values.json_object("metadata", chunk.metadata)
        values.known_moment("created_at", chunk.created_at)
        values.known_moment("updated_at", chunk.updated_at)
        if chunk.content_hash != chunk_hash(chunk.context, chunk.content):
            raise InvalidValue("content_hash", "is not that of context and content (`chunk_hash`)")
        if chunk.id != chunk_id(chunk.collection_id, chunk.source, chunk.content_hash):
            raise InvalidValue("id", "is not the one that follows from the chunk (`chunk_id`)")


class DeleteDocument(KnowledgeCommand, frozen=True, kw_only=True, tag=True):
    """Remove a document from a collection."""

    agent_id: str
    collection_id: str
    source: str

    def checked(self, dimensions: int) -> Self:
        check_target("collection_id", self.collection_id)
        values.text("source", self.source, least=1, most=MOST_SOURCE)
        return self


COMMANDS: Final = (IngestChunks, DeleteDocument)


def chunk_hash(context: str | None, content: str) -> str:
    """SHA-256, in hex, of what is searched of a chunk: where it changes, the chunk is another."""
    return hashlib.sha256(f"{context or ''}\0{content}".encode()).hexdigest()


def chunk_id(collection_id: str, source: str, content_hash: str) -> str:
    """The id of a chunk: the same text in the same document has the same one, always."""
    return str(uuid.uuid5(_NAMESPACE, f"{collection_id}\0{source}\0{content_hash}"))
