"""Checks of single values, the same for every backend: each names the field and the remedy."""

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np
import uuid_utils

from storage.errors import InvalidValue

#: Longest text of a field, in characters.
MOST_TEXT: Final = 1_000_000

#: Deepest nesting of JSON: well below what the interpreter's own recursion can stand.
DEEPEST: Final = 64

_NUMBERS: Final = (int, float, np.integer, np.floating)

_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)


def new_id() -> str:
    """A UUIDv7: unique, and in the order of creation."""
    return str(uuid_utils.uuid7())


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def text(field: str, value: str, *, least: int = 0, most: int = MOST_TEXT) -> str:
    """Check a text: its length in characters, and that every database can hold it."""
    if not isinstance(value, str):
        raise InvalidValue(field, f"is a {type(value).__name__}, and must be text")
    if not least <= len(value) <= most:
        raise InvalidValue(
            field, f"has {len(value):,} characters, and must have {least:,} to {most:,}"
        )
    if "\0" in value:
        raise InvalidValue(field, "has a NUL character, which PostgreSQL cannot hold: remove it")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidValue(
            field, "has half of a surrogate pair: decode the text with errors='replace'"
        ) from None
    return value


def optional_text(field: str, value: str | None, *, most: int = MOST_TEXT) -> str | None:
    """Check a text that may be missing."""
    return None if value is None else text(field, value, most=most)


def one_of(field: str, value: str, allowed: Sequence[str]) -> str:
    """Check that a word is one of those that a column may hold."""
    if value not in allowed:
        raise InvalidValue(field, f"is {ascii(value)[:60]}, and must be {', '.join(allowed)}")
    return value


def number(field: str, value: Any, least: float, most: float) -> float:
    """Check a number's range; NaN is in none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue(field, f"is a {type(value).__name__}, and must be a number")
    if not least <= value <= most:
        # A whole number may be too long to be written out.
        shown = f"{value:g}" if isinstance(value, float) else "out of range"
        raise InvalidValue(field, f"is {shown}, and must be from {least:g} to {most:g}")
    return float(value)


def whole(field: str, value: Any, least: int, most: int) -> int:
    """Check a whole number's range."""
    if not isinstance(value, int):
        raise InvalidValue(field, f"is a {type(value).__name__}, and must be a whole number")
    number(field, value, least, most)
    return value


def at_most(field: str, value: Any, most: int) -> int:
    """Check a limit or an offset, and bring it into 0 to `most`."""
    return max(0, min(whole(field, value, -(2**63), 2**63), most))


def truth(field: str, value: Any) -> bool:
    """Check a truth value."""
    if not isinstance(value, bool):
        raise InvalidValue(field, f"is a {type(value).__name__}, and must be true or false")
    return value


def moment(field: str, value: Any) -> datetime | None:
    """Check a time: it knows its zone, and both databases can hold it."""
    if value is None:
        return None
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidValue(field, "must be a datetime with a time zone, such as datetime.now(UTC)")
    if not _EARLIEST <= value <= _LATEST:
        raise InvalidValue(field, "must lie between the years 1 and 9999")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def known_moment(field: str, value: Any) -> datetime:
    """Check a time that may not be missing."""
    checked = moment(field, value)
    if checked is None:
        raise InvalidValue(field, "is missing: give a datetime such as datetime.now(UTC)")
    return checked


def span(since: Any, until: Any) -> tuple[datetime, datetime]:
    """Check a stretch of time, to before `until`; an end that is missing is behind all there is."""
    first = moment("since", since) or _EARLIEST
    return first, moment("until", until) or _LATEST + timedelta(days=1)


def texts(field: str, value: Any, *, most: int) -> list[str]:
    """Check a list of texts, none of them empty."""
    if not isinstance(value, list):
        raise InvalidValue(field, f"is a {type(value).__name__}, and must be a list of texts")
    for place, one in enumerate(value):
        text(f"{field}[{place}]", one, least=1, most=most)
    return value


def pack_vector(field: str, values: Sequence[float] | None, dimensions: int) -> bytes | None:
    """Check an embedding, and pack it as little-endian float32.

    Args:
        values: `dimensions` finite numbers, or None.
    """
    if values is None:
        return None
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidValue(field, f"is a {type(values).__name__}, and must be a list of numbers")
    values = list(values)
    if not all(isinstance(value, _NUMBERS) for value in values):
        raise InvalidValue(field, "must be a list of numbers")
    if len(values) != dimensions:
        raise InvalidValue(
            field,
            f"has {len(values)} dimensions, and this storage keeps {dimensions}: use the model it "
            "was set up for",
        )
    if not all(math.isfinite(value) for value in values):
        raise InvalidValue(field, "has a NaN or an infinity: leave the embedding out instead")
    try:
        return struct.pack(f"<{dimensions}f", *values)
    except OverflowError:
        raise InvalidValue(field, "has a number that is too large for a float32") from None


def check_packed(field: str, packed: bytes | None, dimensions: int) -> bytes | None:
    """Check an embedding that is packed already."""
    if packed is None:
        return None
    if not isinstance(packed, bytes):
        raise InvalidValue(
            field, f"is a {type(packed).__name__}, and must be packed as float32 (`pack_vector`)"
        )
    if len(packed) != 4 * dimensions:
        raise InvalidValue(
            field, f"has {len(packed) / 4:g} dimensions, and this storage keeps {dimensions}"
        )
    if not all(math.isfinite(value) for value in struct.unpack(f"<{dimensions}f", packed)):
        raise InvalidValue(field, "has a NaN or an infinity: leave the embedding out instead")
    return packed


def unpack_vector(packed: bytes) -> list[float]:
    """The numbers of a packed embedding."""
    return list(struct.unpack(f"<{len(packed) // 4}f", packed))


def content_hash(summary: str) -> str:
    """SHA-256, in hex, of the summary, trimmed and in lower case: what makes a fact the same."""
    return hashlib.sha256(summary.strip().lower().encode()).hexdigest()


def json_object(field: str, value: Any) -> dict[str, Any]:
    """Check that a value can stand in a JSON column, and comes back as it is."""
    if not isinstance(value, dict):
        raise InvalidValue(field, f"is a {type(value).__name__}, and must be an object")
    if not value:
        return value
    _json_value(field, value, DEEPEST)
    text(field, msgspec.json.encode(value).decode())
    return value


def _json_value(field: str, value: Any, deeper: int) -> None:
    if deeper == 0:
        raise InvalidValue(field, f"is nested deeper than {DEEPEST} levels: make it flatter")
    match value:
        case str():
            text(field, value)
        case int() if not isinstance(value, bool):
            whole(field, value, -(2**63), 2**63 - 1)
        case float() if not math.isfinite(value):
            raise InvalidValue(field, "has a NaN or an infinity, which JSON has not: use null")
        case bool() | float() | None:
            pass
        case list() | tuple():
            _json_values(field, value, deeper - 1)
        case dict():
            for key in value:
                text(f"{field}, a key", key)
            _json_values(field, value.values(), deeper - 1)
        case _:
            raise InvalidValue(
                field, f"has a {type(value).__name__}, which JSON has not: write it as text"
            )


def _json_values(field: str, values: Iterable[Any], deeper: int) -> None:
    for value in values:
        _json_value(field, value, deeper)
