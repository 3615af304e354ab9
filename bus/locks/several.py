"""Several locks at once: all or none, and without a deadlock."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from bus.arguments import seconds_or_none
from bus.keys import check_name

from .lease import Lease, check_ttl

if TYPE_CHECKING:
    from bus.bus import Bus


@asynccontextmanager
async def locks(
    bus: "Bus",
    names: tuple[str, ...],
    *,
    ttl: float,
    wait: float | None,
    shared: bool,
    replicated: int,
) -> AsyncGenerator[Mapping[str, Lease]]:
    """Hold every lock of `names` until the context ends. See `Bus.locks`."""
    if not names:
        raise ValueError("no locks to hold: give the name of one at least")
    for name in names:
        check_name("lock", name)
    check_ttl(ttl)
    seconds_or_none("wait", wait)
    give_up = None if wait is None else anyio.current_time() + wait
    leases: dict[str, Lease] = {}
    async with AsyncExitStack() as held:
        # One order for everybody: of those who wait for each other, somebody always has all.
        for name in sorted(set(names)):
            left = None if give_up is None else max(0.0, give_up - anyio.current_time())
            one = bus.lock(name, ttl=ttl, wait=left, shared=shared, replicated=replicated)
            leases[name] = await held.enter_async_context(one)
        yield leases
