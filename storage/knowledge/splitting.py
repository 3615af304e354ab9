"""Splitting a document into pieces: along its headings, paragraphs, lines, sentences and words.

Every piece is a slice of the document, `text == document[start:start + len(text)]`, and every
character that is not white space is in one: nothing is lost, and what is found can be shown where
it stands.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from storage.model import values

#: Longest piece, and what of a piece is repeated at the beginning of the next, in characters. About
#: 200 tokens of English: well within what embedding models take (nomic-embed-text 2,048, e5 512).
SIZE: Final = 1_000
OVERLAP: Final = 100

LEAST_SIZE: Final = 50
MOST_SIZE: Final = 100_000

FORMATS: Final = ("markdown", "plain")

_HEADING: Final = re.compile(r"[ ]{0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*\r?\n?\Z")
_UNDERLINE: Final = re.compile(r"[ ]{0,3}(={3,}|-{3,})[ \t]*\r?\n?\Z")
_FENCE: Final = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")
_NO_TITLE: Final = re.compile(r"\s*(?:[-*+>|#]|\d+[.)]\s)")

#: Where a piece may end, the best first: behind a blank line, a line, a sentence, a word.
_BREAKS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\n[ \t\r]*\n\s*",
        r"\n",
        r"[.!?…][\"')\]»”’]*\s+|[。！？]",  # noqa: RUF001 (other scripts' sentences)
        r"\s+",
    )
)

#: Where a repetition may begin: with a sentence, or a word.
_BEGINNINGS: Final = (_BREAKS[2], _BREAKS[3])


class Piece(NamedTuple):
    """A piece of a document.

    Attributes:
        section: The headings above it, the outermost first, with ` > ` between; None for none.
        start: Where it begins in the document, in characters.
        text: As it stands there, without the white space around it.
    """

    section: str | None
    start: int
    text: str


def split(
    document: str, *, size: int = SIZE, overlap: int = OVERLAP, form: str = "markdown"
) -> list[Piece]:
    """Split a document into pieces of at most `size` characters, in their order.

    Args:
        overlap: Characters, at most, that a piece repeats of the one before it in its section.
        form: `markdown`, or `plain`: of its headings only those that are underlined count.

    Raises:
        InvalidValue: a size, an overlap or a form that cannot be.
    """
    values.whole("size", size, LEAST_SIZE, MOST_SIZE)
    values.whole("overlap", overlap, 0, size // 2)
    values.one_of("form", form, FORMATS)
    return [
        piece
        for section in _sections(document, markdown=form == "markdown")
        for piece in _pieces(document, section, size, overlap)
    ]


def form_of(source: str) -> str:
    """The form of a document, by how its name ends."""
    return "markdown" if source.lower().endswith((".md", ".markdown", ".mdx")) else "plain"


class _Section(NamedTuple):
    path: str | None
    start: int
    end: int


def _sections(document: str, *, markdown: bool) -> Iterator[_Section]:
    """The sections; a heading with nothing below it goes with the section that follows."""
    path: list[tuple[int, str]] = []
    start, behind_heading = 0, 0
    for at, behind, level, title in _headings(document, markdown=markdown):
        if document[behind_heading:at].strip():
            yield _Section(_joined(path), start, at)
            start = at
        path = [(depth, name) for depth, name in path if depth < level] + [(level, title)]
        behind_heading = behind
    yield _Section(_joined(path), start, len(document))


def _joined(path: list[tuple[int, str]]) -> str | None:
    return " > ".join(title for _, title in path if title)[:_MOST_PATH] or None


#: Longest path of headings, in characters.
_MOST_PATH: Final = 1_000


def _headings(document: str, *, markdown: bool) -> Iterator[tuple[int, int, int, str]]:
    """Each heading: where it begins, where it ends, its level and its title."""
    fence = ""
    before, previous = "", ""
    at = _behind_front_matter(document) if markdown else 0
    for line in document[at:].splitlines(keepends=True):
        if markdown and (match := _FENCE.match(line)):
            marks = match[1]
            if not fence:
                fence = marks
            elif marks.startswith(fence) and not line[match.end() :].strip():
                fence = ""
        elif not fence:
            if markdown and (match := _HEADING.match(line)):
                yield at, at + len(line), len(match[1]), (match[2] or "").strip()
            elif (match := _UNDERLINE.match(line)) and _may_be_title(previous, before):
                level = 1 if match[1][0] == "=" else 2
                yield at - len(previous), at + len(line), level, previous.strip()
        before, previous = previous, line
        at += len(line)


def _may_be_title(line: str, before: str) -> bool:
    """Whether `line` may be an underlined title: one line of text below a blank one."""
    return bool(line.strip()) and not before.strip() and not _NO_TITLE.match(line)


def _behind_front_matter(document: str) -> int:
    """Where the text begins: `---` lines around settings at the top are none of it."""
    if not document.startswith(("---\n", "---\r\n")):
        return 0
    end = re.compile(r"^---[ \t]*\r?\n", re.MULTILINE).search(document, 4)
    return end.end() if end else 0


def _pieces(document: str, section: _Section, size: int, overlap: int) -> Iterator[Piece]:
    start = done = _behind_space(document, section.start, section.end)
    while done < section.end:
        end = _end(document, start, done, section.end, size)
        yield Piece(section.path, start, document[start:end].rstrip())
        done = _behind_space(document, end, section.end)
        again = _beginning(document, max(start + 1, end - overlap), end) if overlap else end
        start = _behind_space(document, again, section.end)


def _behind_space(document: str, at: int, end: int) -> int:
    while at < end and document[at].isspace():
        at += 1
    return at


def _end(document: str, start: int, done: int, end: int, size: int) -> int:
    """Where the piece from `start` ends: behind the first character, at `done`, that is new."""
    most = start + size
    if end <= most:
        return end
    for least in (start + size // 2, done):
        for pattern in _BREAKS:
            found = max(
                (m.end() for m in pattern.finditer(document, max(least, done), most)), default=0
            )
            if found > done:
                return found
    return most


def _beginning(document: str, least: int, end: int) -> int:
    """The first sentence, or word, that begins within the last characters of a piece."""
    for pattern in _BEGINNINGS:
        match = pattern.search(document, least - 1, end)
        if match and match.end() < end:
            return match.end()
    return end
