"""`argentbus queues`: depth, lag and age of every queue; dead letters shown, replayed, purged."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from argentbus.backlogs import backlog, existing
from argentbus.discovery import check_redis_is_known
from argentbus.errors import NoSuchQueue
from argentbus.loop import run
from argentbus.options import json_option, print_json, with_config, with_settings
from bus import (
    Bus,
    DeadLetter,
    Queue,
    QueueStatistics,
    UndecodableMessage,
)
from presence.text import clean, moment
from storage.config import StorageConfig

#: Columns of a terminal in which every figure has room.
WIDE: Final = 100

#: Dead letters read, or put back, in one call.
PAGE: Final = 100


@click.group(invoke_without_command=True)
@click.pass_context
@with_settings
@json_option
def queues(config: StorageConfig, context: click.Context, as_json: bool) -> None:
    """List every queue of the namespace, or look into the dead letters of one.

    The inbox of an agent is the queue `inbox:NAME`. `log:P` is the write log of partition P: what
    waits there is not in the database yet, and its dead letters are writes that were set aside.
    """
    if context.invoked_subcommand is None:
        check_redis_is_known(config)
        run(_list, config, as_json)


@queues.command()
@click.argument("queue")
@click.option(
    "--limit", type=click.IntRange(1), default=PAGE, show_default=True, help="Most of them."
)
@with_config
@json_option
def dead(config: StorageConfig, queue: str, limit: int, as_json: bool) -> None:
    """List the dead letters of QUEUE, the oldest first, with the reasons."""
    run(_dead, config, queue, limit, as_json)


@queues.command()
@click.argument("queue")
@click.argument("dead_id", metavar="ID")
@with_config
@json_option
def show(config: StorageConfig, queue: str, dead_id: str, as_json: bool) -> None:
    """Show one dead letter of QUEUE, with its envelope and its body."""
    _check_ids((dead_id,))
    run(_show, config, queue, dead_id, as_json)


_ids_argument = click.argument("ids", nargs=-1, metavar="[ID]...")
_all_option = click.option("--all", "everything", is_flag=True, help="Every one there is now.")
_group_option = click.option("--group", help="With --all: of this consumer group only.")


@queues.command()
@click.argument("queue")
@_ids_argument
@_all_option
@_group_option
@with_config
@json_option
def replay(
    config: StorageConfig,
    queue: str,
    ids: tuple[str, ...],
    everything: bool,
    group: str | None,
    as_json: bool,
) -> None:
    """Put dead letters of QUEUE back, by their ids (see `dead`) or with --all.

    Each goes to the consumer group that gave it up, and to no other.
    """
    _check_choice(ids, everything, group)
    run(_move, config, queue, ids, group, "replayed", as_json)


@queues.command()
@click.argument("queue")
@_ids_argument
@_all_option
@_group_option
@with_config
@json_option
def purge(
    config: StorageConfig,
    queue: str,
    ids: tuple[str, ...],
    everything: bool,
    group: str | None,
    as_json: bool,
) -> None:
    """Drop dead letters of QUEUE for good, by their ids (see `dead`) or with --all."""
    _check_choice(ids, everything, group)
    run(_move, config, queue, ids, group, "purged", as_json)


def _check_choice(ids: tuple[str, ...], everything: bool, group: str | None) -> None:
    if bool(ids) == everything:
        raise click.UsageError("say which dead letters: their ids, or --all")
    if group is not None and ids:
        raise click.UsageError("--group goes with --all: an id names one dead letter anyway")
    _check_ids(ids)


def _check_ids(ids: tuple[str, ...]) -> None:
    for one in ids:
        number, _, sequence = one.partition("-")
        if not (number.isascii() and number.isdigit() and sequence.isdigit()):
            raise click.BadParameter(f"{one!r} is not an id such as 1700000000000-0")


async def _list(config: StorageConfig, as_json: bool) -> None:
    async with Bus.connect(config.redis_url, namespace=config.namespace) as bus:
        seen = await backlog(bus)
        found = seen.counted
        for name, why in seen.odd.items():  # the others are still worth a look
            click.echo(f"{clean(name, 128)} cannot be counted: {why}", err=True)
        if seen.hidden:
            click.echo(seen.in_words(), err=True)
        where = f"the namespace {bus.namespace} on {bus.link.address}"
    if as_json:
        print_json(found)
    elif found:
        console = Console()
        console.print(_table(found) if console.width >= WIDE else _narrow_table(found))
    else:
        click.echo(f"No queue was ever used in {where}.")


async def _dead(config: StorageConfig, name: str, limit: int, as_json: bool) -> None:
    async with _existing(config, name) as queue:
        letters = await queue.dead_letters(limit=limit)
    if as_json:
        print_json([_record(letter) for letter in letters])
        return
    if not letters:
        click.echo(f"Queue {name} has no dead letters.")
    for letter in letters:
        click.echo(_words(letter))


async def _show(config: StorageConfig, name: str, dead_id: str, as_json: bool) -> None:
    async with _existing(config, name) as queue:
        letter = await queue.dead_letter(dead_id)
    if letter is None:
        raise _not_there(name, 1)
    if as_json:
        print_json(_record(letter))
        return
    click.echo(_words(letter))
    click.echo(
        f"    of group {clean(letter.group, 128) or '-'}, entry {clean(letter.entry_id, 60)}"
    )
    if letter.key is not None:
        click.echo(f"    under the key {clean(letter.key, 128)}")
    for kill in letter.kills:
        click.echo(f"    died with it: {clean(str(kill), 200)}")
    record = _record(letter)
    if "body" in record:
        click.echo(
            clean(msgspec.json.format(msgspec.json.encode(record["body"])).decode(), 100_000)
        )


async def _move(
    config: StorageConfig,
    name: str,
    ids: tuple[str, ...],
    group: str | None,
    done: str,
    as_json: bool,
) -> None:
    async with _existing(config, name, to_replay=done == "replayed") as queue:
        if ids:
            moved = await (queue.replay(*ids) if done == "replayed" else queue.purge(*ids))
        elif done == "replayed":
            moved = await queue.replay_all(group=group)
        else:
            moved = await queue.purge_all(group=group)
    asked = len(ids) or moved
    if as_json:
        print_json({"queue": name, "asked": asked, done: moved})
    else:
        where = f"put back into {name}" if done == "replayed" else f"dropped from {name}"
        click.echo(f"{moved} of {asked} dead letters were {where}.")
    if moved < asked:
        raise _not_there(name, asked - moved)


def _not_there(name: str, number: int) -> NoSuchQueue:
    return NoSuchQueue(
        f"{number} of the ids are not (or no longer) dead letters of {name}: "
        f"see `argentbus queues dead {name}`"
    )


@asynccontextmanager
async def _existing(
    config: StorageConfig, name: str, *, to_replay: bool = False
) -> AsyncIterator[Queue[object]]:
    async with Bus.connect(config.redis_url, namespace=config.namespace) as bus:
        yield await existing(bus, name, to_replay=to_replay)


def _record(letter: DeadLetter) -> dict[str, Any]:
    record: dict[str, Any] = msgspec.to_builtins(letter)
    record["bytes"] = len(record.pop("message"))
    record["kills"] = [{"consumer": kill.consumer, "at": kill.at} for kill in letter.kills]
    try:
        envelope = letter.envelope()
        body: object = letter.body()
        msgspec.json.encode(body)
    except (UndecodableMessage, msgspec.MsgspecError, RecursionError, TypeError, ValueError):
        # Garbled bytes are the likeliest thing to find here: shown as they are.
        return record | {"hex": letter.message[:200].hex()}
    return record | {
        "message_id": envelope.id,
        "type": envelope.type,
        "sender": envelope.sender,
        "sent_at": envelope.sent_at,
        "body": body,
    }


def _words(letter: DeadLetter) -> str:
    record = _record(letter)
    died = moment(letter.died_at, "%Y-%m-%d %H:%M:%S")
    what = (
        f"{clean(record['type'], 60)} from {clean(record['sender'], 60)}: "
        f"{clean(str(record['body']), 200)}"
        if "type" in record
        else f"{record['bytes']} bytes that are not an envelope: {clean(record['hex'], 80)}"
    )
    return (
        f"{letter.id}  {died}  after {letter.attempts} deliveries  "
        f"{clean(letter.reason, 300)}\n    {what}"
    )


def _table(found: list[QueueStatistics]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    table.add_column("queue")
    for title in ("length", "delayed", "parked", "refused", "dead"):
        table.add_column(title, justify="right")
    table.add_column("group")
    for title in ("pending", "lag", "oldest", "consumers"):
        table.add_column(title, justify="right")
    for queue in found:
        cells: list[str | Text] = [
            Text(clean(queue.name, 128), style="bold"),
            str(queue.length),
            str(queue.delayed),
            str(queue.parked),
            str(queue.refused),
            Text(str(queue.dead), style="bold red" if queue.dead else ""),
        ]
        for group in queue.groups:
            lag = "?" if group.lag is None else str(group.lag)
            numbers = (str(group.pending), lag, _age(group.oldest_age), str(group.consumers))
            table.add_row(*cells, Text(clean(group.name, 128)), *numbers)
            cells = ["", "", "", "", "", ""]
        if not queue.groups:
            table.add_row(*cells, "(nobody)", "", "", _age(queue.oldest_age), "")
    return table


def _narrow_table(found: list[QueueStatistics]) -> Table:
    """What matters first, whole; the rest is in `--json` and in a wider terminal."""
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    table.add_column("queue / group", overflow="fold", ratio=1)
    for title in ("length", "dead", "pending", "lag", "oldest"):
        table.add_column(title, justify="right", no_wrap=True)
    for queue in found:
        dead = Text(str(queue.dead), style="bold red" if queue.dead else "")
        name = Text(clean(queue.name, 128), style="bold")
        table.add_row(name, str(queue.length), dead, "", "", _age(queue.oldest_age))
        for group in queue.groups:
            lag = "?" if group.lag is None else str(group.lag)
            numbers = (str(group.pending), lag, _age(group.oldest_age))
            table.add_row(Text("  " + clean(group.name, 128)), "", "", *numbers)
    return table


def _age(seconds: float | None) -> str:
    """How long something waits, in its largest unit."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
