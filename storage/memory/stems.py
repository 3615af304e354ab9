"""Stems of English words, as full-text search compares them.

M. F. Porter, "An algorithm for suffix stripping" (Program 14, 1980), with his two later changes
(-bli, -logi), which is what FTS5 of SQLite has; words of other languages mostly stay as they are.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import Final

#: Words longer or shorter than this, in bytes, are left as they are, as by FTS5.
SHORTEST: Final = 3
LONGEST: Final = 64

_MARKS: Final = re.compile("[\u0300-\u036f]+")

#: A vowel is a letter but these, and y behind one of them.
_VOWELS: Final = "aeiou"

_STEP_2: Final = {
    "ational": "ate",
    "tional": "tion",
    "enci": "ence",
    "anci": "ance",
    "izer": "ize",
    "logi": "log",
    "bli": "ble",
    "alli": "al",
    "entli": "ent",
    "eli": "e",
    "ousli": "ous",
    "ization": "ize",
    "ation": "ate",
    "ator": "ate",
    "alism": "al",
    "iveness": "ive",
    "fulness": "ful",
    "ousness": "ous",
    "aliti": "al",
    "iviti": "ive",
    "biliti": "ble",
}
_STEP_3: Final = {
    "icate": "ic",
    "ative": "",
    "alize": "al",
    "iciti": "ic",
    "ical": "ic",
    "ful": "",
    "ness": "",
}
_STEP_4: Final = dict.fromkeys(
    (
        *("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion"),
        *("ou", "ism", "ate", "iti", "ous", "ive", "ize"),
    ),
    "",
)


def folded(word: str) -> str:
    """`word` without case and accents, as search compares words."""
    if word.isascii():
        return word.lower()
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", word).lower())
    return unicodedata.normalize("NFC", plain.replace("\u03c2", "\u03c3"))  # a final sigma is one


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The stem of a folded word."""
    if not SHORTEST <= len(word.encode()) <= LONGEST:
        return word
    word = _step_1(word)
    word = _replaced(word, _STEP_2, 0)
    word = _replaced(word, _STEP_3, 0)
    word = _replaced(word, _STEP_4, 1)
    return _step_5(word)


def _step_1(word: str) -> str:
    if word.endswith(("sses", "ies")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if word.endswith("eed"):
        if _measure(word[:-3]) > 0:
            word = word[:-1]
    else:
        for ending in ("ed", "ing"):
            if word.endswith(ending) and _has_vowel(word[: -len(ending)]):
                word = _mended(word[: -len(ending)])
                break
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    return word


def _mended(stub: str) -> str:
    if stub.endswith(("at", "bl", "iz")):
        return stub + "e"
    if _is_double(stub) and stub[-1] not in "lsz":
        return stub[:-1]
    if _measure(stub) == 1 and _ends_cvc(stub):
        return stub + "e"
    return stub


def _replaced(word: str, endings: dict[str, str], more_than: int) -> str:
    """`word` with its longest ending among `endings` replaced, if what is before it is enough."""
    for length in range(min(7, len(word)), 1, -1):
        ending, stub = word[-length:], word[:-length]
        if ending in endings:
            enough = _measure(stub) > more_than and (ending != "ion" or stub[-1] in "st")
            return stub + endings[ending] if enough else word
    return word


def _step_5(word: str) -> str:
    if word.endswith("e"):
        stub = word[:-1]
        measure = _measure(stub)
        if measure > 1 or (measure == 1 and not _ends_cvc(stub)):
            word = stub
    if word.endswith("ll") and _measure(word[:-1]) > 1:
        word = word[:-1]
    return word


def _consonants(stub: str) -> list[bool]:
    found: list[bool] = []
    for place, letter in enumerate(stub):
        if letter in _VOWELS:
            found.append(False)
        else:
            found.append(letter != "y" or place == 0 or not found[-1])
    return found


def _measure(stub: str) -> int:
    """How often consonants follow vowels: m in [C](VC)^m[V]."""
    kinds = _consonants(stub)
    return sum(1 for one, other in pairwise(kinds) if not one and other)


def _has_vowel(stub: str) -> bool:
    return not all(_consonants(stub))


def _is_double(stub: str) -> bool:
    return len(stub) > 1 and stub[-1] == stub[-2] and _consonants(stub)[-1]


def _ends_cvc(stub: str) -> bool:
    return _consonants(stub)[-3:] == [True, False, True] and stub[-1] not in "wxy"
