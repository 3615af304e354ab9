"""`argentbus queues`: depth, lag and dead letters of every queue; replay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from argentbus.errors import NoSuchQueue
from argentbus.loop import run
from argentbus.options import json_option, print_json, with_config
from bus import (
    Bus,
    DeadLetter,
    InvalidName,
    Queue,
    QueueStatistics,
    ServerRefused,
    UndecodableMessage,
)
from bus.envelope import unwrap
from presence.text import clean, moment
from storage.config import StorageConfig

#: Dead letters read, or put back, in one call.
PAGE: Final = 100


@click.group(invoke_without_command=True)
@click.pass_context
@with_config
@json_option
def queues(config: StorageConfig, context: click.Context, as_json: bool) -> None:
    """List every queue of the namespace, or look into the dead letters of one."""
    if context.invoked_subcommand is None:
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
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="Every dead letter there is now.")
@with_config
@json_option
def replay(
    config: StorageConfig, queue: str, ids: tuple[str, ...], everything: bool, as_json: bool
) -> None:
    """Put dead letters of QUEUE back into it, by their ids (see `dead`) or with --all."""
    if bool(ids) == everything:
        raise click.UsageError("say which dead letters: their ids, or --all")
    for one in ids:
        number, _, sequence = one.partition("-")
        if not (number.isascii() and number.isdigit() and sequence.isdigit()):
            raise click.BadParameter(f"{one!r} is not an id such as 1700000000000-0")
    run(_replay, config, queue, ids, as_json)


async def _list(config: StorageConfig, as_json: bool) -> None:
    async with Bus.connect(config.redis_url, namespace=config.namespace) as bus:
        found = []
        for name in await bus.queues():
            try:
                found.append(await bus.queue(name, object).statistics())
            except (InvalidName, ServerRefused) as error:  # the others are still worth a look
                click.echo(f"{clean(name, 128)} cannot be counted: {error}", err=True)
        where = f"the namespace {bus.namespace} on {bus.link.address}"
    if as_json:
        print_json(found)
    elif found:
        Console().print(_table(found))
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


async def _replay(config: StorageConfig, name: str, ids: tuple[str, ...], as_json: bool) -> None:
    async with _existing(config, name) as queue:
        chosen = list(ids) or await _ids(queue)
        replayed = 0
        for start in range(0, len(chosen), PAGE):
            replayed += await queue.replay(*chosen[start : start + PAGE])
    if as_json:
        print_json({"queue": name, "asked": len(chosen), "replayed": replayed})
    else:
        click.echo(f"{replayed} of {len(chosen)} dead letters were put back into {name}.")
    if replayed < len(ids):
        raise NoSuchQueue(
            f"{len(ids) - replayed} of the ids are not (or no longer) dead letters of {name}: "
            f"see `argentbus queues dead {name}`"
        )


async def _ids(queue: Queue[object]) -> list[str]:
    """The ids of all dead letters there are now: what dies again meanwhile is not among them."""
    ids: list[str] = []
    page = await queue.dead_letters(limit=PAGE)
    while page:
        ids += [letter.id for letter in page]
        page = await queue.dead_letters(limit=PAGE, after=ids[-1])
    return ids


@asynccontextmanager
async def _existing(config: StorageConfig, name: str) -> AsyncIterator[Queue[object]]:
    async with Bus.connect(config.redis_url, namespace=config.namespace) as bus:
        queue = bus.queue(name, object)
        known = await bus.queues()
        if name not in known:
            some = f"there are {', '.join(known[:10])}" if known else "none was ever used"
            raise NoSuchQueue(f"no queue {name} in the namespace {bus.namespace}: {some}")
        yield queue


def _record(letter: DeadLetter) -> dict[str, Any]:
    record: dict[str, Any] = msgspec.to_builtins(letter)
    record["bytes"] = len(record.pop("message"))
    try:
        envelope = unwrap(letter.message)
        body = msgspec.msgpack.decode(envelope.body)
        msgspec.json.encode(body)
    except (UndecodableMessage, msgspec.MsgspecError, UnicodeError, TypeError, ValueError):
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
    for title in ("length", "delayed", "dead"):
        table.add_column(title, justify="right")
    table.add_column("group")
    for title in ("pending", "lag", "consumers"):
        table.add_column(title, justify="right")
    for queue in found:
        cells: list[str | Text] = [
            Text(clean(queue.name, 128), style="bold"),
            str(queue.length),
            str(queue.delayed),
            Text(str(queue.dead), style="bold red" if queue.dead else ""),
        ]
        for group in queue.groups:
            lag = "?" if group.lag is None else str(group.lag)
            numbers = (str(group.pending), lag, str(group.consumers))
            table.add_row(*cells, Text(clean(group.name, 128)), *numbers)
            cells = ["", "", "", ""]
        if not queue.groups:
            table.add_row(*cells, "(nobody)", "", "", "")
    return table
