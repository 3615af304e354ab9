"""Locks, permits, jobs, a leader and shared state: `python examples/coordination.py URL`."""

import os
import sys

import anyio
import msgspec

from bus import ABSENT, Bus, LockNotAcquired, MapSnapshot, StaleVersion

RUN = os.urandom(4).hex()  # names of its own: it may be run again within the hour
JOB = f"heartbeat:scout-{RUN}"


class Step(msgspec.Struct):
    what: str
    done: bool = False


async def locks(bus: Bus) -> None:
    async with bus.lock("report", ttl=10) as lease:
        # Whatever the lock protects should refuse a fence lower than one it has seen.
        print(f"holding {lease.name} for {lease.ttl:g} s at a time: {lease.fence > 0}")
        lease.check()  # right before a side effect: raises LockLost if the lease ran out
        await lease.extend(ttl=60)  # before something that blocks the event loop
        try:
            async with bus.lock("report", wait=0):
                print("never")
        except LockNotAcquired:
            print("the lock is another's")
    async with bus.lock("index", shared=True), bus.lock("index", shared=True):
        print("two readers at once")
    async with bus.locks("red", "blue") as leases:
        print(f"both or none: {', '.join(leases)}")
    async with bus.semaphore("gpu", permits=2), bus.semaphore("gpu", permits=2):
        print("both permits in use")


async def jobs(bus: Bus) -> None:
    # Any number of processes may run this loop: each period's run comes to one of them.
    async for run in bus.once_per(JOB, 3600):
        async with run as lease:
            print(f"the run of this hour, attempt {run.attempt}, {lease.name}")
        break
    print(f"and no other: {await bus.once_per(JOB, 3600).claim()}")


async def leader(bus: Bus) -> None:
    async with bus.election("planner", candidate="scout", ttl=10) as election:
        changes = election.changes()
        async with election.lead():
            change = await anext(changes)
            print(f"{change.leader.candidate if change.leader else 'nobody'} leads")


async def state(bus: Bus) -> None:
    plan = bus.map(f"plan-{RUN}", Step, sender="scout")
    async with plan.watch() as changes:
        first = await plan.put("step-1", Step("dig"), if_version=ABSENT)
        await plan.put("step-1", Step("dig", done=True), if_version=first.version)
        try:
            await plan.put("step-1", Step("sow"), if_version=first.version)
        except StaleVersion as stale:
            print(f"refused: {stale.current.value if stale.current else 'it is gone'} stands")
        await plan.put("draft", Step("sow"), ttl=0.2)
        async for item in changes:
            if isinstance(item, MapSnapshot):
                print(f"the map: {[entry.value for entry in item.entries.values()]}")
            else:
                print(f"{item.kind} {item.key}")
                if item.kind == "expired":
                    break
    print(f"left: {list(await plan.list())}")


async def main(url: str) -> None:
    namespace = os.environ.get("ARGENTBUS_NAMESPACE", "coordination")
    async with Bus.connect(url, namespace=namespace) as bus:
        for part in (locks, jobs, leader, state):
            await part(bus)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
