"""Batches: what a consumer settles together."""

from typing import NamedTuple

import anyio

from bus.errors import BusUnavailable, ServerRefused


class Burial(NamedTuple):
    """A delivery that is to become a dead letter.

    Attributes:
        refused: Whether it was refused unread.
    """

    entry_id: str
    attempt: int
    reason: str
    kills: str
    refused: bool


class Batch:
    """Settlements that travel together, one after the other.

    Attributes:
        returns: Entry ids that go back at once.
        retries: Entry ids, and the seconds until they are delivered again.
        lost: Entry ids that turned out to be another consumer's.
        refused: What Redis said to those that it refused.
        done: Set once each is settled, or it is known why not yet.
        error: Why Redis could not be told.
    """

    __slots__ = ("acks", "burials", "done", "error", "lost", "refused", "retries", "returns")

    def __init__(self) -> None:
        self.acks: list[str] = []
        self.returns: list[str] = []
        self.retries: list[tuple[str, float]] = []
        self.burials: list[Burial] = []
        self.lost: set[str] = set()
        self.refused: dict[str, ServerRefused] = {}
        self.done = anyio.Event()
        self.error: BusUnavailable | None = None

    @property
    def empty(self) -> bool:
        return not (self.acks or self.returns or self.retries or self.burials)

    def __len__(self) -> int:
        return len(self.acks) + len(self.returns) + len(self.retries) + len(self.burials)

    async def confirmed(self, entry_id: str) -> None:
        """Wait until `entry_id` is settled.

        Raises:
            ServerRefused, BusUnavailable: it is not yet, and goes on being tried.
        """
        await self.done.wait()
        error = self.error or self.refused.get(entry_id)
        if error is not None:
            raise error
