"""The dimension of a storage's vectors, as a client knows it: its sidecar says so in Redis."""

from typing import Final

import anyio

from bus import Bus

from .commands import DIMENSIONS
from .embedding import Embedder, fitting
from .errors import InvalidValue
from .log import stated_dimension

#: Seconds after which it is looked at again: it may have been changed.
LOOK_AGAIN: Final = 10.0


class StatedDimension:
    """What is stated, and what one client was made for.

    Args:
        given: What it was made for; None: whatever is stated.
    """

    def __init__(self, bus: Bus, given: int | None) -> None:
        self._bus = bus
        self._given = given
        self._stated: int | None = None
        self._looked = float("-inf")

    async def of_storage(self, embedder: Embedder | None) -> int:
        """What the storage keeps; where no sidecar has said so yet, what is wanted here."""
        if anyio.current_time() - self._looked >= LOOK_AGAIN:
            self._stated = await stated_dimension(self._bus)
            self._looked = anyio.current_time()
        if self._stated is not None:
            return self._stated
        return self._given or (embedder.dimensions if embedder else DIMENSIONS)

    async def agreed(self, embedder: Embedder | None) -> int:
        """The same, where vectors are at stake.

        Raises:
            InvalidValue: another one is wanted here.
        """
        stored = await self.of_storage(embedder)
        if self._given not in {None, stored}:
            raise InvalidValue(
                "dimensions",
                f"are {self._given}, and the storage of namespace {self._bus.namespace} keeps "
                f"vectors of {stored}: give StorageClient `dimensions={stored}`, or none",
            )
        fitting(embedder, stored)
        return stored
