"""How PostgreSQL writes times, JSON and vectors: timestamptz, jsonb and pgvector's `vector`."""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np

#: What may be a number with an exponent, which jsonb would give back as a whole number.
_EXPONENT: Final = re.compile(rb"\d[eE]")


class PgSpelling:
    """Times as they are, JSON as text, which is how asyncpg takes jsonb."""

    def time_in(self, value: datetime) -> datetime:
        return value

    def time_out(self, value: datetime) -> datetime:
        return value

    def json_in(self, value: Any) -> str:
        encoded = msgspec.json.encode(value)
        if _EXPONENT.search(encoded):
            encoded = msgspec.json.encode(_with_fractions(value))
        return encoded.decode()

    def json_out(self, value: str) -> Any:
        return json.loads(value)

    def any_of(self, words: Sequence[str]) -> str:
        return " ".join(words)


def _with_fractions(value: Any) -> Any:
    """`value` with its large floats written out, so that jsonb does not take them for integers."""
    match value:
        case float() if abs(value) >= 1e15 and value.is_integer():
            return msgspec.Raw(f"{int(value)}.0".encode())
        case dict():
            return {key: _with_fractions(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_with_fractions(inner) for inner in value]
    return value


def vector_in(packed: bytes) -> bytes:
    """Little-endian float32 as pgvector sends it: the number of dimensions, then big-endian."""
    numbers = np.frombuffer(packed, dtype="<f4")
    return len(numbers).to_bytes(2, "big") + b"\0\0" + numbers.astype(">f4").tobytes()


def vector_out(sent: bytes) -> bytes:
    """What pgvector sends, as little-endian float32."""
    return np.frombuffer(sent, dtype=">f4", offset=4).astype("<f4").tobytes()
