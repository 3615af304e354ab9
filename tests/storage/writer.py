"""A process of one agent that writes memory items: `python -m tests.storage.writer NAME COUNT`.

It says `written` when Redis has acknowledged all of them.
"""

import sys

import anyio

from bus import Bus
from storage import StorageConfig
from storage.client import StorageClient

#: Writes under way at the same time.
AT_ONCE = 100


async def write(name: str, count: int) -> None:
    config = StorageConfig.load()
    async with (
        Bus.connect(config.redis_url, namespace=config.namespace) as bus,
        bus.join(name) as agent,
    ):
        client = StorageClient(agent)
        numbers = iter(range(count))

        async def work() -> None:
            for n in numbers:
                await client.memory.create_item(summary=f"{name} {n}", memory_type="event")

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(work)
    print("written", flush=True)


if __name__ == "__main__":
    anyio.run(write, sys.argv[1], int(sys.argv[2]))
