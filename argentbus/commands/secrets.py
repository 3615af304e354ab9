"""`argentbus secrets`: keys and credentials, for operators. Their values are never options."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from argentbus.errors import NoValue
from argentbus.loop import run
from argentbus.options import Command, json_option, print_json, with_database_config
from presence.text import clean
from storage.config import StorageConfig
from storage.factory import open_storage
from storage.model.secrets import CREDENTIAL_TYPES, ServiceKeyInfo
from storage.secrets import Secrets
from storage.secrets.keyring import new_key as made_key


@click.group()
def secrets() -> None:
    """Store keys and credentials for agents, encrypted, and see who used them.

    The master key is in the file that ARGENTBUS_MASTER_KEY_FILE names (mode 0600):
    `(umask 077; argentbus secrets new-key > master.key)`.
    """


_credential_option = click.option(
    "--credential", is_flag=True, help="NAME is that of a credential, not of a service key."
)
_file_option = click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Where the value is.  [default: standard input]",
)


def _allow_option(flag: str, name: str, what: str) -> Callable[[Command], Command]:
    return click.option(flag, name, multiple=True, metavar="NAME", help=f"{what} Repeatable.")


@secrets.command()
@click.argument("variable")
@_file_option
@click.option("--name", help="What it is called.")
@click.option("--service", help="Whose key it is.")
@click.option("--category", help="What it is for.")
@_allow_option("--agent", "agents", "An agent that may use it.")
@_allow_option("--role", "roles", "A role whose agents may use it.")
@_allow_option("--team", "teams", "A team (by id) whose agents may use it.")
@click.option("--everybody", is_flag=True, help="Every agent may use it.")
@click.option("--operators-only", is_flag=True, help="No agent may use it.")
@with_database_config
def put(
    config: StorageConfig,
    variable: str,
    file: Path | None,
    agents: tuple[str, ...],
    roles: tuple[str, ...],
    teams: tuple[str, ...],
    everybody: bool,
    operators_only: bool,
    **columns: str | None,
) -> None:
    """Store the service key VARIABLE (such as OPENAI_API_KEY), or a new value of it.

    The value comes from standard input or a file, without the line's end. A new key needs one of
    --agent, --role, --team, --everybody and --operators-only; of one that is there, who may use it
    stays as it is where none of them is given.
    """
    named = bool(agents or roles or teams)
    if named + everybody + operators_only > 1:
        raise click.UsageError(
            "give one of: names (--agent, --role, --team), --everybody, --operators-only"
        )
    policy: dict[str, Any] = {}
    if named or everybody or operators_only:
        policy = {
            "allowed_agents": agents,
            "allowed_roles": roles,
            "allowed_teams": teams,
            "deny_all": operators_only,
        }
    run(_put, config, variable, _value(file), policy, columns)


@secrets.command("put-credential")
@click.argument("profile")
@_file_option
@click.option("--provider", required=True, help="Whose credential it is.")
@click.option("--type", "kind", type=click.Choice(CREDENTIAL_TYPES), required=True)
@click.option("--email", help="Of the account.")
@with_database_config
def put_credential(
    config: StorageConfig,
    profile: str,
    file: Path | None,
    provider: str,
    kind: str,
    email: str | None,
) -> None:
    """Store the credential PROFILE (such as anthropic:default), or a new value of it.

    The value comes from standard input or a file, without the line's end. Credentials are for
    operators: no agent gets one.
    """
    run(_put_credential, config, profile, _value(file), provider, kind, email)


@secrets.command("list")
@with_database_config
@json_option
def list_(config: StorageConfig, as_json: bool) -> None:
    """List keys and credentials, without their values."""
    run(_list, config, as_json)


@secrets.command()
@click.argument("name")
@_credential_option
@with_database_config
def disable(config: StorageConfig, name: str, credential: bool) -> None:
    """Let nobody use NAME until it is enabled again."""
    run(_enable, config, name, credential, False)


@secrets.command()
@click.argument("name")
@_credential_option
@with_database_config
def enable(config: StorageConfig, name: str, credential: bool) -> None:
    """Let NAME be used again."""
    run(_enable, config, name, credential, True)


@secrets.command()
@with_database_config
@json_option
def rotate(config: StorageConfig, as_json: bool) -> None:
    """Encrypt everything under the first key of the master key file.

    Put a new key (`argentbus secrets new-key`) above the old one, wherever the file is; run this;
    then remove the old one. Secrets can be used all the while.
    """
    run(_rotate, config, as_json)


@secrets.command()
@click.option("--name", help="Of this key or credential only.")
@click.option("--agent", "agent_id", metavar="AGENT", help="Of this agent only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@with_database_config
@json_option
def audit(
    config: StorageConfig, name: str | None, agent_id: str | None, limit: int, as_json: bool
) -> None:
    """List who asked for what, the newest first, and what came of it."""
    run(_audit, config, name, agent_id, limit, as_json)


@secrets.command("new-key")
def new_key() -> None:
    """Print a new master key. Redirect it: it is nowhere else."""
    click.echo(made_key())


def _value(file: Path | None) -> str:
    """What is in the file, or on standard input, without the end of its last line."""
    try:
        text = sys.stdin.buffer.read().decode() if file is None else file.read_text("utf-8")
    except UnicodeDecodeError:
        raise NoValue("the value is not UTF-8 text: encode it, in base64 for instance") from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise NoValue(
            "there is no value: pipe it in, or name its file with --file (not as an option: "
            "process listings show those to everybody)"
        )
    return value


@asynccontextmanager
async def _opened(config: StorageConfig) -> AsyncIterator[Secrets]:
    async with open_storage(config) as storage:
        yield storage.operator().secrets


async def _put(
    config: StorageConfig,
    variable: str,
    value: str,
    policy: dict[str, Any],
    columns: dict[str, str | None],
) -> None:
    async with _opened(config) as opened:
        known = {one.variable for one in await opened.list_keys()}
        if not policy and variable not in known:
            raise click.UsageError(
                f"there is no {variable} yet: say who may use it (--agent, --role, --team, "
                "--everybody or --operators-only)"
            )
        await opened.put(variable, value, **policy, **columns)  # type: ignore[arg-type]
    click.echo(f"{variable} is stored")


async def _put_credential(
    config: StorageConfig, profile: str, value: str, provider: str, kind: str, email: str | None
) -> None:
    async with _opened(config) as opened:
        await opened.put_credential(
            profile, value, provider=provider, credential_type=kind, email=email
        )
    click.echo(f"{profile} is stored")


async def _list(config: StorageConfig, as_json: bool) -> None:
    async with _opened(config) as opened:
        keys, credentials = await opened.list_keys(), await opened.list_credentials()
    if as_json:
        print_json({"service_keys": keys, "auth_credentials": credentials})
        return
    table = _table("name", "kind", "of", "for", "state")
    for key in keys:
        state = "enabled" if key.enabled else "disabled"
        _row(table, key.variable, "service key", key.service or "", _allowed(key), state)
    for one in credentials:
        state = "enabled" if one.enabled else "disabled"
        _row(table, one.profile_id, one.credential_type, one.provider, "operators", state)
    Console().print(table if table.row_count else "There are no secrets.")


def _allowed(key: ServiceKeyInfo) -> str:
    if key.deny_all:
        return "operators"
    named = [
        f"{what} {name}"
        for what, names in (
            ("agent", key.allowed_agents),
            ("role", key.allowed_roles),
            ("team", key.allowed_teams),
        )
        for name in names
    ]
    return ", ".join(named) or "everybody"


async def _enable(config: StorageConfig, name: str, credential: bool, enabled: bool) -> None:
    kind = "auth_credential" if credential else "service_key"
    async with _opened(config) as opened:
        await (opened.enable if enabled else opened.disable)(name, kind=kind)
    click.echo(f"{name} is {'enabled' if enabled else 'disabled'}")


async def _rotate(config: StorageConfig, as_json: bool) -> None:
    async with _opened(config) as opened:
        rotated = await opened.rotate()
    if as_json:
        print_json(rotated)
    else:
        click.echo(
            f"{rotated.resealed} secrets are encrypted anew, {rotated.current} already were: the "
            "old master key can be removed, once nobody has it as the first in the file"
        )


async def _audit(
    config: StorageConfig, name: str | None, agent_id: str | None, limit: int, as_json: bool
) -> None:
    async with _opened(config) as opened:
        uses = await opened.list_uses(name=name, agent_id=agent_id, limit=limit)
    if as_json:
        print_json(uses)
        return
    table = _table("when (UTC)", "who", "what", "outcome", "reason")
    for use in uses:
        who = use.agent_id or "(operator)"
        when = f"{use.at:%Y-%m-%d %H:%M:%S}"
        _row(table, when, who, use.name, use.outcome, use.reason or "")
    Console().print(table if table.row_count else "Nothing is put down.")


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for title in titles:
        table.add_column(title)
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(clean(cell, 256)) for cell in cells))
