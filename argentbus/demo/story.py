"""What happens in the demonstration, and when."""

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio

from argentbus.errors import DemoFailed
from bus import Bus, LockNotAcquired
from bus.messages.envelope import new_id
from presence import Roster
from presence.text import clean
from storage.config import StorageConfig
from storage.reads import REQUIRED, SIGNATURES

from .crew import Crew, crew
from .outcome import Outcome, Work, stored

ROLES: Final = ("scout", "writer", "editor")

#: Seconds that all the writing takes, about, and most for one section: there is something to see.
LENGTH: Final = 12.0
MOST_PACE: Final = 0.25

#: Seconds in which nothing happens, after which the demonstration has failed.
PATIENCE: Final = 45.0

#: Seconds between two looks at what happened.
GLANCE: Final = 0.05


async def perform(
    config: StorageConfig, script: Path, folder: Path, say: Callable[[str], None]
) -> Outcome:
    """Have three agents work through `folder`; kill the writer halfway; count what came of it.

    Args:
        script: The example.
        say: Told what happens, a line each.

    Raises:
        DemoFailed: there is nothing to do, nobody to write to the database, or it does not go on.
        bus.BusError: Redis cannot be reached.
    """
    work = Work(script, folder)
    edition = new_id()
    pace = min(MOST_PACE, LENGTH / work.total)
    env = {"NEWSROOM_EDITION": edition, "NEWSROOM_PACE": str(pace)}
    async with (
        Bus.connect(config.redis_url, namespace=config.namespace, signing=config.signing()) as bus,
        Roster.watch(bus) as roster,
    ):
        _check_stage(roster, signs=bus.signing is not None)
        try:
            async with bus.lock("demo", wait=0):
                with crew(script, config, env) as company:
                    async with _watching(bus, roster, company, work, edition, say) as story:
                        return await story.run(folder, config.sqlite_path)
        except LockNotAcquired:
            raise DemoFailed("another demonstration runs here: wait for its end") from None


def _check_stage(roster: Roster, *, signs: bool) -> None:
    sidecars = [view for view in roster.agents.values() if view.presence.role == "sidecar"]
    if not sidecars:
        raise DemoFailed(
            "no sidecar is present, which would bring memories into the database: run `make up` "
            "(or `argentbus up`) in another shell first"
        )
    if not signs and any(view.state.fields.get(SIGNATURES) == REQUIRED for view in sidecars):
        raise DemoFailed(
            "the sidecar refuses what is not signed: name its key file in "
            "ARGENTBUS_SIGNING_KEY_FILE, as it has it"
        )
    present = sorted(set(ROLES) & set(roster.agents))
    if present:
        raise DemoFailed(
            f"already present: {', '.join(present)}: another demonstration runs, or ended badly a "
            "moment ago, or they are agents of yours; wait for their end"
        )


@asynccontextmanager
async def _watching(
    bus: Bus,
    roster: Roster,
    company: Crew,
    work: Work,
    edition: str,
    say: Callable[[str], None],
) -> "AsyncGenerator[_Story]":
    story = _Story(bus, roster, company, work, say)
    async with (
        bus.topic("news", work.announcement).subscribe() as news,
        anyio.create_task_group() as tasks,
    ):

        async def follow_news() -> None:
            async for event in news:
                if event.body.edition == edition:
                    story.publish(event.body.page)

        async def follow_deaths() -> None:
            async for change in roster.changes(buffer=100_000):
                if change.kind == "expired" and change.view is not None:
                    story.gone.add(change.view.presence.instance)

        tasks.start_soon(follow_news)
        tasks.start_soon(follow_deaths)
        yield story
        tasks.cancel_scope.cancel()


class _Story:
    def __init__(
        self, bus: Bus, roster: Roster, company: Crew, work: Work, say: Callable[[str], None]
    ) -> None:
        self.gone: set[str] = set()
        self._bus = bus
        self._roster = roster
        self._company = company
        self._work = work
        self._say = say
        self._tasks: dict[str, str] = {}
        self._started = anyio.current_time()

    def publish(self, page: Any) -> None:
        """Take an announcement of the editor's."""
        if page.name not in self._tasks:
            self._tasks[page.name] = page.task
            self._tell(f"editor published {clean(page.name, 120)}")

    async def run(self, folder: Path, database: Path) -> Outcome:
        queue = self._bus.queue(self._work.queue, object)
        dead_before = (await queue.statistics()).dead
        processes = {
            "writer": self._company.start("writer"),
            "editor": self._company.start("editor"),
            "scout": self._company.start("scout", str(folder)),
        }
        await self._until(lambda: set(ROLES) <= set(self._roster.agents), "the agents to join")
        names = ", ".join(f"{role} ({pid})" for role, pid in processes.items())
        self._tell(f"three agents are on the bus, each a process: {names}")

        third = math.ceil(self._work.total / 3)
        await self._until(lambda: self._filed() >= third, "the writer to file a third")
        instance = self._roster.agents["writer"].presence.instance
        self._company.kill("writer")
        killed = anyio.current_time()
        unfinished = sum(group.pending for group in (await queue.statistics()).groups)
        self._tell(
            f"killed the writer with SIGKILL, at {third} of {self._work.total} sections; it held "
            f"{unfinished} pages"
        )
        await self._until(lambda: instance in self.gone, "the writer to be marked gone")
        gone = anyio.current_time()
        self._tell(f"the writer is marked gone, {gone - killed:.1f} s after its death")
        pid = self._company.start("writer")
        await self._until(lambda: "writer" in self._roster.agents, "another writer to join")
        self._tell(f"another writer ({pid}) takes up what the first one left")
        await self._until(
            lambda: set(self._tasks) == self._work.pages, "every page to be published"
        )
        done = anyio.current_time()
        return Outcome(
            pages=len(self._work.pages),
            sections=len(self._work.hashes),
            stored=await anyio.to_thread.run_sync(
                stored, database, self._work.hashes, set(self._tasks.values())
            ),
            killed=processes["writer"],
            unfinished=unfinished,
            seconds_to_gone=gone - killed,
            seconds_to_done=done - gone,
            dead_letters=(await queue.statistics()).dead - dead_before,
            queue=queue.name,
        )

    def _filed(self) -> int:
        writer = self._roster.agents.get("writer")
        return int(writer.state.fields.get("filed", "0")) if writer else 0

    async def _until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for `condition`, for as long as anything goes on."""
        before: object = None
        deadline = 0.0
        while not condition():
            self._company.check()
            now = (self._filed(), len(self._tasks), set(self._roster.agents))
            if now != before:
                before, deadline = now, anyio.current_time() + PATIENCE
            elif anyio.current_time() > deadline:
                raise DemoFailed(
                    f"waited {PATIENCE:g} s for {what}, and nothing went on: see `argentbus "
                    "doctor` and `argentbus queues`"
                )
            await anyio.sleep(GLANCE)

    def _tell(self, text: str) -> None:
        self._say(f"{anyio.current_time() - self._started:5.1f} s  {text}")
