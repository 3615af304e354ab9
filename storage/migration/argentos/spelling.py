"""How ArgentOS writes values in SQLite, undone.

Times are ISO 8601 text with milliseconds and Z, or what SQLite's `datetime('now')` gives, in
`memory.db`; milliseconds since 1970 in `dashboard.db`. Lists and objects are JSON as text.
"""

import base64
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from storage.errors import InvalidValue

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(field: str, value: Any) -> datetime:
    """A time, in UTC.

    Raises:
        InvalidValue: it is none.
    """
    try:
        if isinstance(value, int | float):
            return _EPOCH + timedelta(milliseconds=value)
        read = datetime.fromisoformat(value)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise InvalidValue(
            field,
            f"is {ascii(value)[:60]}, and must be a time: ISO 8601, or milliseconds since 1970",
        ) from None


def parsed(field: str, value: Any) -> Any:
    """What a text of JSON says.

    Raises:
        InvalidValue: it is not JSON.
    """
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        raise InvalidValue(field, f"is {ascii(value)[:60]}, and must be JSON as text") from None


def truth(field: str, value: Any) -> bool:
    """A truth value, which SQLite has as 0 or 1.

    Raises:
        InvalidValue: it is another number, or none.
    """
    if value not in {0, 1}:
        raise InvalidValue(field, f"is {ascii(value)[:60]}, and must be 0 or 1")
    return bool(value)


def plain(value: Any) -> Any:
    """A value as JSON has it: bytes as base64, numbers that are none as text."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
