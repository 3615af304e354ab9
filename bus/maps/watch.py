"""Watching a map: what it is, and then every change, without a gap."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar

import anyio

from bus.locks.lease import lease_clock
from bus.servers.link import AWAY, Link, backoff
from bus.servers.reader import StreamReader
from bus.servers.script import Script
from bus.telemetry.journal import Journal

from .entry import MapChange, MapSnapshot, Records, position, read_position

T = TypeVar("T")
log = Journal("argentbus.map")

_SNAPSHOT: Final = Script("maps/snapshot", "servers/growing", "maps/entries")
_REAP: Final = Script("maps/reap", "servers/growing", "maps/entries")

#: Changes read in one call.
_READ: Final = 500

#: Seconds for which one read waits at the server; then it is seen whether the map is still there.
_BLOCK: Final = 5.0


class Watch(Generic[T]):
    """The items of a watch: iterate over it, in one task at a time. Made by `Map.watch`.

    Attributes:
        position: Behind the last item that was returned: `Map.watch(after=...)` goes on from it.

    Example:
        plan = bus.map("plan", str)
        watch: Watch[str]
        async with plan.watch() as watch:
            snapshot: MapSnapshot[str] = await anext(watch)
            await plan.put("step-1", "dig")
            change: MapChange[str] = await anext(watch)
            print(dict(snapshot.entries), change.kind, change.entry.value)  #> {} put dig
    """

    def __init__(
        self, link: Link, keys: list[str], records: Records[T], most: int, after: str | None
    ) -> None:
        self.position = after
        self._link = link
        self._keys = keys
        self._records = records
        self._most = most
        self._reader = StreamReader(link, keys[2])
        self._read: deque[MapSnapshot[T] | MapChange[T]] = deque()
        self._again = after is not None
        # Behind what was read, by stream id and by version. None: a snapshot is to come next.
        self._behind = None if after is None else read_position(after)
        self._due: float | None = None
        self._checked = False

    def __aiter__(self) -> "Watch[T]":
        return self

    async def __anext__(self) -> MapSnapshot[T] | MapChange[T]:
        delays = backoff()
        while not self._read:
            try:
                await self._fill()
            except AWAY as error:
                log.debug("a watch was interrupted", error=error)
                self._checked = False
                await anyio.sleep(next(delays))
        item = self._read.popleft()
        self.position = item.position
        return item

    async def start(self) -> None:
        """Take the snapshot, unless this watch goes on from a position."""
        if self._behind is None:
            await self._snapshot()

    async def aclose(self) -> None:
        """Give the connection up."""
        await self._reader.aclose()

    async def _fill(self) -> None:
        if self._behind is None:
            await self._snapshot()
            return
        wait = _BLOCK if self._due is None else min(_BLOCK, self._due - lease_clock())
        if not self._checked or wait <= 0:
            await self._check(self._behind)
            return
        rows = await self._reader.read(self._behind[0], count=_READ, block=wait)
        # After a silence it is looked whether the map has gone on without its changes.
        self._checked = bool(rows)
        for entry_id, fields in rows:
            if not self._take(entry_id, fields):
                return

    def _take(self, entry_id: bytes, fields: Any) -> bool:
        assert self._behind is not None, "no position to take a change at"
        read = self._records.change(entry_id, fields)
        if read is None:
            # A foreign hand's: passed over.
            self._behind = entry_id.decode(), self._behind[1]
            return True
        change, after = read
        if after != self._behind[1]:
            self._lose_track(f"a change came after version {after}")
            return False
        self._behind = entry_id.decode(), change.version
        self._read.append(change)
        if change.entry is not None and change.entry.expires_at is not None:
            self._expect(change.entry.expires_at - change.entry.updated_at)
        return True

    async def _snapshot(self) -> None:
        last, version, wait, rows = await self._link.run_once(_SNAPSHOT, self._keys, [self._most])
        entries, garbled = self._records.entries(rows)
        self._behind = last.decode(), int(version)
        self._checked = True
        self._read.append(
            MapSnapshot(
                entries=entries,
                garbled=garbled,
                position=position(*self._behind),
                again=self._again,
            )
        )
        self._again = True
        self._due = None
        self._expect(wait / 1000)

    async def _check(self, behind: tuple[str, int]) -> None:
        """Have keys expire that are due, and see whether there can be a gap."""
        last, version, wait = await self._link.run_once(_REAP, self._keys, [self._most])
        self._checked = True
        self._due = None
        self._expect(wait / 1000)
        if int(version) != behind[1] and _order(last.decode()) <= _order(behind[0]):
            self._lose_track(f"the map is at version {int(version)}")

    def _expect(self, seconds: float) -> None:
        """Look again in so many seconds (not if negative), or sooner."""
        if seconds >= 0:
            due = lease_clock() + seconds
            self._due = due if self._due is None else min(self._due, due)

    def _lose_track(self, why: str) -> None:
        log.warning(
            "changes of a map were lost before they were read: a new snapshot comes first",
            behind=self._behind,
            reason=why,
        )
        self._behind = None


@asynccontextmanager
async def watching(
    link: Link, keys: list[str], records: Records[T], most: int, after: str | None
) -> AsyncGenerator[Watch[T]]:
    """Watch a map until the context ends. See `Map.watch`."""
    watch = Watch(link, keys, records, most, after)
    try:
        await link.retrying(watch.start)
        yield watch
    finally:
        with anyio.CancelScope(shield=True):
            await watch.aclose()


def _order(change_id: str) -> tuple[int, int]:
    ms, _, number = change_id.partition("-")
    return int(ms), int(number)
