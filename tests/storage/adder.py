"""A process that adds the same many times at once: `python -m tests.storage.adder WHERE COUNT`.

WHERE is a PostgreSQL URL or the path of a SQLite file. It says `ready`, waits for a line, adds
everything COUNT times at once, links it, and says the ids that it was told, as JSON.
"""

import json
import sys
from pathlib import Path

import anyio

from storage.postgres.adapter import PgAdapter
from storage.sqlite.adapter import SQLiteAdapter


async def add(where: str, count: int) -> None:
    opened = (
        PgAdapter.open(where, dimensions=3)
        if where.startswith("postgresql:")
        else SQLiteAdapter.open(Path(where), dimensions=3)
    )
    ids: dict[str, set[str]] = {"items": set(), "categories": set(), "entities": set()}
    async with opened as storage:
        memory = storage.scoped("scout").memory

        async def once() -> None:
            item = await memory.create_item(summary="The sky is blue", memory_type="knowledge")
            category = await memory.get_or_create_category("colours")
            entity = await memory.get_or_create_entity("the sky", entity_type="place")
            ids["items"].add(item.id)
            ids["categories"].add(category.id)
            ids["entities"].add(entity.id)

        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(once)
        for item in ids["items"]:
            for entity in ids["entities"]:
                await memory.link_entity(item, entity)
            for category in ids["categories"]:
                await memory.link_category(item, category)
    print(json.dumps({kind: sorted(found) for kind, found in ids.items()}), flush=True)


if __name__ == "__main__":
    anyio.run(add, sys.argv[1], int(sys.argv[2]))
