"""`argentbus setup`: makes what a server has to have."""

import click

from argentbus.loop import run
from argentbus.options import json_option, print_json, with_database_config
from storage.config import StorageConfig
from storage.settings import ConfigurationError, without_password


@click.group()
def setup() -> None:
    """Make what a server has to have before it can be used."""


@setup.command()
@with_database_config
@click.option(
    "--admin-url",
    metavar="URL",
    envvar="ARGENTBUS_POSTGRES_ADMIN_URL",
    help="The server, as a user who may make roles and databases; pgvector wants a superuser.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@json_option
def postgres(config: StorageConfig, admin_url: str | None, dry_run: bool, as_json: bool) -> None:
    """Make the roles, the user and the database that --postgres-url names.

    What is there already stays as it is. The schema is made by `argentbus migrate schema`. Better
    than in options, which others can read in a list of processes, passwords stand in
    ARGENTBUS_POSTGRES_URL and ARGENTBUS_POSTGRES_ADMIN_URL.
    """
    from storage.postgres.setup import Step
    from storage.postgres.setup import setup as set_up

    if admin_url is None:
        raise ConfigurationError(
            "say as whom to make them: --admin-url (or ARGENTBUS_POSTGRES_ADMIN_URL) "
            "postgresql://postgres@HOST:5432/postgres"
        )
    steps: list[Step] = run(lambda: set_up(admin_url, config.postgres_url, dry_run=dry_run))
    if as_json:
        print_json({"steps": [step.text for step in steps], "done": not dry_run})
        return
    for step in steps:
        click.echo(("would " if dry_run else "done: ") + step.text)
    shown = without_password(config.postgres_url)
    if not steps:
        click.echo(f"Nothing is missing for {shown}")
    if not dry_run:
        click.echo("Next: argentbus migrate schema")
