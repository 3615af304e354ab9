"""`argentbus teams`: who works with whom, and an operator's hand in it."""

from typing import Any

import click
from rich.console import Console

from argentbus.errors import NothingStored
from argentbus.looking import agent_option, cells, limit_option, looked_into, shown, table
from argentbus.loop import run
from argentbus.options import json_option, print_json, with_database_config
from storage.config import StorageConfig
from storage.model.teams import TEAM_STATUSES


@click.group(invoke_without_command=True)
@click.pass_context
@with_database_config
@agent_option
@limit_option
@click.option("--status", type=click.Choice(TEAM_STATUSES), help="Only these.")
@json_option
def teams(
    config: StorageConfig,
    context: click.Context,
    agent: str | None,
    limit: int,
    status: str | None,
    as_json: bool,
) -> None:
    """List teams, the newest first, or change one."""
    if context.invoked_subcommand is None:
        run(_list, config, agent, limit, status, as_json)


@teams.command()
@click.argument("team_id", metavar="ID")
@with_database_config
@json_option
def show(config: StorageConfig, team_id: str, as_json: bool) -> None:
    """Show a team with its members, and who is invited."""
    run(_show, config, team_id, as_json)


@teams.command()
@click.argument("name")
@click.option("--lead", required=True, metavar="AGENT", help="Who leads it.")
@with_database_config
@json_option
def create(config: StorageConfig, name: str, lead: str, as_json: bool) -> None:
    """Found a team that an agent leads."""
    run(_create, config, name, lead, as_json)


@teams.command()
@click.argument("team_id", metavar="ID")
@click.argument("agent")
@click.option("--label", help="What it is called in the team.")
@with_database_config
@json_option
def add(config: StorageConfig, team_id: str, agent: str, label: str | None, as_json: bool) -> None:
    """Make AGENT a member at once, without asking it: what it has for its team, all will see."""
    run(_change, config, "add_member", team_id, {"agent": agent, "label": label}, as_json)


@teams.command()
@click.argument("team_id", metavar="ID")
@click.argument("session")
@with_database_config
@json_option
def remove(config: StorageConfig, team_id: str, session: str, as_json: bool) -> None:
    """Take a member out by its session (an agent's name, unless it joined with another)."""
    run(_change, config, "remove_member", team_id, {"session_key": session}, as_json)


@teams.command()
@click.argument("team_id", metavar="ID")
@with_database_config
@json_option
def disband(config: StorageConfig, team_id: str, as_json: bool) -> None:
    """End a team for good: nothing is shared in it any more."""
    run(_change, config, "disband", team_id, {}, as_json)


async def _list(
    config: StorageConfig, agent: str | None, limit: int, status: str | None, as_json: bool
) -> None:
    async with looked_into(config, agent) as view:
        found = await view.teams.list_teams(status=status, limit=limit)
    if as_json:
        print_json(found)
    elif found:
        made = table("id", "name", "status", "lead", "at")
        for team in found:
            made.add_row(
                *cells(team.id, team.name, team.status, team.lead_session_key, team.created_at)
            )
        Console().print(made)
    else:
        click.echo("There is no such team.")


async def _show(config: StorageConfig, team_id: str, as_json: bool) -> None:
    async with looked_into(config) as view:
        record = await view.teams.get_team(team_id)
        if record is None:
            raise NothingStored(f"there is no team {shown(team_id)}: see `argentbus teams`")
        invited = await view.teams.invitations(team_id)
    if as_json:
        print_json({"team": record.team, "members": record.members, "invitations": invited})
        return
    click.echo(f"{shown(record.team.name)}, {record.team.status}")
    made = table("session", "agent", "role", "status", "label", "at")
    for one in record.members:
        kinds = (one.role, one.status, one.label)
        made.add_row(*cells(one.session_key, one.agent_id, *kinds, one.joined_at))
    for guest in invited:
        kinds = (guest.role, "invited", guest.label)
        made.add_row(*cells(guest.session_key, guest.agent_id, *kinds, guest.invited_at))
    Console().print(made)


async def _create(config: StorageConfig, name: str, lead: str, as_json: bool) -> None:
    async with looked_into(config) as view:
        team = await view.teams.create_team(name=name, lead=lead)
    if as_json:
        print_json(team)
    else:
        click.echo(f"Team {team.id}, led by {shown(lead)}.")


async def _change(
    config: StorageConfig, method: str, team_id: str, arguments: dict[str, Any], as_json: bool
) -> None:
    async with looked_into(config) as view:
        await getattr(view.teams, method)(team_id, **arguments)
    await _show(config, team_id, as_json)
