"""Bodies: from and to the types that an application declares."""

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec

from bus.arguments import shown
from bus.errors import UndecodableMessage

from .envelope import Envelope

T = TypeVar("T")


@lru_cache(maxsize=1024)
def _decoder(body_type: Hashable) -> Callable[[Any], Any]:
    return msgspec.msgpack.Decoder(cast("Any", body_type)).decode


def check_type(body_type: Any) -> None:
    """Raise `TypeError` where msgspec cannot decode anything as `body_type`."""
    try:
        _decoder(body_type)
    except TypeError as error:
        raise TypeError(
            f"{shown(body_type)} cannot be the type of a body ({error}): name a msgspec.Struct, a "
            "dataclass, or a type such as str or dict[str, int]"
        ) from error


def decode_body(envelope: Envelope, body_type: type[T]) -> T:
    """Decode the body of `envelope` as `body_type` (a Struct, or any type msgspec knows).

    Raises:
        UndecodableMessage: the body is not of that type.
    """
    decode = _decoder(cast("Hashable", body_type))
    try:
        return cast("T", decode(envelope.body))
    except Exception as error:  # a type's `__post_init__` raises what it likes
        name = getattr(body_type, "__name__", str(body_type))
        raise UndecodableMessage(
            f"the {ascii(envelope.type)[:80]} from {ascii(envelope.sender)[:80]} "
            f"is not a {name}: {fault(error)}"
        ) from error


def fault(error: Exception) -> str:
    """What was wrong with what could not be decoded: msgspec's words, or another error's name."""
    if isinstance(error, msgspec.MsgspecError):
        return str(error)
    return f"{error.__class__.__name__}: {error}"
