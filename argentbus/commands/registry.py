"""`argentbus registry`: the agents that belong to the family, and their roles."""

from typing import Any

import click
from rich.console import Console

from argentbus.looking import cells, limit_option, looked_into, table
from argentbus.loop import run
from argentbus.options import json_option, print_json, with_database_config
from storage.config import StorageConfig
from storage.model.agents import AgentRecord


@click.group(invoke_without_command=True)
@click.pass_context
@with_database_config
@limit_option
@click.option("--role", help="Only those in this role.")
@json_option
def registry(
    config: StorageConfig, context: click.Context, limit: int, role: str | None, as_json: bool
) -> None:
    """List the agents that are registered, or enter one (`agents` lists who is present)."""
    if context.invoked_subcommand is None:
        run(_list, config, limit, role, as_json)


@registry.command(name="set")
@click.argument("agent")
@click.option("--name", help="What it is called.")
@click.option("--role", help="What it is for: decides on its access to secrets.")
@click.option("--no-role", is_flag=True, help="Take its role away.")
@click.option("--status", help="Such as active.")
@with_database_config
@json_option
def set_(
    config: StorageConfig,
    agent: str,
    role: str | None,
    no_role: bool,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Enter AGENT where it is new, and set what is given; nobody else can give roles."""
    if role is not None and no_role:
        raise click.UsageError("--role and --no-role contradict each other")
    changes: dict[str, Any] = {name: value for name, value in columns.items() if value is not None}
    if role is not None or no_role:
        changes["role"] = role
    run(_set, config, agent, changes, as_json)


async def _list(config: StorageConfig, limit: int, role: str | None, as_json: bool) -> None:
    async with looked_into(config) as view:
        _print(await view.agents.list_agents(role=role, limit=limit), as_json)


async def _set(config: StorageConfig, agent: str, changes: dict[str, Any], as_json: bool) -> None:
    async with looked_into(config) as view:
        if await view.agents.get_agent(agent) is None:
            await view.agents.register(agent)
        await view.agents.update_agent(agent, **changes)
        found = await view.agents.get_agent(agent)
    _print([found] if found else [], as_json)


def _print(found: list[AgentRecord], as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found:
        made = table("agent", "name", "role", "status", "at")
        for one in found:
            made.add_row(*cells(one.id, one.name, one.role, one.status, one.created_at))
        Console().print(made)
    else:
        click.echo("No such agent is registered.")
