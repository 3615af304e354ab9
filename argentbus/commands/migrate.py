"""`argentbus migrate`: the schema of the database, and the dimension of its vectors."""

import sys
from datetime import datetime
from typing import Any

import click
import msgspec

from argentbus.dimension import in_words
from argentbus.errors import NotConfirmed
from argentbus.loop import run
from argentbus.options import json_option, print_json, with_database_config
from storage.config import StorageConfig
from storage.dimensions import Change
from storage.embedding.embedder import MOST_DIMENSIONS
from storage.errors import NotSupported
from storage.migrations import Status


@click.group()
def migrate() -> None:
    """Change what a database is like."""


_admin_option = click.option(
    "--admin-url",
    metavar="URL",
    envvar="ARGENTBUS_POSTGRES_ADMIN_URL",
    help="PostgreSQL: the server, as a superuser or a member of argentbus_schema.",
)


@migrate.command()
@with_database_config
@_admin_option
@click.option("--dry-run", is_flag=True, help="Say what would be run, and run nothing.")
@click.option("--status", "only_status", is_flag=True, help="Say what was run, and when.")
@json_option
def schema(
    config: StorageConfig, admin_url: str | None, dry_run: bool, only_status: bool, as_json: bool
) -> None:
    """Bring the schema of the database up to date: all that is missing, or nothing.

    A SQLite file is brought up to date also when it is opened; a PostgreSQL database only here, by
    a user that may do it.
    """
    found: list[Status] = run(_status, config, admin_url)
    missing = [one for one in found if one.applied_at is None]
    if not dry_run and not only_status:
        run(_run, config, admin_url)
    if as_json:
        shown = found if only_status else missing
        print_json([_plain(one) for one in shown])
        return
    for one in found if only_status else missing:
        name = f"{one.migration.version:04}_{one.migration.name}"
        if only_status:
            click.echo(f"{name}  {_when(one.applied_at)}")
        else:
            click.echo(("would run " if dry_run else "ran ") + name)
    if not missing:
        click.echo(f"The schema of {config.database} is up to date")


@migrate.command()
@click.argument("dimensions", metavar="N", type=click.IntRange(1, MOST_DIMENSIONS))
@with_database_config
@_admin_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@json_option
def dimension(
    config: StorageConfig,
    dimensions: int,
    admin_url: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Have the database keep vectors of N dimensions: those that it has are dropped.

    It says first what goes, and asks. All of it is done, or nothing, where it fails or is killed.
    """
    change: Change = run(_look, config, dimensions)
    if change.needed:
        for line in in_words(change, config):
            click.echo(line, err=as_json)
        if not dry_run:
            _confirm(yes)
            change = run(_change, config, dimensions, admin_url)
    if as_json:
        print_json(_figures(change))
    elif change.made:
        click.echo(f"Done: {change.vectors:,} vectors are gone, its dimension is {dimensions}.")
    elif not change.needed:
        click.echo(f"{change.database}: its vectors have {dimensions} dimensions already.")


def _confirm(yes: bool) -> None:
    try:
        if yes or click.confirm("Change it?", err=True):
            return
    except click.Abort:
        if sys.stdin.isatty():  # Ctrl-C
            raise
        raise NotConfirmed("nothing was changed, since nobody could be asked: give --yes") from None
    raise NotConfirmed("nothing was changed")


def _figures(change: Change) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(change)
    return plain | {"vectors": change.vectors, "size": change.size}


async def _look(config: StorageConfig, dimensions: int) -> Change:
    match config.backend:
        case "sqlite":
            from storage.sqlite import dimensions as sqlite

            return await sqlite.look(config.sqlite_path, dimensions)
        case "postgres":
            from storage.postgres import dimensions as postgres

            return await postgres.look(config.postgres_url, dimensions)
    raise _of_one(config)


async def _change(config: StorageConfig, dimensions: int, admin_url: str | None) -> Change:
    if config.backend == "sqlite":
        from storage.sqlite import dimensions as sqlite

        return await sqlite.change(config.sqlite_path, dimensions)
    from storage.postgres import dimensions as postgres

    return await postgres.change(_administered(config, admin_url), dimensions)


def _of_one(config: StorageConfig) -> NotSupported:
    return NotSupported(
        f"backend {config.backend} cannot be migrated yet: choose one with --backend"
    )


def _plain(one: Status) -> dict[str, object]:
    return {
        "version": one.migration.version,
        "name": one.migration.name,
        "applied_at": one.applied_at,
    }


def _when(moment: datetime | None) -> str:
    return "not yet" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


async def _status(config: StorageConfig, admin_url: str | None) -> list[Status]:
    match config.backend:
        case "sqlite":
            from storage.sqlite import migrations as sqlite

            return await sqlite.status(config.sqlite_path)
        case "postgres":
            from storage.postgres import migrations as postgres

            return await postgres.status(_administered(config, admin_url))
    raise _of_one(config)


async def _run(config: StorageConfig, admin_url: str | None) -> None:
    if config.backend == "sqlite":
        from storage.sqlite.database import bring_up

        await bring_up(config.sqlite_path, config.dimensions)
    else:
        from storage.postgres import migrations as postgres

        await postgres.run(_administered(config, admin_url), dimensions=config.dimensions)


def _administered(config: StorageConfig, admin_url: str | None) -> str:
    """The database that is configured, as the administrator."""
    from storage.postgres.setup import same_database

    return same_database(admin_url, config.postgres_url) if admin_url else config.postgres_url
