"""How SQLite writes times and JSON: both as text."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec


class SQLiteSpelling:
    """Times as ISO 8601 with microseconds and Z, JSON as text."""

    def time_in(self, value: datetime) -> str:
        """Fixed width, so that text order is time order."""
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC)
        return value.isoformat(timespec="microseconds")[:26] + "Z"

    def time_out(self, value: str) -> datetime:
        return datetime.fromisoformat(value)

    def json_in(self, value: Any) -> str:
        return msgspec.json.encode(value).decode()

    def json_out(self, value: str) -> Any:
        return json.loads(value)

    def any_of(self, words: Sequence[str]) -> str:
        """Every word is quoted, so that none is an operator of FTS5."""
        return " OR ".join(f'"{word}"' for word in words)
