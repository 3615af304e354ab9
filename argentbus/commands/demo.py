"""`argentbus demo`: three agents at work, one of them killed, and the count of what came of it."""

import functools
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

import argentbus
from argentbus.demo.outcome import Outcome
from argentbus.demo.story import perform
from argentbus.loop import run
from argentbus.options import json_option, print_json, with_redis_and_database_config
from storage.config import StorageConfig
from storage.errors import NotSupported


@click.command()
@click.argument(
    "folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@with_redis_and_database_config
@json_option
def demo(config: StorageConfig, folder: Path | None, as_json: bool) -> int:
    """Watch three agents turn the Markdown of FOLDER into memory, and survive a kill.

    Needs a running `argentbus up`. By default FOLDER is this project's own. The agents are the
    example `newsroom.py`.
    """
    if config.backend != "sqlite":
        raise NotSupported(
            "the demonstration counts in SQLite: run it on `argentbus up` without --backend"
        )
    script, by_default = _example()
    say = functools.partial(click.echo, err=as_json)
    outcome = run(perform, config, script, folder or by_default, say)
    if as_json:
        print_json(outcome)
    else:
        _print(outcome, config)
    return 0 if outcome.agrees else 1


def _example() -> tuple[Path, Path]:
    """The example, and the folder that it works through by default."""
    package = Path(argentbus.__file__).parent
    in_tree = package.parent / "examples" / "newsroom.py"
    if in_tree.is_file():
        return in_tree, package.parent
    return package / "newsroom.py", Path.cwd()


def _print(outcome: Outcome, config: StorageConfig) -> None:
    stored = outcome.stored
    table = Table("", "sent", "in SQLite", "", box=None, pad_edge=False)
    for column in table.columns[1:3]:
        column.justify = "right"
    table.add_row("pages -> tasks", str(outcome.pages), str(stored.completed), "completed")
    table.add_row(
        "sections -> memory items",
        str(outcome.sections),
        str(stored.items),
        "each once" if not stored.twice else f"{stored.twice} more than once",
    )
    table.add_row("dead letters", "", str(outcome.dead_letters), "")
    console = Console()
    console.print()
    console.print(table)
    console.print()
    verdict = (
        "The counts agree: nothing was lost, nothing is there twice."
        if outcome.agrees
        else f"The counts do not agree: {'; '.join(outcome.faults)}."
    )
    console.print(f"{verdict} The database is {config.sqlite_path}", soft_wrap=True)
