"""A newsroom: three agents that turn a folder of Markdown into memory, each a process of its own.

    python examples/newsroom.py scout docs/    # finds the pages, and hands each out once
    python examples/newsroom.py writer         # files every section of a page as a memory item
    python examples/newsroom.py editor         # asks for a draft, closes the task, announces it

`argentbus demo` starts them, kills the writer halfway, and counts what is in the database.
Whatever is done twice here (a killed writer's page is written again by the next one) has the same
id the second time, and so no effect.
"""

import contextlib
import os
import re
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec

from bus import DASHBOARD, Agent, Bus, DashboardEvent, LockNotAcquired
from storage import StorageConfig
from storage.client import StorageClient

#: Seconds that a writer takes for a section, so that there is something to see.
PACE = float(os.environ.get("NEWSROOM_PACE", "0.2"))

#: The same pages in another edition are new work.
EDITION = os.environ.get("NEWSROOM_EDITION", "first")

#: Characters of one memory item: a longer section becomes several.
MOST_TEXT = 100_000


#: The queue of pages: the newsroom's own, whatever else is on this Redis.
PAGES = "newsroom.pages"


class Page(msgspec.Struct):
    name: str
    path: bytes  # as the file system has it: not every file name is text
    task: str


class Filed(msgspec.Struct):
    page: Page
    sections: int


class DraftWanted(msgspec.Struct):
    page: str


class Draft(msgspec.Struct):
    text: str


class Published(msgspec.Struct):
    edition: str
    page: Page
    draft: str


async def scout(agent: Agent, storage: StorageClient, folder: Path) -> None:
    """Hand out every page of the folder as a task and a message, once among all scouts."""
    pages = agent.queue(PAGES, Page)
    for name, path in markdown(folder):
        task = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{EDITION} {name}"))
        await agent.set_state(status="processing", activity=f"claims {name}")
        with contextlib.suppress(LockNotAcquired):  # another scout has it
            async with agent.bus.lock(f"page:{task}", ttl=10, wait=0):
                await storage.tasks.create_task(
                    title=f"Publish {name}", task_id=task, assignee="editor", source="agent"
                )
                await storage.flush()  # in the database before anybody can close it
                await pages.put(Page(name, os.fsencode(path), task), dedupe=task)
    await agent.set_state(status="idle", activity="has handed out every page")
    await anyio.sleep_forever()


async def writer(agent: Agent, storage: StorageClient) -> None:
    """File the sections of page after page, and answer those who ask for a draft meanwhile."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(give_drafts, agent, storage)
        filed = 0
        # A message is acknowledged at the end of its `async with`. What a writer holds when it
        # dies goes to the next one.
        async with agent.queue(PAGES, Page).consume("writers", prefetch=4) as deliveries:
            async for delivery in deliveries:
                async with delivery:
                    page = delivery.body
                    found = sections(page.name, Path(os.fsdecode(page.path)))
                    for number, text in enumerate(found):
                        await storage.memory.create_item(
                            summary=text,
                            memory_type="knowledge",
                            visibility="family",
                            item_id=str(uuid.uuid5(uuid.UUID(page.task), str(number))),
                            extra={"source": page.name, "section": number},
                        )
                        filed += 1
                        await agent.set_state(
                            status="processing", activity=f"writes {page.name}", filed=filed
                        )
                        await anyio.sleep(PACE)
                    await agent.send("editor", Filed(page, len(found)))
                await agent.set_state(status="idle", activity="waits for a page")


async def give_drafts(agent: Agent, storage: StorageClient) -> None:
    """Answer requests from memory. A read sees everything that this agent wrote before."""
    async for delivery in agent.inbox(DraftWanted):
        async with delivery:
            hits = await storage.memory.search(delivery.body.page, limit=3)
            lines = [hit.item.summary.partition("\n")[0] for hit in hits]
            await delivery.reply(Draft(" / ".join(lines)))


async def editor(agent: Agent, storage: StorageClient) -> None:
    """Close the task of every page that was filed, and announce it."""
    news = agent.topic("news", Published)
    dashboard = agent.topic(DASHBOARD, DashboardEvent)
    async for delivery in agent.inbox(Filed):
        async with delivery:
            page = delivery.body.page
            await agent.set_state(status="processing", activity=f"edits {page.name}")
            draft = await agent.request("writer", DraftWanted(page.name), Draft, timeout=30)
            await storage.tasks.complete(page.task)
            await storage.flush()
            await news.publish(Published(EDITION, page, draft.text))
            event = DashboardEvent("published", agent.id, page.name, time.time())
            await dashboard.publish(event)
        await agent.set_state(status="idle", activity="waits for what is filed")


def markdown(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and path of every Markdown file below the folder that is not hidden."""
    for path in sorted(folder.rglob("*.md")):
        below = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in below.parts):
            yield os.fsencode(below).decode(errors="backslashreplace"), path.resolve()


def sections(name: str, path: Path) -> list[str]:
    """The text of every section of a page, under a line that says where it is from."""
    found, fenced = [("beginning", list[str]())], False
    for line in path.read_text(errors="replace").replace("\0", "").splitlines():
        fenced ^= line.startswith("```")
        heading = None if fenced else re.match(r"#{1,6}\s+(.+)", line)
        if heading:
            found.append((heading[1], []))
        else:
            found[-1][1].append(line)
    texts = [(heading, "\n".join(lines).strip()) for heading, lines in found]
    return [
        f"{name}: {heading}\n{text[start : start + MOST_TEXT]}"
        for heading, text in texts
        for start in range(0, len(text), MOST_TEXT)
    ]


async def leave_on_signal(work: anyio.CancelScope) -> None:
    """End the work, and so leave at once: who just dies is missed only after its TTL."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        await anext(signals)
        work.cancel()


async def main(role: str, *arguments: str) -> None:
    config = StorageConfig.load()
    async with (
        Bus.connect(
            config.redis_url, namespace=config.namespace, ttl=3, signing=config.signing()
        ) as bus,
        bus.join(role, role=role) as agent,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(leave_on_signal, tasks.cancel_scope)
        storage = StorageClient(agent)
        match role, arguments:
            case "scout", [folder]:
                await scout(agent, storage, Path(folder))
            case "writer", []:
                await writer(agent, storage)
            case "editor", []:
                await editor(agent, storage)
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    if sys.argv[1:2] not in (["scout"], ["writer"], ["editor"]):
        sys.exit(__doc__)
    anyio.run(main, *sys.argv[1:])
