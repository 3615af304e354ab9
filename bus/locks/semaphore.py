"""Counting semaphores: so many holders at a time, over the whole fleet."""

from typing import TYPE_CHECKING

from bus.arguments import whole

from .lock import Lock

if TYPE_CHECKING:
    from bus.bus import Bus


class Semaphore(Lock):
    """A named semaphore: `async with bus.semaphore("gpu", permits=5) as lease: ...`.

    As `Lock`, with up to `permits` holders at a time, in order of arrival; a permit whose holder
    died comes back when its TTL is over. Everybody should name the same number: each is admitted by
    its own.

    Args:
        permits: How many may hold it at a time.
        ttl: Seconds that a permit lasts; it is renewed every third of it.
        wait: Seconds to wait for a permit. None: as long as it takes. 0: do not wait.

    Raises:
        LockNotAcquired: no permit was free in time.
        LockLost: out of the block, when the permit was lost before it ended.

    Example:
        gpu: Semaphore = bus.semaphore("gpu", permits=2, wait=0)
        async with gpu, bus.semaphore("gpu", permits=2, wait=0):
            print("both permits are in use")  #> both permits are in use
    """

    noun = "semaphore"

    def __init__(
        self, bus: "Bus", name: str, *, permits: int, ttl: float, wait: float | None
    ) -> None:
        super().__init__(bus, name, ttl=ttl, wait=wait, shared=True)
        self._limit = whole("permits", permits, least=1, most=1_000_000)
        self._base = bus.keys.semaphore(name)
