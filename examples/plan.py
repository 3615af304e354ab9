"""A plan that agents share: nobody overwrites what he has not seen, and everybody sees each change.

    python examples/plan.py make dig sow water     # write a plan, or add to it
    python examples/plan.py watch                  # follow it until all is done
    python examples/plan.py work ada               # take steps until all is done; any number

A step is held under a lock, which an agent that is killed gives up, and its outcome is written by
compare-and-set, so that a plan that was changed meanwhile is looked at again. On the Redis of
`argentbus up`, or the one that ARGENTBUS_REDIS_URL names.
"""

import os
import sys
from contextlib import suppress

import anyio
import msgspec

from bus import ABSENT, Bus, LockNotAcquired, Map, MapSnapshot, StaleVersion

URL = os.environ.get("ARGENTBUS_REDIS_URL", "redis://127.0.0.1:6380")
NAMESPACE = os.environ.get("ARGENTBUS_NAMESPACE", "argent")


class Step(msgspec.Struct):
    done: bool = False
    by: str | None = None


async def make(plan: Map[Step], *steps: str) -> None:
    for step in steps:
        with suppress(StaleVersion):  # it is in the plan already, and perhaps done
            await plan.put(step, Step(), if_version=ABSENT)


async def work(bus: Bus, plan: Map[Step], name: str) -> None:
    while open_steps := [key for key, step in (await plan.list()).items() if not step.value.done]:
        for key in open_steps:
            try:
                async with bus.lock(f"step:{key}", ttl=2, wait=0):
                    entry = await plan.get(key)
                    if entry is not None and not entry.value.done:
                        await anyio.sleep(0.05)  # the work itself
                        await plan.put(key, Step(done=True, by=name), if_version=entry.version)
                        print(f"{name} did {key}", flush=True)
            except (LockNotAcquired, StaleVersion):
                pass  # another is at it, or changed it meanwhile: look again
        await anyio.sleep(0.05)


async def watch(plan: Map[Step]) -> None:
    steps: dict[str, Step] = {}
    async with plan.watch() as changes:
        async for item in changes:
            if isinstance(item, MapSnapshot):  # the whole; again, if changes were ever lost
                steps = {key: entry.value for key, entry in item.entries.items()}
            elif item.entry is not None:
                steps[item.key] = item.entry.value
            else:
                steps.pop(item.key, None)
            done = sum(step.done for step in steps.values())
            print(f"{done} of {len(steps)} done", flush=True)
            if steps and done == len(steps):
                return


async def main(command: str, *arguments: str) -> None:
    async with Bus.connect(URL, namespace=NAMESPACE) as bus:
        plan = bus.map(
            "garden", Step, sender=arguments[0] if command == "work" and arguments else None
        )
        match command, arguments:
            case "make", [_, *_]:
                await make(plan, *arguments)
            case "work", [name]:
                await work(bus, plan, name)
            case "watch", []:
                await watch(plan)
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    anyio.run(main, *(sys.argv[1:] or ["help"]))
