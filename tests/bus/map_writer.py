"""A process that reads and writes a map at random, and says what it did and when.

Its output is a line of JSON for each operation: what it was, when it began and ended (by the
machine's monotonic clock, which all processes share), and what came of it.
"""

import json
import random
import sys
import time
from typing import Any

import anyio

from bus import ABSENT, Bus, Map, StaleVersion

TASKS = 3


class Writer:
    def __init__(self, shared: Map[str], me: str, keys: int, seed: int) -> None:
        self.map = shared
        self.me = me
        self.random = random.Random(seed)
        self.keys = [f"k{n}" for n in range(keys)]
        self.count = 0

    async def work(self, count: int) -> None:
        seen: dict[str, int] = {}
        for _ in range(count):
            key = self.random.choice(self.keys)
            operation = self.random.choice([self.get, self.put, self.swap, self.swap, self.delete])
            began = time.monotonic()
            outcome = await operation(key, seen)
            print(
                json.dumps(
                    {
                        "event": "did",
                        "what": operation.__name__,
                        "key": key,
                        "began": began,
                        "ended": time.monotonic(),
                        "by": self.me,
                        **outcome,
                    }
                ),
                flush=True,
            )

    async def get(self, key: str, seen: dict[str, int]) -> dict[str, Any]:
        entry = await self.map.get(key)
        seen[key] = entry.version if entry else ABSENT
        return {"version": seen[key], "value": entry.value if entry else None}

    async def put(self, key: str, seen: dict[str, int]) -> dict[str, Any]:
        value = self.next_value()
        entry = await self.map.put(key, value)
        seen[key] = entry.version
        return {"version": entry.version, "value": value}

    async def swap(self, key: str, seen: dict[str, int]) -> dict[str, Any]:
        value, expected = self.next_value(), seen.get(key, ABSENT)
        try:
            entry = await self.map.put(key, value, if_version=expected)
        except StaleVersion as stale:
            seen[key] = stale.actual
            current = stale.current.value if stale.current else None
            return {"stale": expected, "version": stale.actual, "value": current, "mine": value}
        seen[key] = entry.version
        return {"expected": expected, "version": entry.version, "value": value}

    async def delete(self, key: str, seen: dict[str, int]) -> dict[str, Any]:
        expected = seen.get(key, ABSENT)
        if expected == ABSENT:
            return await self.get(key, seen)
        try:
            await self.map.delete(key, if_version=expected)
        except StaleVersion as stale:
            seen[key] = stale.actual
            current = stale.current.value if stale.current else None
            return {"stale": expected, "version": stale.actual, "value": current}
        seen[key] = ABSENT
        return {"expected": expected}

    def next_value(self) -> str:
        self.count += 1
        return f"{self.me}-{self.count}"


async def main(url: str, namespace: str, me: str, keys: str, count: str, seed: str) -> None:
    async with Bus.connect(url, namespace=namespace, patience=60) as bus:
        shared = bus.map("shared", str, sender=me)
        writer = Writer(shared, me, int(keys), int(seed))
        async with anyio.create_task_group() as tasks:
            for _ in range(TASKS):
                tasks.start_soon(writer.work, int(count) // TASKS)
    print(json.dumps({"event": "finished"}), flush=True)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[2:], backend=sys.argv[1])
