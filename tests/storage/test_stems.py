"""Stems: those of SQLite's full-text search."""

import re
import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from storage.memory.stems import folded, stem

_endings = st.sampled_from(
    re.findall(
        r"\w+",
        "ational tional enci anci izer logi bli alli entli eli ousli ization ation ator alism "
        "iveness fulness ousness aliti iviti biliti icate ative alize iciti ical ful ness al ance "
        "ence er ic able ible ant ement ment ent sion tion ou ism ate iti ous ive ize sses ies ss "
        "s eed ed ing y e ll at bl iz",
    )
)
# Three letters and a vowel at least: of shorter stubs FTS5 strips what has no vowel.
_stubs = st.from_regex(r"[a-z]{0,4}[aeiou][a-z]{2}", fullmatch=True)
_words = st.builds("".join, st.tuples(_stubs, st.lists(_endings, max_size=2).map("".join)))


@given(st.lists(_words, min_size=1, max_size=200, unique=True))
def test_they_are_those_of_sqlite(words: list[str]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5(a, tokenize = 'porter unicode61')")
        connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, 'instance')")
        connection.executemany("INSERT INTO t (rowid, a) VALUES (?, ?)", enumerate(words, 1))
        for term, row in connection.execute("SELECT term, doc FROM v"):
            assert stem(words[row - 1]) == term, words[row - 1]


def test_words_are_folded_first() -> None:
    for word, expected in (
        ("PARSERS", "parser"),
        ("Running", "run"),
        ("Relational", "relat"),
        ("ΉΛΙΟΣ", "ηλιοσ"),
        ("Größe", "große"),
        ("E\u0301la\u0301n", "elan"),
        ("崩溃", "崩溃"),
        ("é" * 40, "e" * 40),
        ("by", "by"),
        ("x" * 65 + "ing", "x" * 65 + "ing"),
    ):
        assert stem(folded(word)) == expected
