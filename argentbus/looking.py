"""Looking into the database from the command line, as an operator or with an agent's eyes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import anyio
import click
from rich.table import Table
from rich.text import Text

from presence.text import clean
from storage.config import StorageConfig
from storage.factory import open_storage
from storage.parts import Scoped

from .errors import NothingStored

agent_option: Final = click.option(
    "--agent", metavar="NAME", help="Only what this agent may see.  [default: everything]"
)

limit_option: Final = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most of them."
)


@asynccontextmanager
async def looked_into(config: StorageConfig, agent: str | None = None) -> AsyncIterator[Scoped]:
    """The database, as `agent` may see it, or as an operator.

    Raises:
        NothingStored: there is no SQLite file yet, and looking should not make one.
    """
    if config.backend == "sqlite" and not await anyio.Path(config.sqlite_path).exists():
        raise NothingStored(
            f"nothing is stored at {config.sqlite_path} yet: name the file with --sqlite, or the "
            "data directory of `argentbus up` with --data"
        )
    async with open_storage(config) as storage:
        yield storage.scoped(agent) if agent else storage.operator()


def table(*titles: str, wide: str = "") -> Table:
    """An empty table in our style; what is called `id` is never broken.

    Args:
        wide: Title of a first column, for `headline`s: it takes the room that the others leave, and
            no less than an id needs.
    """
    made = Table(box=None, pad_edge=False, header_style="bright_black", expand=bool(wide))
    if wide:
        made.add_column(wide, ratio=1, min_width=36, no_wrap=True, overflow="ellipsis")
    for title in titles:
        made.add_column(title, overflow="fold", no_wrap=title in {"id", "due", "at"})
    return made


def cells(*values: str | datetime | list[str] | None) -> list[Text]:
    """What others wrote as cells of a table: nothing in it acts."""
    return [Text(shown(value)) for value in values]


def headline(words: str, row_id: str) -> Text:
    """What others wrote, in a line, and the id below it."""
    return Text.assemble(" ".join(shown(words).split()), "\n", (shown(row_id), "bright_black"))


def shown(value: Any) -> str:
    """One value in words."""
    match value:
        case None:
            return ""
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case list():
            return clean(", ".join(map(str, value)), 200)
    return clean(str(value), 200)
