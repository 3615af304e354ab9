"""Snippets: the piece of a text that fits a query best, with the words that do.

Decided here and not by the databases, whose stemming and marking differ, so that a hit looks the
same whichever found it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from .stems import folded, stem

#: How far into a text is looked, in characters.
FARTHEST: Final = 50_000

#: What stands where a text is cut.
CUT: Final = "…"

#: A word: letters and digits, with accents that are characters of their own.
_WORD: Final = re.compile("[^\\W_]+(?:[\u0300-\u036f]+[^\\W_]*)*")


class Snippet(NamedTuple):
    """A piece of a text.

    Attributes:
        text: As it stands there, but for line breaks, with `…` where it was cut.
        marks: Where in `text` the words are that were looked for: first character, and behind the
            last.
        field: Which text it is from.
    """

    text: str
    marks: tuple[tuple[int, int], ...]
    field: str

    def marked(self, before: str = "**", after: str = "**") -> str:
        """The text with marks written around the words."""
        parts, behind = [], 0
        for start, end in self.marks:
            parts += [self.text[behind:start], before, self.text[start:end], after]
            behind = end
        return "".join((*parts, self.text[behind:]))


class _Match(NamedTuple):
    start: int
    end: int
    stem: str


class _Piece(NamedTuple):
    """Some matches that are close to each other; more is better, first what is compared first."""

    distinct: int
    total: int
    first: int
    behind: int


def best_piece(query: str, texts: Mapping[str, str], width: int) -> Snippet:
    """The piece of one of `texts` with the most of the words of `query`.

    The most different ones, then the most; of equal pieces the first. Where no word is found, how
    the first text begins.

    Args:
        texts: By the names of their fields, the most telling first.
        width: Most characters of the piece, without the signs where it is cut.
    """
    width = max(width, 1)
    wanted = {stem(folded(word)) for word in _WORD.findall(query[:FARTHEST])}
    best: tuple[_Piece, str, list[_Match]] | None = None
    for field, text in texts.items():
        matches = _matches(text, wanted)
        piece = _closest(matches, width)
        if piece and (best is None or piece[:2] > best[0][:2]):
            best = piece, field, matches
    if best is None:
        field = next(iter(texts), "")
        return _cut(texts.get(field, ""), 0, 0, (), width, field)
    piece, field, matches = best
    chosen = matches[piece.first : piece.behind]
    return _cut(texts[field], chosen[0].start, chosen[-1].end, chosen, width, field)


def _matches(text: str, wanted: set[str]) -> list[_Match]:
    found = []
    if wanted:
        for word in _WORD.finditer(text, 0, FARTHEST):
            its = stem(folded(word[0]))
            if its in wanted:
                found.append(_Match(word.start(), word.end(), its))
    return found


def _closest(matches: Sequence[_Match], width: int) -> _Piece | None:
    """The best of all stretches of matches that fit into `width` (one that does not fit alone)."""
    best: _Piece | None = None
    counts: dict[str, int] = {}
    behind = 0
    for first, match in enumerate(matches):
        while behind < len(matches) and (
            behind == first or matches[behind].end - match.start <= width
        ):
            counts[matches[behind].stem] = counts.get(matches[behind].stem, 0) + 1
            behind += 1
        piece = _Piece(sum(1 for n in counts.values() if n), behind - first, first, behind)
        if best is None or piece[:2] > best[:2]:
            best = piece
        counts[match.stem] -= 1
    return best


def _cut(
    text: str, start: int, end: int, matches: Sequence[_Match], width: int, field: str
) -> Snippet:
    """What is around `start` to `end`, up to where words begin and end."""
    spare = max(width - (end - start), 0)
    left = max(start - spare // 2, 0)
    right = min(left + width, len(text))
    left = max(min(left, right - width), 0)
    if left:
        left = _next_start(text, left, start)
    if right < len(text):
        right = _last_end(text, right, max(end, left + 1))
    head, tail = (CUT if left else ""), (CUT if right < len(text) else "")
    shown = re.sub(r"[\r\n\t\v\f\u0085\u2028\u2029]", " ", text[left:right])
    shift = len(head) - left
    marks = tuple((m.start + shift, min(m.end, right) + shift) for m in matches if m.start < right)
    return Snippet(f"{head}{shown}{tail}", marks, field)


def _next_start(text: str, place: int, latest: int) -> int:
    """Where a word begins at `place` or behind it; `place` itself where none does."""
    blanks = re.compile(r"\s+").search(text, max(place - 1, 0), latest)
    return min(blanks.end(), latest) if blanks else place


def _last_end(text: str, place: int, earliest: int) -> int:
    """Where a word ends at `place` or before it; `place` itself where none does."""
    for here in range(place, max(earliest, place - 40) - 1, -1):
        if text[here : here + 1].isspace():
            return len(text[:here].rstrip()) if here > earliest else here
    return place
