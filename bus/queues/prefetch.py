"""What a consumer has read ahead, and what it answers for."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import anyio

from bus.arguments import whole

from .membership import Entry


class Prefetch:
    """Entries between the server and the handlers.

    Args:
        most: How many are read ahead of the handlers. 0: as many as are waited for.

    Attributes:
        entries: Read, and not handed over.
        held: Ids of all that this consumer answers for, those in the hands of handlers included.
    """

    def __init__(self, most: int) -> None:
        whole("prefetch", most, most=1_000_000)
        self.entries: Final[deque[Entry]] = deque()
        self.held: Final[set[str]] = set()
        self._most = most
        self._low = most // 2
        self._asking = 0
        self._arrived = anyio.Event()
        self._room = anyio.Event()
        self._full = False
        self._closed = False

    @property
    def on_demand(self) -> bool:
        """Whether nothing is read ahead of what is waited for."""
        return self._most == 0

    @property
    def room(self) -> int:
        """How many more are to be read now."""
        return max(0, (self._most or self._asking) - len(self.entries))

    @property
    def needs(self) -> bool:
        """Whether more are to be read now: few reads fetch much."""
        if self._most == 0:
            return self._asking > len(self.entries)
        return len(self.entries) <= self._low

    def receive(self, entries: Sequence[Entry]) -> bool:
        """Take what was read or claimed; return whether that was all, or nobody waits for some."""
        taken = entries[: self.room] if self.on_demand else entries
        for entry in taken:
            self.entries.append(entry)
            self.held.add(entry.id)
        if taken:
            self._arrived.set()
        return len(taken) == len(entries)

    def pop(self) -> Entry:
        """The next entry to be handed over; there is one."""
        entry = self.entries.popleft()
        if self._full and self.needs:
            self._full = False
            self._room.set()
        return entry

    def put_back(self, entry: Entry) -> None:
        """Undo `pop`."""
        self.entries.appendleft(entry)
        self._arrived.set()

    async def arrival(self) -> bool:
        """Wait until there are entries; return False where none will come any more."""
        while not self.entries:
            if self._closed:
                return False
            if self._arrived.is_set():
                self._arrived = anyio.Event()
            self._asking += 1
            self._room.set()
            try:
                await self._arrived.wait()
            finally:
                self._asking -= 1
        return True

    async def need(self) -> None:
        """Wait until half of what may be read ahead is handed over: few reads fetch much."""
        while not self.needs:
            self._room = anyio.Event()
            self._full = True
            await self._room.wait()

    def drop(self) -> list[str]:
        """Forget what was read ahead, and return its ids. Somebody has to hand it back."""
        dropped = [entry.id for entry in self.entries]
        self.entries.clear()
        self.held.difference_update(dropped)
        self._room.set()
        return dropped

    def close(self) -> None:
        """Let nobody wait for entries any more."""
        self._closed = True
        self._arrived.set()
