"""Checks of single values, the same for every backend: each names the field and the remedy."""

import hashlib
import math
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import uuid_utils

from storage.errors import InvalidValue

#: Longest text of a field, in characters.
MOST_TEXT: Final = 1_000_000

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
        raise InvalidValue(field, f"is {value}, and must be from {least:g} to {most:g}")
    return float(value)


def moment(field: str, value: Any) -> datetime | None:
    """Check a time: it knows its zone, and both databases can hold it."""
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidValue(field, "must be a datetime with a time zone, such as datetime.now(UTC)")
    if not _EARLIEST <= value <= _LATEST:
        raise InvalidValue(field, "must lie between the years 1 and 9999")
    return value.astimezone(UTC)


def pack_vector(field: str, values: Sequence[float] | None, dimensions: int) -> bytes | None:
    """Check an embedding, and pack it as little-endian float32.

    Args:
        values: `dimensions` finite numbers, or None.
    """
    if values is None:
        return None
    if len(values) != dimensions:
        raise InvalidValue(
            field,
            f"has {len(values)} dimensions, and this storage keeps {dimensions}: use the model it "
            "was set up for",
        )
    if not all(math.isfinite(value) for value in values):
        raise InvalidValue(field, "has a NaN or an infinity: leave the embedding out instead")
    return struct.pack(f"<{dimensions}f", *values)


def check_packed(field: str, packed: bytes | None, dimensions: int) -> bytes | None:
    """Check an embedding that is packed already."""
    if packed is None:
        return None
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


def json_object(field: str, value: dict[str, Any]) -> dict[str, Any]:
    """Check that a value can stand in a JSON column, and that its text is sound."""
    try:
        encoded = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, UnicodeError, msgspec.MsgspecError) as error:
        raise InvalidValue(field, f"cannot be written as JSON ({error})") from None
    if "\\u0000" in encoded:
        raise InvalidValue(field, "has a NUL character, which PostgreSQL cannot hold: remove it")
    text(field, encoded)
    return value
