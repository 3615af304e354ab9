"""A heartbeat that a fleet runs once a period, however many processes there are.

    python examples/heartbeat.py scout 60        # as many as you like; kill any of them

Each period's run comes to one process. One that is killed in the middle of a run leaves it to
another, which tries it again in the same period. It runs on the Redis of `argentbus up`, or the one
that ARGENTBUS_REDIS_URL names.
"""

import logging
import os
import sys
import time

import anyio
import msgspec

from bus import Bus, Lease, LockLost, Run

URL = os.environ.get("ARGENTBUS_REDIS_URL", "redis://127.0.0.1:6380")
NAMESPACE = os.environ.get("ARGENTBUS_NAMESPACE", "argent")
log = logging.getLogger("heartbeat")


class Beat(msgspec.Struct):
    slot: int
    by: int
    fence: int


async def beat(bus: Bus, agent: str, run: Run, lease: Lease) -> None:
    """What is to be done once a period: look at the tasks, summarize the day..."""
    beats = bus.map("beats", Beat)
    before = await beats.get(agent)
    # This process may have been suspended since it claimed the run. Whatever a run writes should
    # refuse a fence lower than one that it has seen; here, the map is what is written.
    if before is not None and before.value.fence > lease.fence:
        raise LockLost(f"a later run of {agent} has written already")
    lease.check()  # nothing is done without the lease, as far as this process's clock knows
    done = Beat(run.slot, os.getpid(), lease.fence)
    await beats.put(agent, done, if_version=before.version if before else 0)
    late = time.time() - run.due
    print(f"slot {run.slot}, attempt {run.attempt}, {late:.3f} s after it was due", flush=True)


async def main(agent: str, period: str) -> None:
    async with Bus.connect(URL, namespace=NAMESPACE) as bus:
        print("waiting", flush=True)
        async for run in bus.once_per(f"heartbeat:{agent}", float(period), attempts=3):
            try:
                async with run as lease:  # cancelled, with LockLost, if the claim is lost
                    await beat(bus, agent, run, lease)
            except Exception:
                # The run has failed: somebody tries again after 1 s, then 2 s, in this period.
                log.exception("heartbeat of %s, attempt %d", agent, run.attempt)


if __name__ == "__main__":
    try:
        anyio.run(main, *(sys.argv[1:] if len(sys.argv) == 3 else ("scout", "60")))
    except KeyboardInterrupt:
        sys.exit(130)
