"""Arguments, checked before anything is done: errors name them, their value and the range."""

import math
import numbers
from collections.abc import Collection
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: Seconds: a year, which is longer than anything here is meant to last.
YEAR: Final = 31_536_000.0

#: The largest number that every part of Redis carries exactly: Lua's numbers are doubles.
MOST: Final = 2**53 - 1


def seconds(name: str, value: Any, *, least: float = 0.0, most: float = YEAR) -> float:
    """Return `value` when it is a number of seconds in that range.

    Raises:
        TypeError: it is no number.
        ValueError: it is out of range, or not a number of seconds at all (NaN, infinite).
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {shown(value)}: it must be a number of seconds")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not least <= number <= most:  # NaN is nowhere
        raise ValueError(f"{name} is {number} s: it must be from {least:g} to {most:.9g} s")
    return number


def seconds_or_none(
    name: str, value: Any, *, least: float = 0.0, most: float = YEAR
) -> float | None:
    """Like `seconds`, where None is an answer as well."""
    return None if value is None else seconds(name, value, least=least, most=most)


def whole(name: str, value: Any, *, least: int = 0, most: int = MOST) -> int:
    """Return `value` when it is a whole number in that range.

    Raises:
        TypeError: it is none.
        ValueError: it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} is {shown(value)}: it must be a whole number")
    number = int(value)
    if not least <= number <= most:
        raise ValueError(
            f"{name} is {shown(value, typed=False)}: it must be from {least} to {most}"
        )
    return number


def text(name: str, value: Any) -> str:
    """Return `value` when it is text.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shown(value)}: it must be a str")
    return value


def instance(name: str, value: Any, kind: type[T]) -> T:
    """Return `value` when it is a `kind`.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {shown(value)}: it must be a {kind.__name__}")
    return value


def one_of(name: str, value: Any, choices: Collection[str]) -> str:
    """Return `value` when it is one of `choices`.

    Raises:
        ValueError: it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        allowed = " or ".join(map(repr, choices))
        raise ValueError(f"{name} is {shown(value)}: it must be {allowed}")
    return value


def shown(value: Any, *, typed: bool = True) -> str:
    """A value in a message: not too long, in ASCII, and with its type where that says more."""
    try:
        seen = ascii(value)
    except Exception:  # noqa: BLE001 (a repr of somebody else's, in a message about its object)
        return f"a {value.__class__.__name__}"
    seen = seen if len(seen) <= 60 else seen[:57] + "..."
    return (
        seen
        if not typed or isinstance(value, str | None)
        else f"{seen} ({value.__class__.__name__})"
    )
