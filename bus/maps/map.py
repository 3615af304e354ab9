"""Maps: state that agents share, where nobody overwrites what he has not seen.

Each map is linearizable while Redis keeps its data: every operation is one script on one server.
Versions are one row of numbers for the whole map, max(last + 1, server time in us), so they grow
over deletions, restarts and lost data, as the fences of locks do. A write whose connection broke is
repeated under the same tag and carried out once, so that an own success does not come back as
`StaleVersion`. Where Redis loses data (FLUSHALL, a failover to a replica that was behind), writes
are lost with it; watches notice, and say so with a fresh snapshot.

Values are JSON in a hash, for every Redis client to read:
`{"version": ..., "updated_at": ..., "by": ..., "expires_at": ..., "value": ...}`. Writing there
past the bus tells no watch.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

import msgspec

from bus.arguments import seconds_or_none, whole
from bus.errors import BusUnavailable, StaleVersion, UndecodableMessage
from bus.keys import check_name
from bus.locks.lease import lease_clock
from bus.messages.envelope import new_id
from bus.servers.script import Arguments, Script
from bus.telemetry.journal import Journal

from .entry import Entry, Records
from .watch import Watch, watching

if TYPE_CHECKING:
    from bus.bus import Bus

T = TypeVar("T")
log = Journal("argentbus.map")

_PUT: Final = Script("maps/put", "servers/growing", "maps/entries", "maps/repeated")
_DELETE: Final = Script("maps/delete", "servers/growing", "maps/entries", "maps/repeated")
_GET: Final = Script("maps/get", "servers/growing", "maps/entries")
_PAGE: Final = Script("maps/page", "servers/growing", "maps/entries")

#: Changes kept for watches that were away, unless `Bus.map` is told otherwise.
MOST_CHANGES: Final = 10_000

# What the scripts that write answer.
_REFUSED, _DONE, _GARBLED, _UNKNOWN = range(4)


class Map(Generic[T]):
    """A named map from text to values of one type. Made by `Bus.map`.

    Linearizable while Redis keeps its data. A write that names the version it has seen is refused
    where another was first; a write whose connection broke is carried out once. What a failover
    loses is lost here as well: watches notice, versions grow all the same.

    Attributes:
        name: Of the map.

    Raises:
        BusUnavailable: out of every method: Redis could not be reached for as long as the bus is
            patient.
        InvalidName: out of every method with a `key`: it is not 1 to 128 characters of A-Z a-z 0-9
            . _ : @ / + -, the first a letter or a digit.

    Example:
        plan: Map[str] = bus.map("plan", str, sender="scout")
        first: Entry[str] = await plan.put("step-1", "dig", if_version=ABSENT)
        await plan.put("step-1", "dig deeper", if_version=first.version, ttl=3600)
        try:
            await plan.put("step-1", "sow", if_version=first.version)
        except StaleVersion as stale:  # nothing was overwritten: decide anew
            print(stale.current.value, stale.current.by)  #> dig deeper scout
    """

    def __init__(
        self, bus: "Bus", name: str, value_type: Any, *, sender: str, most_changes: int
    ) -> None:
        self.name = check_name("map", name)
        self._bus = bus
        self._sender = sender
        self._most_changes = whole("most_changes", most_changes, least=1)
        self._records: Records[T] = Records(name, value_type)
        base = bus.keys.map(name)
        self._keys: Final = [base, f"{base}:version", f"{base}:changes", f"{base}:expiry"]

    def __repr__(self) -> str:
        return f"<Map {self.name}>"

    async def get(self, key: str) -> Entry[T] | None:
        """What stands under `key`, or None.

        Raises:
            UndecodableMessage: what stands there is not an entry, or its value is of another type.
            BusUnavailable: Redis could not be reached.
        """
        record = await self._bus.link.run(
            _GET, self._keys, [self._most_changes, check_name("key", key)]
        )
        return None if record is None else self._records.entry(key, record)

    async def put(
        self, key: str, value: T, *, if_version: int | None = None, ttl: float | None = None
    ) -> Entry[T]:
        """Put `value` under `key`; return the entry, with its new version.

        Args:
            if_version: Only if this version stands; `ABSENT` (0): only if there is no entry. None:
                whatever stands is overwritten.
            ttl: Seconds after which the key goes by itself, with one `expired` change. None: it
                stays, also where the entry before had a TTL.

        Raises:
            StaleVersion: another version stands.
            UndecodableMessage: the value is not of the map's type; or, with `if_version`, what
                stands is not an entry.
            MessageTooLarge: the value is larger than the bus carries.
            BusUnavailable: Redis could not be reached for as long as the bus is patient; the value
                may have been put.
        """
        encoded = msgspec.json.encode(value)
        self._bus.check_size(encoded)
        self._records.check(value, encoded)
        seconds_or_none("ttl", ttl, least=0.001, most=1e9)
        wanted = _wanted(if_version)
        by = msgspec.json.encode(self._sender)
        ms = 0 if ttl is None else int(ttl * 1000)
        with self._bus.telemetry.writing("put", self.name):
            code, version, record = await self._write(_PUT, key, [encoded, by, wanted, ms])
            if code != _DONE:
                self._refuse(key, if_version, code, version, record)
            return self._records.entry(key, record)

    async def delete(self, key: str, *, if_version: int | None = None) -> bool:
        """Delete `key`; return whether there was an entry.

        Args:
            if_version: Only if this version stands. None: whatever stands.

        Raises:
            StaleVersion: another version stands.
            UndecodableMessage: with `if_version`, where what stands is not an entry.
            BusUnavailable: as for `put`.
        """
        arguments = [self._sender, _wanted(if_version)]
        with self._bus.telemetry.writing("delete", self.name):
            code, version, record = await self._write(_DELETE, key, arguments)
            if code != _DONE:
                self._refuse(key, if_version, code, version, record)
            return bool(int(version))

    async def entries(self, *, page: int = 500) -> AsyncIterator[Entry[T]]:
        """Every entry, in no order, read in pages of about `page`.

        What is in the map all the while is there once; what comes or goes meanwhile may be there
        or not. What cannot be decoded is left out, with a warning in the log.

        Args:
            page: About so many entries are read in one call.
        """
        whole("page", page, least=1)
        seen: set[str] = set()
        cursor: int | bytes = 0
        while True:
            cursor, rows = await self._bus.link.run(
                _PAGE, self._keys, [self._most_changes, cursor, page]
            )
            entries, garbled = self._records.entries(rows)
            for why in garbled.values():
                log.warning("an entry cannot be decoded, and is left out", map=self.name, error=why)
            for key, entry in entries.items():
                if key not in seen:
                    seen.add(key)
                    yield entry
            if int(cursor) == 0:
                return

    async def list(self) -> dict[str, Entry[T]]:
        """Every entry, by key. See `entries`."""
        return {entry.key: entry async for entry in self.entries()}

    def watch(self, *, after: str | None = None) -> AbstractAsyncContextManager[Watch[T]]:
        """The map as it is, and then every change, in order and without a gap: iterate over it.

        The first item is a `MapSnapshot` of the moment when the context was entered, the others are
        `MapChange`s. It reconnects by itself.
        Where changes were trimmed or lost before they were read, another snapshot comes, with
        `again`; it replaces all before. Keys with a TTL expire by the watches (and by any other
        use of the map). A watch keeps a connection of its own until its context ends.

        Args:
            after: A `position` to go on from: then no snapshot comes first, unless the changes
                behind it are gone.

        Raises:
            ValueError: `after` is not a position.
            BusUnavailable: Redis could not be reached at the start.
        """
        return watching(self._bus.link, self._keys, self._records, self._most_changes, after)

    async def _write(
        self, script: Script, key: str, arguments: Arguments
    ) -> tuple[int, bytes | str, bytes | str]:
        tag = new_id()
        keys = [*self._keys, f"{self._keys[0]}:mark:{tag}"]
        arguments = [self._most_changes, check_name("key", key), *arguments, tag]
        began: float | None = None

        async def attempt() -> Any:
            nonlocal began
            since: str | int = ""
            if began is None:
                began = lease_clock()
            else:
                since = int((lease_clock() - began) * 1000) + 1000
            return await self._bus.link.run_once(script, keys, [*arguments, since])

        code, version, record = await self._bus.link.retrying(attempt)
        return int(code), version, record

    def _refuse(
        self, key: str, if_version: int | None, code: int, version: Any, record: Any
    ) -> NoReturn:
        if code == _UNKNOWN:
            raise BusUnavailable(
                f"the connection broke while {key} of map {self.name} was being written, and the "
                "changes of that time have been trimmed: it may or may not have been; read it"
            )
        if code == _GARBLED:
            raise UndecodableMessage(
                f"what stands under {key} of map {self.name} has no version to compare: put it "
                "anew without if_version, or delete it"
            )
        current = None
        if record:
            try:
                current = self._records.entry(key, record)
            except UndecodableMessage as error:
                log.warning(
                    "what stands in the way of a write cannot be decoded",
                    map=self.name,
                    key=key,
                    error=error,
                )
        raise StaleVersion(self.name, key, if_version or 0, int(version), current)


def _wanted(if_version: int | None) -> str:
    if if_version is None:
        return ""
    return str(whole("if_version", if_version))
