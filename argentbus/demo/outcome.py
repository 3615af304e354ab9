"""What the agents were to do, and what is in the database of it."""

import importlib.util
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from argentbus.errors import DemoFailed
from storage.model.values import content_hash


class Work:
    """What the example finds below a folder, worked out beforehand.

    Attributes:
        pages: Names of the pages.
        total: Sections on them.
        hashes: Of their texts: sections that say the same are one memory.
        queue: The name of the queue of pages.
        announcement: Type of what the editor announces.

    Raises:
        DemoFailed: there is nothing to do.
    """

    def __init__(self, script: Path, folder: Path) -> None:
        newsroom = _loaded(script)
        self.queue: str = newsroom.PAGES
        self.announcement: Any = newsroom.Published
        self.pages: set[str] = set()
        self.total = 0
        self.hashes: set[str] = set()
        for name, path in newsroom.markdown(folder):
            texts = newsroom.sections(name, path)
            self.pages.add(name)
            self.total += len(texts)
            self.hashes.update(content_hash(text) for text in texts)
        if not self.total:
            raise DemoFailed(
                f"there is no Markdown text (*.md) below {folder}: name a folder that has some"
            )


def _loaded(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("newsroom", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Stored(msgspec.Struct, frozen=True):
    """What the database has of it.

    Attributes:
        items: Rows that are one of the sections.
        missing: Sections that no row is of.
        twice: Sections that several rows are of.
        completed: Tasks that are completed.
    """

    items: int
    missing: int
    twice: int
    completed: int


def stored(database: Path, hashes: Collection[str], tasks: Collection[str]) -> Stored:
    """Count in the SQLite file itself, past everything that is being demonstrated.

    Raises:
        DemoFailed: the file cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT content_hash, count(*) FROM memory_items WHERE agent_id = 'writer' "
                "GROUP BY content_hash"
            ).fetchall()
            done = connection.execute(
                "SELECT id FROM tasks WHERE status = 'completed' AND assignee = 'editor'"
            ).fetchall()
    except sqlite3.Error as error:
        raise DemoFailed(
            f"the sidecar's database cannot be read at {database} ({error}): say where it is with "
            "--sqlite"
        ) from error
    counts = {key: count for key, count in rows if key in hashes}
    return Stored(
        items=sum(counts.values()),
        missing=len(hashes) - len(counts),
        twice=sum(count > 1 for count in counts.values()),
        completed=len({task for (task,) in done} & set(tasks)),
    )


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent, and what came of it.

    Attributes:
        pages, sections: Handed out, and filed: sections that say the same are one.
        killed: Process id of the writer that was killed.
        unfinished: Deliveries that it left.
        seconds_to_gone: From its death until the roster said so.
        seconds_to_done: From then until everything was published.
        dead_letters: Messages that nobody could handle.
        queue: Where they would be.
    """

    pages: int
    sections: int
    stored: Stored
    killed: int
    unfinished: int
    seconds_to_gone: float
    seconds_to_done: float
    dead_letters: int
    queue: str

    @property
    def agrees(self) -> bool:
        """Whether everything that was sent is there, once."""
        return not self.faults

    @property
    def faults(self) -> list[str]:
        """What is not as it was to be, in words."""
        stored = self.stored
        said = {
            "sections are missing": stored.missing,
            "sections are there more than once": stored.twice,
            "tasks are not completed": self.pages - stored.completed,
            f"messages became dead letters (`argentbus queues dead {self.queue}`)": (
                self.dead_letters
            ),
        }
        return [f"{number} {what}" for what, number in said.items() if number]
