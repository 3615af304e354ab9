"""What JSON cannot carry as it is: refused, so that what is read is what was put."""

import math
from typing import Any

import msgspec

from bus.arguments import shown


def unfaithful(value: Any, encoded: bytes, *, typed: bool) -> str | None:
    """Why `value` would not be read as it is, or None.

    Args:
        encoded: The value as JSON.
        typed: Whether it is read as a type that says more than JSON does.
    """
    # What is no number is written as null, so there is nothing to look for without one.
    if typed and b"null" not in encoded:
        return None
    return _fault(msgspec.to_builtins(value), keys=not typed)


def _fault(value: Any, *, keys: bool) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"JSON has no {value}: use None, or text"
    if isinstance(value, dict):
        for key in value:
            if keys and not isinstance(key, str):
                return (
                    f"the key {shown(key)} would be read as the text {str(key)!r}: use text, or "
                    "give the map a type that says what its keys are, such as dict[int, str]"
                )
        parts = list(value.values())
    elif isinstance(value, list | tuple | set | frozenset):
        parts = list(value)
    else:
        return None
    return next((fault for part in parts if (fault := _fault(part, keys=keys))), None)
