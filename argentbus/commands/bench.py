"""`argentbus bench`: how fast it is here, beside bare drivers in the same run."""

import tempfile
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click
import redis
from rich.console import Console
from rich.table import Table

from argentbus.bench import blocking, bus, presence, search, sidecar, storage
from argentbus.bench.figures import Figure
from argentbus.bench.peers import SIZES, Row, compare, nats_server, redis_benchmark
from argentbus.bench.recall_command import recall
from argentbus.embedded import EmbeddedRedis, free_port
from argentbus.loop import run
from argentbus.options import json_option, print_json
from bus.servers.address import parse_url
from storage.commands import DIMENSIONS

Measurement = Callable[[str, float], Awaitable[Figure | list[Figure]]]

#: What is measured, in areas; each takes the server's URL and the share of the full length.
AREAS: Final[dict[str, list[Measurement]]] = {
    "bus": [
        lambda url, share: bus.put(url, _count(100_000, share)),
        lambda url, share: bus.end_to_end(url, _count(100_000, share)),
        lambda url, share: bus.latency(url, _count(2_000, share)),
        lambda url, share: bus.request(url, _count(2_000, share)),
        lambda url, share: bus.lock_handoff(url, max(20, int(100 * share))),
        lambda url, share: presence.heartbeat(url, _count(10_000, share)),
        lambda url, share: presence.death(url, _count(100_000, share), max(2, int(10 * share))),
    ],
    "blocking": [
        lambda url, share: blocking.put(url, _count(10_000, share), 1),
        lambda url, share: blocking.put(url, _count(30_000, share), 16),
        lambda url, share: blocking.handle(url, _count(10_000, share)),
    ],
    "sidecar": [
        lambda url, share: sidecar.to_committed(url, _count(50_000, share)),
        lambda url, share: sidecar.commit_latency(url, max(50, int(500 * share))),
    ],
    "storage": [
        lambda _, share: storage.sqlite_apply(share),
        lambda _, share: storage.postgres_apply(share),
    ],
}

#: Rows among which is searched, and with --large; and questions that are asked for each agent.
ROWS: Final = 100_000
LARGE: Final = 1_000_000
QUESTIONS: Final = 200


class _Bench(click.Command):
    """`bench recall FILE` beside `bench AREAS`."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if args[:1] == ["recall"]:
            return recall.make_context(f"{info_name} recall", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(
    cls=_Bench,
    epilog="`argentbus bench recall FILE` measures what searches find: see its own --help.",
)
@click.argument("areas", nargs=-1, type=click.Choice(sorted(AREAS)))
@click.option("--redis-url", metavar="URL", help="Measure on this Redis, not an embedded one.")
@click.option("--quick", is_flag=True, help="A twentieth of the messages: rough figures, soon.")
@click.option("--peers", is_flag=True, help="FastStream, taskiq and NATS JetStream, nothing else.")
@click.option(
    "--large",
    is_flag=True,
    help=f"Searching {LARGE:,} rows in PostgreSQL, nothing else: takes up to an hour, and 20 GB.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Search among N rows, not {ROWS:,} (with --large {LARGE:,}).",
)
@json_option
def bench(
    areas: tuple[str, ...],
    redis_url: str | None,
    quick: bool,
    peers: bool,
    large: bool,
    rows: int | None,
    as_json: bool,
) -> None:
    """Measure AREAS (by default all), each beside a bare driver in the same run.

    The machine's other work shows in both figures: compare ratios. An embedded Redis is started
    for it and thrown away; on a Redis of yours it leaves keys named `bench-...` behind. It syncs
    its file at each write, and for --peers once a second, as no peer syncs more often.
    """
    share = 0.05 if quick else 1.0
    if large:
        count = rows or _count(LARGE, share)
        _show(run(search.postgres_search, count, _questions(share), DIMENSIONS, _say), as_json)
        return
    with tempfile.TemporaryDirectory(prefix="argentbus-bench-") as directory:
        server = None
        if redis_url is None:
            server = EmbeddedRedis(Path(directory), free_port())
            server.start()
            if peers:
                _sync_as_peers_do(server.url)
            redis_url = server.url
        try:
            if peers:
                _compare(redis_url, Path(directory), 0.5 if quick else 4.0, as_json)
                return
            figures = run(_measure, areas or tuple(AREAS), redis_url, share, rows)
        finally:
            if server is not None:
                server.stop()
    _show(figures, as_json)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _show(figures: list[Figure], as_json: bool) -> None:
    if as_json:
        print_json(figures)
    else:
        _print(figures)


def _sync_as_peers_do(url: str) -> None:
    """Let the server sync its file every second: JetStream, by its default, syncs still later."""
    with redis.Redis.from_url(url) as client:
        client.config_set("appendfsync", "everysec")


def _compare(redis_url: str, directory: Path, seconds: float, as_json: bool) -> None:
    address = parse_url(redis_url)
    limits = {}
    with nats_server(directory / "nats") as nats_url:
        urls = {"redis": redis_url} | ({"nats": nats_url} if nats_url else {})
        rows = run(compare, urls, seconds, _say)
    server = address.endpoints[0]
    if address.kind == "server" and server.host and not (address.password or address.tls):
        limits = {size: redis_benchmark(server.host, server.port, size) for size in SIZES}
    if as_json:
        print_json({"rows": rows, "redis_benchmark": limits})
        return
    table = Table(
        *("system", "bytes", "1 publisher", "500", "cpu/message", "low p50/p99", "half p50/p99"),
        box=None,
        pad_edge=False,
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(row.system, str(row.size), *_cells(row))
    for size, rate in limits.items():
        if rate is not None:
            table.add_row("redis-benchmark XADD -P 64", str(size), "", f"{rate:,.0f}/s")
    _console().print(table)


def _cells(row: Row) -> list[str]:
    if row.missing:
        return ["", row.missing]
    return [
        f"{row.one:,.0f}/s",
        f"{row.many:,.0f}/s",
        f"{row.cpu:.0f} us",
        f"{row.low[0]:.2f}/{row.low[1]:.2f} ms",
        f"{row.half[0]:.2f}/{row.half[1]:.2f} ms",
    ]


def _count(full: int, share: float) -> int:
    """A share of `full`, as whole thousands."""
    return max(1000, round(full * share / 1000) * 1000)


def _questions(share: float) -> int:
    return max(20, int(QUESTIONS * share))


async def _measure(areas: Iterable[str], url: str, share: float, rows: int | None) -> list[Figure]:
    figures: list[Figure] = []
    for area in areas:
        for measure in AREAS[area]:
            found = await measure(url, share)
            figures += found if isinstance(found, list) else [found]
        if area == "storage":
            among = rows or _count(ROWS, share)
            figures += await search.sqlite_search(among, _questions(share))
            figures += await search.postgres_search(among, _questions(share))
    return figures


def _print(figures: Iterable[Figure]) -> None:
    table = Table("path", "argentbus", "bare", "ratio", "bare is", box=None, pad_edge=False)
    for column in table.columns[1:4]:
        column.justify = "right"
    for figure in figures:
        table.add_row(
            figure.path,
            _shown(figure.ours, figure.unit),
            _shown(figure.bare, figure.unit),
            f"{figure.ratio:.2f}",
            figure.beside,
        )
    _console().print(table)


def _console() -> Console:
    return Console(width=None if Console().is_terminal else 160)


def _shown(value: float, unit: str) -> str:
    return f"{value:,.0f}{unit}" if unit == "/s" else f"{value:.2f} {unit}"
