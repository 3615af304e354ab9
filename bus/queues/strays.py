"""Strays: deliveries that the server holds to be a consumer's, and that nobody there has."""

import math
from typing import Final

import anyio

from .membership import Membership
from .prefetch import Prefetch
from .settlement import Settlements


class Strays:
    """Finds what a lost reply left behind, and has it delivered again.

    Args:
        late: Seconds after which what was sent before a reply was lost is carried out no more.

    Attributes:
        found: Whether some went back since it was last set to False: a retry is due then.
    """

    def __init__(
        self, membership: Membership, prefetch: Prefetch, settlements: Settlements, *, late: float
    ) -> None:
        self._membership = membership
        self._prefetch = prefetch
        self._settlements = settlements
        self._late: Final = late
        self._suspected = False
        self._again_at = math.inf
        self.found = False

    @property
    def suspected(self) -> bool:
        """Whether there may be some."""
        return self._suspected or anyio.current_time() >= self._again_at

    def suspect(self) -> None:
        """What was read or claimed was not taken."""
        self._suspected = True

    def lost_reply(self) -> None:
        """What reads or claims failed: it may have been carried out all the same."""
        self._suspected = True
        # A server that stood still may carry it out after it was given up.
        self._again_at = anyio.current_time() + self._late

    async def give_back(self) -> None:
        """Give back those that are suspected. Not while a reply is on its way: what it brings is
        not held yet.
        """
        if not self.suspected:
            return
        if not self._suspected:
            self._again_at = math.inf
        self._suspected = False
        try:
            await self.give_back_but(self._prefetch.held)
        except BaseException:
            self._suspected = True
            raise

    async def give_back_but(self, held: set[str]) -> None:
        """Return to the group what is pending here and not in `held`."""
        pending = await self._membership.pending()
        strays = [entry_id for entry_id in pending if entry_id not in held]
        if strays:
            self.found = True
            await self._settlements.give_back(strays, handled=False)
