"""From a document to the chunks of it: what is new, what is as it was, and how it is sent."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from storage.errors import InvalidValue
from storage.model import values
from storage.model.documents import (
    MOST_AT_ONCE,
    MOST_CHUNKS,
    MOST_SOURCE,
    chunk_hash,
    chunk_id,
)

from .splitting import form_of, split

#: Longest document, in characters.
MOST_DOCUMENT: Final = 20_000_000

#: About what the texts of one command come to, in characters.
MOST_TEXT_AT_ONCE: Final = 1_000_000


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a document that begins anew, as the caller knows it.

    Attributes:
        title: What it is headed with; the headings in its text come below that.
        start: Where its text begins in the document, in characters; None: behind the one before.
    """

    text: str
    title: str | None = None
    start: int | None = None


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a chunk that is there."""

    id: str
    section: str | None
    start_offset: int
    metadata: dict[str, Any]
    embedded: bool


class Draft(NamedTuple):
    """A chunk to be."""

    section: str | None
    start: int
    content: str
    context: str | None
    content_hash: str

    @property
    def searched(self) -> str:
        """What it is to be found by: the context too, as by words."""
        return f"{self.context}\n\n{self.content}" if self.context else self.content

    def id_in(self, collection_id: str, source: str) -> str:
        """Its id in a collection, as a chunk of `source`."""
        return chunk_id(collection_id, source, self.content_hash)


def drafts(
    source: str,
    text: str | None,
    sections: Sequence[Section] | None,
    *,
    title: str | None,
    form: str | None,
    size: int,
    overlap: int,
) -> list[Draft]:
    """Split a document; what stands in it twice, under the same headings, is there once.

    Raises:
        InvalidValue: a value that no table may hold, or nothing to split.
    """
    values.text("source", source, least=1, most=MOST_SOURCE)
    values.optional_text("title", title, most=1_000)
    found: dict[str, Draft] = {}
    for heading, start, part in _parts(text, sections):
        for piece in split(part, size=size, overlap=overlap, form=form or form_of(source)):
            section = " > ".join(filter(None, (heading, piece.section)))[:1_000] or None
            context = "\n".join(filter(None, (title, section))) or None
            digest = chunk_hash(context, piece.text)
            draft = Draft(section, start + piece.start, piece.text, context, digest)
            found.setdefault(digest, draft)
    if not found:
        raise InvalidValue("text", "has nothing in it: to remove a document, use delete_document")
    if len(found) > MOST_CHUNKS:
        raise InvalidValue(
            "text",
            f"makes {len(found):,} chunks, and a document has at most {MOST_CHUNKS:,}: split it "
            "into several, or give a larger size",
        )
    return list(found.values())


def _parts(
    text: str | None, sections: Sequence[Section] | None
) -> Iterator[tuple[str | None, int, str]]:
    """Title, start and text of what is split on its own."""
    if (text is None) == (sections is None):
        raise InvalidValue("text", "or sections: give one of them")
    if text is not None:
        yield None, 0, values.text("text", text, least=1, most=MOST_DOCUMENT)
        return
    behind = 0
    for place, section in enumerate(sections or ()):
        field = f"sections[{place}]"
        if not isinstance(section, Section):
            raise InvalidValue(field, f"is a {type(section).__name__}, and must be a Section")
        values.optional_text(f"{field}.title", section.title, most=1_000)
        values.text(f"{field}.text", section.text, most=MOST_DOCUMENT)
        start = behind if section.start is None else section.start
        values.whole(f"{field}.start", start, 0, 2**52)
        yield section.title, start, section.text
        behind = start + len(section.text)
        if behind > MOST_DOCUMENT and section.start is None:
            raise InvalidValue(field, f"ends behind {MOST_DOCUMENT:,} characters: split it")


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata as they are stored.

    Raises:
        InvalidValue: they are not an object of JSON.
    """
    return values.json_object("metadata", {} if metadata is None else metadata)


def is_as_stored(
    draft: Draft, stored: Stored, metadata: Mapping[str, Any], *, embedded: bool
) -> bool:
    """Whether nothing is to be written of a chunk.

    Args:
        embedded: Whether it is to have an embedding.
    """
    return (
        (draft.section, draft.start, metadata)
        == (stored.section, stored.start_offset, stored.metadata)
    ) and (stored.embedded or not embedded)


def batches(
    chunks: Iterable[tuple[str, Draft]],
) -> Iterator[list[tuple[str, Draft]]]:
    """Chunks as they are sent: many in one command, and none of them too large."""
    batch: list[tuple[str, Draft]] = []
    length = 0
    for pair in chunks:
        more = len(pair[1].content)
        if batch and (len(batch) == MOST_AT_ONCE or length + more > MOST_TEXT_AT_ONCE):
            yield batch
            batch, length = [], 0
        batch.append(pair)
        length += more
    if batch:
        yield batch
