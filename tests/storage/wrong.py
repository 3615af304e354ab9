"""Values that no column of a kind may hold, each with what is said of it."""

import math
from typing import Any

from tests.storage.test_values import BEHIND_THE_END, NAIVE, nested

TIMES: list[tuple[Any, str]] = [
    (NAIVE, "time zone"),
    ("2026-01-02", "time zone"),
    (BEHIND_THE_END, "between the years"),
]
NO_TIME: list[tuple[Any, str]] = [*TIMES, (None, "missing")]
TEXTS: list[tuple[Any, str]] = [
    ("a\0b", "NUL"),
    ("a\ud800b", "surrogate"),
    (b"bytes", "is a bytes"),
    ("x" * 1_000_001, "has 1,000,001 characters"),
]
NO_TEXT: list[tuple[Any, str]] = [*TEXTS, (None, "is a NoneType")]
SHARES: list[tuple[Any, str]] = [
    (math.nan, "from 0 to 1"),
    (1.1, "is 1.1"),
    (-1, "from 0 to 1"),
    (True, "must be a number"),
    ("much", "must be a number"),
]
SCORES: list[tuple[Any, str]] = [(math.inf, "from 0 to 1e"), (-1, "from 0"), ("best", "number")]
COUNTS: list[tuple[Any, str]] = [
    (-1, "must be from 0"),
    (2**64, "must be from 0"),
    (1.5, "whole number"),
    (None, "whole number"),
]
LISTS: list[tuple[Any, str]] = [
    (["ok", "\0"], "NUL"),
    ([""], "0 characters"),
    ([1], "is a int"),
    ("abc", "must be a list"),
    (None, "must be a list"),
]
OBJECTS: list[tuple[Any, str]] = [
    ({"a": math.nan}, "NaN"),
    ({"a": "\0"}, "NUL"),
    ([1], "must be an object"),
    (nested(65), "nested deeper"),
]
VECTORS: list[tuple[Any, str]] = [
    (b"\0" * 8, "has 2 dimensions, and this storage keeps 3"),
    (b"\xff" * 12, "NaN"),
    ([1, 2, 3], "is a list"),
]
IDS: list[tuple[Any, str]] = [("", "0 characters"), ("x" * 129, "129"), ("\0", "NUL")]
