"""`argentbus agents`: who is present, as a table or as JSON, once or live."""

import time
from collections.abc import Iterable
from typing import Any, Final

import anyio
import click
import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from argentbus.loop import run
from argentbus.options import json_option, print_json, with_config
from bus import Bus
from presence import AgentView, Change, Roster
from presence.text import clean, moment, shown_name
from storage.config import StorageConfig

COLOURS: Final = {
    "idle": "green",
    "processing": "blue",
    "contemplating": "magenta",
    "offline": "bright_black",
    "stalled": "bold yellow",
    "joined": "green",
    "resumed": "green",
    "expired": "bold red",
}


@click.command()
@with_config
@json_option
@click.option("--watch", is_flag=True, help="Go on, and show every change as it happens.")
def agents(config: StorageConfig, as_json: bool, watch: bool) -> None:
    """List the agents that are present.

    With --watch and --json, each change is one line of JSON; those who are present at the start
    come first, as `present`.
    """
    run(_watch if watch else _list, config, as_json)


async def _list(config: StorageConfig, as_json: bool) -> None:
    async with (
        Bus.connect(config.redis_url, namespace=config.namespace) as bus,
        Roster.watch(bus) as roster,
    ):
        if as_json:
            print_json([_record(view) for _, view in sorted(roster.agents.items())])
        elif roster.agents:
            Console().print(_table(roster.agents.items()))
        else:
            click.echo(f"Nobody is present in the namespace {bus.namespace} on {bus.link.address}.")


async def _watch(config: StorageConfig, as_json: bool) -> None:
    async with (
        Bus.connect(config.redis_url, namespace=config.namespace) as bus,
        Roster.watch(bus) as roster,
    ):
        if as_json:
            await _print_lines(roster)
        elif Console().is_terminal:
            await _redraw(roster)
        else:
            await _print_words(roster)


async def _print_lines(roster: Roster) -> None:
    changes = roster.changes(buffer=100_000)
    for agent, view in sorted(roster.agents.items()):
        print_json({"kind": "present", "agent": agent, "at": time.time(), **_record(view)})
    async for change in changes:
        known = _record(change.view) if change.view is not None else {}
        print_json(
            {**known, "kind": change.kind, "agent": change.agent, "at": change.at}
            | ({"cause": change.cause} if change.cause else {})
        )


async def _print_words(roster: Roster) -> None:
    changes = roster.changes(buffer=100_000)
    for agent, view in sorted(roster.agents.items()):
        click.echo(_words("present", agent, view, time.time()))
    said: dict[str, str] = {}
    async for change in changes:
        words = _words(change.kind, change.agent, change.view, change.at)
        # Each progress is a change, of which the line shows nothing: it would repeat the last one.
        news = words.partition(" ")[2]
        if change.kind != "changed" or said.get(change.agent) != news:
            click.echo(words)
        said[change.agent] = news


async def _redraw(roster: Roster) -> None:
    last: list[Change] = []

    async def follow() -> None:
        async for change in roster.changes(buffer=100_000):
            if change.kind in {"left", "expired"}:
                last[:] = [*last, change][-5:]

    def picture() -> Table:
        table = _table(roster.agents.items())
        for change in last:
            words = _words(change.kind, change.agent, change.view, change.at)
            table.add_row(Text(words, style=COLOURS.get(change.kind, "bright_black")))
        return table

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        with Live(picture(), auto_refresh=False) as live:
            while True:
                # A glance a quarter of a second: ages grow although nothing changes.
                await anyio.sleep(0.25)
                live.update(picture(), refresh=True)


def _record(view: AgentView) -> dict[str, Any]:
    state: dict[str, Any] = msgspec.to_builtins(view.state)
    state.update(msgspec.to_builtins(view.presence))
    return {**state, "stalled": view.stalled}


def _table(agents: Iterable[tuple[str, AgentView]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for title in ("agent", "role", "can", "status", "activity", "process", "here for"):
        table.add_column(title, overflow="fold", no_wrap=title in {"status", "here for"})
    for agent, view in sorted(agents):
        table.add_row(*_cells(agent, view))
    return table


def _cells(agent: str, view: AgentView) -> tuple[Text, ...]:
    presence, state = view.presence, view.state
    return (
        Text(_name(agent), style="bold"),
        Text(clean(presence.role or "", 60)),
        Text(", ".join(clean(name, 40) for name in presence.capabilities[:12])),
        _status(view),
        Text(clean(state.activity or "", 120)),
        Text(f"{clean(presence.host, 60)} {presence.pid}"),
        Text(_duration(time.time() - presence.since)),
    )


def _name(member: str) -> str:
    return clean(shown_name(member), 140)


def _status(view: AgentView) -> Text:
    since = view.state.stalled_since
    if since is None:
        return Text(view.state.status, style=COLOURS.get(view.state.status, ""))
    return Text(f"stalled {_duration(time.time() - since)}", style=COLOURS["stalled"])


def _words(kind: str, agent: str, view: AgentView | None, at: float) -> str:
    said = f"{moment(at, '%H:%M:%S')} {kind:8} {_name(agent)}"
    if view is None:
        return said
    if kind == "changed":
        return f"{said}  {view.state.status} {clean(view.state.activity or '', 120)}".rstrip()
    if kind in {"stalled", "resumed"}:
        return f"{said}  {clean(view.state.progress or view.state.activity or '', 120)}".rstrip()
    return f"{said}  {clean(view.presence.host, 60)} {view.presence.pid}"


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if seconds > 1e9:
        return "-"
    return f"{whole // 3600} h {whole // 60 % 60} min"
