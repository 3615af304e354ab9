"""`argentbus memory`: what agents know, listed or searched."""

from typing import Any

import click
import msgspec
from rich.console import Console

from argentbus.looking import agent_option, cells, headline, limit_option, looked_into, table
from argentbus.loop import run
from argentbus.options import json_option, print_json, with_database_config
from storage.config import StorageConfig
from storage.model.items import MEMORY_TYPES, SIGNIFICANCES, MemoryItem


@click.group(invoke_without_command=True)
@click.pass_context
@with_database_config
@agent_option
@limit_option
@click.option("--type", "memory_type", type=click.Choice(MEMORY_TYPES), help="Only these.")
@click.option("--significance", type=click.Choice(SIGNIFICANCES), help="Only these.")
@json_option
def memory(
    config: StorageConfig,
    context: click.Context,
    agent: str | None,
    limit: int,
    memory_type: str | None,
    significance: str | None,
    as_json: bool,
) -> None:
    """List memory items, the newest first."""
    if context.invoked_subcommand is None:
        run(_list, config, agent, limit, memory_type, significance, as_json)


@memory.command()
@click.argument("words", nargs=-1, required=True)
@with_database_config
@agent_option
@limit_option
@json_option
def search(
    config: StorageConfig, words: tuple[str, ...], agent: str | None, limit: int, as_json: bool
) -> None:
    """Search memory items for any of WORDS, the best first."""
    run(_search, config, " ".join(words), agent, limit, as_json)


async def _list(
    config: StorageConfig,
    agent: str | None,
    limit: int,
    memory_type: str | None,
    significance: str | None,
    as_json: bool,
) -> None:
    async with looked_into(config, agent) as view:
        found = await view.memory.list_items(
            memory_type=memory_type, significance=significance, limit=limit
        )
    if as_json:
        print_json([_record(item) for item in found])
    else:
        filtered = agent or memory_type or significance
        nothing = "No memory item is like that." if filtered else "There are no memory items yet."
        _print([(None, item) for item in found], nothing)


async def _search(
    config: StorageConfig, words: str, agent: str | None, limit: int, as_json: bool
) -> None:
    async with looked_into(config, agent) as view:
        found = await view.memory.search(words, limit=limit)
    if as_json:
        print_json([{"score": hit.score, "item": _record(hit.item)} for hit in found])
    else:
        _print([(hit.score, hit.item) for hit in found], "No memory item is like that.")


def _record(item: MemoryItem) -> dict[str, Any]:
    """An item without the numbers of its embedding."""
    record: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(item, embedding=None))
    record.pop("embedding")
    return record


def _print(found: list[tuple[float | None, MemoryItem]], nothing: str) -> None:
    if not found:
        click.echo(nothing)
        return
    made = table("agent", "type", "at", wide="summary")
    for score, item in found:
        rated = item.summary if score is None else f"{score:.2f}  {item.summary}"
        rest = cells(item.agent_id, item.memory_type, item.created_at)
        made.add_row(headline(rated, item.id), *rest)
    Console().print(made)
