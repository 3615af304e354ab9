"""`argentbus migrate`: the schema of the database."""

from datetime import datetime
from pathlib import Path

import click

from argentbus.loop import run
from argentbus.options import json_option, print_json, with_database_config
from storage.config import StorageConfig
from storage.errors import NotSupported
from storage.migrations import Status


@click.group()
def migrate() -> None:
    """Change what a database is like."""


@migrate.command()
@with_database_config
@click.option(
    "--admin-url",
    metavar="URL",
    envvar="ARGENTBUS_POSTGRES_ADMIN_URL",
    help="PostgreSQL: the server, as a superuser or a member of argentbus_schema.",
)
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
    raise NotSupported(
        f"backend {config.backend} cannot be migrated yet: choose one with --backend"
    )


async def _run(config: StorageConfig, admin_url: str | None) -> None:
    if config.backend == "sqlite":
        from storage.sqlite.database import SQLiteDatabase

        async with SQLiteDatabase.open(Path(config.sqlite_path)):
            pass
    else:
        from storage.postgres import migrations as postgres

        await postgres.run(_administered(config, admin_url), dimensions=config.dimensions)


def _administered(config: StorageConfig, admin_url: str | None) -> str:
    """The database that is configured, as the administrator."""
    from storage.postgres.setup import same_database

    return same_database(admin_url, config.postgres_url) if admin_url else config.postgres_url
