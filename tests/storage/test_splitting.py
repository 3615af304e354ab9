"""Splitting documents: nothing is lost, offsets are right, and pieces end where people would."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage import InvalidValue
from storage.knowledge.splitting import Piece, form_of, split

GUIDE = """\
---
title: Not a heading
---
Before any heading.

# Guide

## Install

Run this:

```sh
# not a heading
make
```

### On Windows ###

Do not.

## Use
It is easy.

Underlined
----------

- a list
---

The end.
"""

_words = st.sampled_from(
    ["# Head\n", "## Sub\n", "\n", "\n\n", " ", "word", "Sentence. ", "```\n", "Title\n===\n",
     "x" * 70, "---\n", "\r\n", "\t", "- item\n", "。", "é", "\u2028", "\x0c", "\x85", "#", "~~~\n"]
)  # fmt: skip
_documents = st.one_of(st.text(max_size=400), st.lists(_words, max_size=120).map("".join))


def uncovered(document: str, pieces: list[Piece]) -> str:
    """What of a document is in no piece."""
    left = list(document)
    for piece in pieces:
        left[piece.start : piece.start + len(piece.text)] = " " * len(piece.text)
    return "".join(left).strip()


@settings(max_examples=600, deadline=None)
@given(
    document=_documents,
    size=st.integers(50, 200),
    overlap=st.integers(0, 100),
    form=st.sampled_from(["markdown", "plain"]),
)
@example(document="a" * 1000, size=50, overlap=25, form="plain")
@example(document="a " * 500, size=50, overlap=25, form="plain")
def test_nothing_is_lost_and_offsets_are_right(
    document: str, size: int, overlap: int, form: str
) -> None:
    overlap = min(overlap, size // 2)
    pieces = split(document, size=size, overlap=overlap, form=form)
    for piece in pieces:
        assert document[piece.start : piece.start + len(piece.text)] == piece.text
        assert 0 < len(piece.text) <= size
        assert piece.text == piece.text.strip()
    assert not uncovered(document, pieces)
    for one, other in pairwise(pieces):
        assert one.start < other.start
        behind = one.start + len(one.text)
        assert behind < other.start + len(other.text), "a piece that brings nothing new"
        assert behind - other.start <= overlap
        assert one.section == other.section or behind <= other.start, "repeated across sections"
    assert pieces == split(document, size=size, overlap=overlap, form=form)


@settings(max_examples=200, deadline=None)
@given(before=st.lists(_words, max_size=30).map("".join), size=st.integers(50, 100))
def test_what_is_put_before_a_section_changes_only_its_offsets(before: str, size: int) -> None:
    if "```" in before or "~~~" in before or before.startswith("---"):
        before = ""
    tail = "# Kept\n\n" + "Some words that stay. " * 20
    alone = split(tail, size=size, overlap=20)
    moved = split(before + "\n\nx\n\n" + tail, size=size, overlap=20)[-len(alone) :]
    assert [piece.text for piece in moved] == [piece.text for piece in alone]
    assert {piece.section for piece in moved} == {"Kept"}


def test_sections_are_those_of_the_headings() -> None:
    pieces = split(GUIDE)
    assert [(piece.section, piece.text.split("\n")[0]) for piece in pieces] == [
        (None, "---"),
        ("Guide > Install", "# Guide"),
        ("Guide > Install > On Windows", "### On Windows ###"),
        ("Guide > Use", "## Use"),
        ("Guide > Underlined", "Underlined"),
    ]
    assert "# not a heading" in pieces[1].text
    assert pieces[-1].text.endswith("The end.")


def test_plain_text_has_only_underlined_headings() -> None:
    plain = "# a comment\n\nNotes\n=====\n\none\n\ntwo\n"
    assert [piece.section for piece in split(plain, form="plain")] == [None, "Notes"]
    assert [form_of(name) for name in ("a.MD", "b.markdown", "c.txt", "https://x/y")] == [
        *("markdown", "markdown", "plain", "plain")
    ]


def test_pieces_end_with_paragraphs_then_lines_then_sentences_then_words() -> None:
    def first(text: str) -> str:
        return split(text, size=60, overlap=0, form="plain")[0].text

    line, rest = "a line of thirty-six characters here", " and much more of it" * 5
    assert first(f"{line}\n\n{rest}") == line
    assert first(f"{line}\n{rest}") == line
    assert first(f"{line}. {rest}") == f"{line}."
    assert first("worded " * 20) == ("worded " * 8).strip()
    assert first("w" * 200) == "w" * 60


def test_a_piece_begins_with_the_last_sentence_of_the_one_before() -> None:
    text = "".join(f"This is sentence number {n:02}. " for n in range(12))
    pieces = split(text, size=100, overlap=40, form="plain")
    for one, other in pairwise(pieces):
        last = re.findall(r"This is[^.]*\.", one.text)[-1]
        assert other.text.startswith(last)


def test_ten_megabytes_take_seconds_at_most() -> None:
    text = "# Head\n\n" + "Some words of a sentence. " * 400_000
    pieces = split(text)
    assert len(pieces) > 10_000
    assert not uncovered(text, pieces)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"size": 10}, "size"), ({"overlap": 600}, "overlap"), ({"form": "html"}, "form"),
     ({"size": "x"}, "size")],
)  # fmt: skip
def test_settings_that_cannot_be_are_named(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        split("text", **wrong)  # type: ignore[arg-type]
    assert caught.value.field == field
