"""`argentbus up`: an embedded Redis, the sidecar and the dashboard, until told to stop."""

import contextlib
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Final

import anyio
import click
from anyio.abc import TaskStatus

from argentbus.discovery import Running, announce, held, withdraw
from argentbus.embedded import EmbeddedPostgres, EmbeddedRedis, free_port
from argentbus.logs import Logs
from argentbus.loop import run
from argentbus.options import json_option, print_json
from argentbus.stack import Stack
from argentbus.supervisor import Supervisor
from argentbus.telemetry import exporting
from storage.config import StorageConfig

REDIS_PORT: Final = 6380
POSTGRES_PORT: Final = 5433
DASHBOARD_PORT: Final = 8377

_PORT: Final = click.IntRange(0, 65535)


@click.command()
@click.option("--redis-url", metavar="URL", help="Use this Redis instead of an embedded one.")
@click.option("--port", type=_PORT, help="Port of the embedded Redis.  [default: 6380]")
@click.option(
    "--dashboard-port", type=_PORT, default=DASHBOARD_PORT, show_default=True, help="Of the page."
)
@click.option(
    "--data", metavar="DIR", help="Where to keep everything.  [default: ~/.local/state/argentbus]"
)
@click.option("--sqlite", metavar="FILE", help="The database.  [default: argentbus.db in --data]")
@click.option("--backend", metavar="NAME", help="sqlite or postgres.  [default: sqlite]")
@click.option("--postgres-url", metavar="URL", help="Use this PostgreSQL, not an embedded one.")
@click.option("--postgres-port", type=_PORT, help="Port of the embedded one.  [default: 5433]")
@click.option("--namespace", metavar="NAME", help="Prefix of every key.  [default: argent]")
@json_option
def up(
    redis_url: str | None,
    port: int | None,
    dashboard_port: int,
    data: str | None,
    sqlite: str | None,
    backend: str | None,
    postgres_url: str | None,
    postgres_port: int | None,
    namespace: str | None,
    as_json: bool,
) -> None:
    """Start Redis, the sidecar and the dashboard, and keep them going.

    A Redis that is configured (--redis-url, ARGENTBUS_REDIS_URL, ~/.argentos/argent.json) is
    used; where none is, or with --port, an embedded one is started. The same goes for PostgreSQL
    with --backend postgres. Ctrl-C ends everything that was
    started and keeps the data. A port of 0 takes a free one.
    """
    if redis_url is not None and port is not None:
        raise click.UsageError("--port is for the embedded Redis: give --redis-url or --port")
    if postgres_url is not None and postgres_port is not None:
        raise click.UsageError(
            "--postgres-port is for the embedded PostgreSQL: give --postgres-url or --postgres-port"
        )
    options = {
        "redis_url": redis_url,
        "home": data,
        "sqlite_path": sqlite,
        "backend": backend,
        "postgres_url": postgres_url,
        "namespace": namespace,
    }
    config = StorageConfig.load(options)
    redis = None
    if port is not None or "redis_url" not in config.sources:
        if dashboard_port and dashboard_port == (REDIS_PORT if port is None else port):
            raise click.UsageError(
                f"Redis and the dashboard cannot share port {dashboard_port}: give another with "
                "--port or --dashboard-port"
            )
        redis = EmbeddedRedis(config.home / "redis", _chosen(REDIS_PORT if port is None else port))
    postgres = _postgres(config, postgres_port)
    with held(config.home) as lock, exporting("up"):
        logs = click.get_current_context().find_object(Logs) or Logs("text", None)
        run(_up, Stack(config, redis, postgres, _chosen(dashboard_port), logs, lock), as_json)


def _postgres(config: StorageConfig, port: int | None) -> EmbeddedPostgres | None:
    if config.backend != "postgres":
        return None
    if port is None and "postgres_url" in config.sources:
        return None
    chosen = _chosen(POSTGRES_PORT if port is None else port)
    return EmbeddedPostgres(config.home / "postgres", chosen)


def _chosen(port: int) -> int:
    return port or free_port()


async def _up(stack: Stack, as_json: bool) -> None:
    home = stack.config.home
    supervisor = Supervisor(_say)
    work = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        # Not part of the work: it listens while that is being stopped.
        await tasks.start(_stop_on_signal, work, supervisor)
        with work:
            async with supervisor.supervising():
                running = await stack.start(supervisor, os.getpid())
                announce(home, running)
                for warning in await stack.warnings():
                    _say(f"warning: {warning}")
                if as_json:
                    print_json(running)
                else:
                    _say(_welcome(running, stack.config))
                try:
                    await anyio.sleep_forever()
                finally:
                    withdraw(home)
        tasks.cancel_scope.cancel()
    _say(f"Stopped. The data is in {home}")


async def _stop_on_signal(
    work: anyio.CancelScope, supervisor: Supervisor, *, task_status: TaskStatus[None]
) -> None:
    """The first signal stops in good order, the second at once.

    But not SIGHUP, which comes twice where a shell hands it on to its jobs.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
        numbers.append(signal.SIGHUP)
    with anyio.open_signal_receiver(*numbers) as received:
        task_status.started()
        async for number in received:
            if work.cancel_called:
                if number is not signal.SIGHUP:
                    supervisor.kill()
            else:
                _say(f"\n{number.name}: stopping")
                work.cancel()


def _say(text: str) -> None:
    # The terminal may be gone by now, which is no reason not to go on.
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _welcome(running: Running, config: StorageConfig) -> str:
    kind = f"embedded, its files in {config.home / 'redis'}" if running.embedded else "yours"
    shown = config.settings()["redis_url"]
    return f"""
argentbus is up.

  dashboard  {running.dashboard_url}
  Redis      {shown}  ({kind})
  database   {config.database}
  logs       {config.home / "logs"}

Next: open the dashboard, and in another shell run

  {_command(config, "demo")}

Ctrl-C ends everything; the data stays.
"""


def _command(config: StorageConfig, name: str) -> str:
    """How to call the subcommand `name` in another shell so that it finds this copy."""
    called = Path(sys.argv[0])
    on_path = shutil.which("argentbus")
    if on_path is not None and Path(on_path).resolve() == called.resolve():
        command = "argentbus"
    elif called.name == "argentbus":
        called = called.resolve()
        # As the README has it; from anywhere else, the whole path.
        with contextlib.suppress(ValueError):
            below = called.relative_to(Path.cwd())
            called = below if len(below.parts) == 3 else called
        command = shlex.quote(str(called))
    else:
        command = f"{shlex.quote(sys.executable)} -m argentbus"
    source = config.sources.get("home")
    if source is not None and source.layer == "option":
        return f"{command} {name} --data {shlex.quote(str(config.home))}"
    return f"{command} {name}"
