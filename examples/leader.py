"""Leader election: one of several processes plans, and the others know who.

    python examples/leader.py ada        # in a shell
    python examples/leader.py bob        # in another; now kill ada

A leader that leaves in good order is replaced at once, one that is killed when its lease has run
out (2 s here). It runs on the Redis of `argentbus up`, or the one that ARGENTBUS_REDIS_URL names.
"""

import os
import sys
from contextlib import suppress

import anyio
import msgspec

from bus import Bus, Election, Lease, LockLost, StaleVersion

URL = os.environ.get("ARGENTBUS_REDIS_URL", "redis://127.0.0.1:6380")
NAMESPACE = os.environ.get("ARGENTBUS_NAMESPACE", "argent")
TTL = 2.0


class Plan(msgspec.Struct):
    round: int
    by: str
    fence: int


async def plan(bus: Bus, name: str, lease: Lease) -> None:
    """Lead: write a plan every so often, unless a later leader has."""
    plans = bus.map("plans", Plan)
    while True:
        entry = await plans.get("current")
        if entry is not None and entry.value.fence > lease.fence:
            raise LockLost(f"{entry.value.by} leads by now")
        done = entry.value.round if entry else 0
        # Compare-and-set: one that stood still between its reading and this is refused.
        new = Plan(done + 1, name, lease.fence)
        with suppress(StaleVersion):  # another wrote meanwhile: look again
            await plans.put("current", new, if_version=entry.version if entry else 0)
        await anyio.sleep(TTL / 10)


async def follow(election: Election) -> None:
    """Say who leads, whenever that changes."""
    changes = election.changes()
    print(f"{election.leader.candidate if election.leader else 'nobody'} leads", flush=True)
    async for change in changes:
        print(f"{change.leader.candidate if change.leader else 'nobody'} leads", flush=True)


async def main(name: str) -> None:
    async with (
        Bus.connect(URL, namespace=NAMESPACE) as bus,
        bus.election("planner", candidate=name, ttl=TTL) as election,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(follow, election)
        while True:
            try:
                async with election.lead() as lease:  # waits until it is elected
                    print(f"elected, fence {lease.fence}", flush=True)
                    await plan(bus, name, lease)
            except LockLost as lost:
                print(f"deposed: {lost}", flush=True)


if __name__ == "__main__":
    try:
        anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else f"process-{os.getpid()}")
    except KeyboardInterrupt:
        sys.exit(130)
