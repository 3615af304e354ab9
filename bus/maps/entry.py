"""Entries of shared maps: what stands under a key, and what became of it."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from bus import arguments
from bus.errors import UndecodableMessage
from bus.messages.codec import fault

from .faithful import unfaithful

T = TypeVar("T")

ChangeKind = Literal["put", "deleted", "expired"]

_POSITION: Final = re.compile(r"(\d{1,20})-(\d{1,20})/(\d{1,20})\Z", re.ASCII)

#: The `if_version` that means: only if there is no entry.
#: Example: See `Map`.
ABSENT: Final = 0


class Entry(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A value in a map.

    Attributes:
        key: Under which it stands.
        value: What was put.
        version: Grows with every write to the map, also over a deletion and over lost data.
        updated_at: When it was put, by the server's clock, in seconds since the epoch.
        by: Who put it.
        expires_at: When it goes by itself, in seconds since the epoch. None: it stays.

    Example: See `Map`.
    """

    key: str
    value: T
    version: int
    updated_at: float
    by: str
    expires_at: float | None = None


class MapChange(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A change of one key.

    Attributes:
        kind: `put`, `deleted` or `expired`.
        key: Which one changed.
        entry: What was put; None for the other kinds, and where it cannot be decoded.
        version: Of the put entry, or of the removal.
        at: When, by the server's clock, in seconds since the epoch.
        by: Who put or deleted it; empty for `expired`.
        error: Why `entry` is None although something was put.
        position: Behind this change: where a later watch can go on.

    Example: See `Watch`.
    """

    kind: ChangeKind
    key: str
    entry: Entry[T] | None
    version: int
    at: float
    by: str
    position: str
    error: str | None = None


class MapSnapshot(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The whole of a map at one moment: what a watch begins with, or begins anew with.

    Attributes:
        entries: By key.
        garbled: Why entries cannot be decoded, by key.
        position: Behind the last change that it holds: where a later watch can go on.
        again: Whether it replaces what the watch said so far: changes were trimmed, or lost with
            the server's data, before they were read.

    Example: See `Watch`.
    """

    entries: Mapping[str, Entry[T]]
    garbled: Mapping[str, str]
    position: str
    again: bool


class _Record(msgspec.Struct):
    version: int
    updated_at: float
    by: str
    value: msgspec.Raw
    expires_at: float | None = None


class _Row(msgspec.Struct):
    kind: ChangeKind
    key: str
    version: int
    after: int
    at: int
    by: str
    record: str


#: Types that say no more of a value than its JSON does.
_UNTYPED: Final[tuple[Any, ...]] = (Any, object, dict, list, tuple)

_decode_record = msgspec.json.Decoder(_Record).decode


class Records(Generic[T]):
    """Reads the records of one map.

    Args:
        map: Name of the map, for messages.
        value_type: Type of its values.
    """

    def __init__(self, map: str, value_type: Any) -> None:
        self._map = map
        self._typed = all(value_type is not kind for kind in _UNTYPED)
        self._decode: Callable[[msgspec.Raw], T] = msgspec.json.Decoder(value_type).decode

    def entry(self, key: str, record: bytes | str) -> Entry[T]:
        """Decode a record.

        Raises:
            UndecodableMessage: it is not one, or its value is of another type.
        """
        try:
            read = _decode_record(record)
            value = self._decode(read.value)
        except Exception as error:  # a type's `__post_init__` raises what it likes
            raise UndecodableMessage(
                f"what stands under {ascii(key)[:80]} of map {self._map} cannot be read "
                f"({fault(error)}): put it anew, or delete it"
            ) from error
        return Entry(
            key=key,
            value=value,
            version=read.version,
            updated_at=read.updated_at,
            by=read.by,
            expires_at=read.expires_at,
        )

    def encode(self, value: object) -> bytes:
        """JSON of a value, such that others can read it.

        Raises:
            UndecodableMessage: it cannot be encoded, or is of another type.
        """
        try:
            encoded = msgspec.json.encode(value)
        except (
            TypeError,
            ValueError,
            OverflowError,
            RecursionError,
            msgspec.MsgspecError,
        ) as error:
            raise UndecodableMessage(
                f"a {value.__class__.__name__} for map {self._map} cannot be encoded as JSON "
                f"({error}): put a msgspec.Struct, a dataclass, or plain lists, dicts, strings and "
                "numbers"
            ) from error
        if why := unfaithful(value, encoded, typed=self._typed):
            raise UndecodableMessage(
                f"a value for map {self._map} cannot be kept as it is ({why}): nothing was put"
            )
        try:
            self._decode(msgspec.Raw(encoded))
        except Exception as error:  # as above
            raise UndecodableMessage(
                f"a value for map {self._map} is not of its type ({fault(error)}): nothing was put"
            ) from error
        return encoded

    def entries(self, rows: Any) -> tuple[dict[str, Entry[T]], dict[str, str]]:
        """Decode a hash of records; what cannot be decoded comes apart, with the reason."""
        entries: dict[str, Entry[T]] = {}
        garbled: dict[str, str] = {}
        pairs = rows.items() if isinstance(rows, dict) else zip(rows[::2], rows[1::2], strict=True)
        for raw_key, record in pairs:
            key = raw_key.decode(errors="replace")
            try:
                entries[key] = self.entry(key, record)
            except UndecodableMessage as error:
                garbled[key] = str(error)
        return entries, garbled

    def change(self, entry_id: bytes, fields: Any) -> tuple[MapChange[T], int] | None:
        """Decode an entry of the changes stream, and the version after which it came.

        None where it is not one of ours.
        """
        pairs = (
            fields.items() if isinstance(fields, dict) else zip(*[iter(fields)] * 2, strict=False)
        )
        try:
            row = msgspec.convert(
                {name.decode(): value.decode() for name, value in pairs}, _Row, strict=False
            )
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            return None
        entry, error, by = None, None, row.by
        if row.kind == "put":
            try:
                entry = self.entry(row.key, row.record)
                by = entry.by
            except UndecodableMessage as failure:
                error = str(failure)
        change = MapChange(
            kind=row.kind,
            key=row.key,
            entry=entry,
            version=row.version,
            at=row.at / 1e6,
            by=by,
            position=position(entry_id.decode(), row.version),
            error=error,
        )
        return change, row.after


def position(change_id: str, version: int) -> str:
    """A place in a map's changes, as a text to keep."""
    return f"{change_id}/{version}"


def read_position(text: str) -> tuple[str, int]:
    """The stream id and the version of a position.

    Raises:
        ValueError: it is not a position.
        TypeError: it is not text.
    """
    match = _POSITION.match(arguments.text("after", text))
    if match is None or any(int(number) >= 2**64 for number in match.groups()):
        raise ValueError(
            f"after is {arguments.shown(text)}: it is not a position: use that of a change or of a "
            "snapshot"
        )
    change_id, _, version = text.partition("/")
    return change_id, int(version)
