"""`argentbus tasks`: what there is to do, who does it, and who changed what."""

from typing import Any

import click
from rich.console import Console

from argentbus.errors import NothingStored
from argentbus.looking import agent_option, cells, headline, limit_option, looked_into, shown, table
from argentbus.loop import run
from argentbus.options import json_option, print_json, with_database_config
from storage.config import StorageConfig
from storage.model.history import TaskChange
from storage.model.tasks import PRIORITIES, STATUSES, Task


@click.group(invoke_without_command=True)
@click.pass_context
@with_database_config
@agent_option
@limit_option
@click.option("--status", multiple=True, type=click.Choice(STATUSES), help="Several: any of them.")
@click.option("--priority", multiple=True, type=click.Choice(PRIORITIES), help="The same.")
@click.option("--assignee", metavar="NAME", help="Who does it.")
@click.option("--project", metavar="ID", help="The task that they are part of.")
@click.option("--team", metavar="ID", help="Whose they are.")
@click.option("--tag", "tags", multiple=True, help="Several: all of them.")
@json_option
def tasks(
    config: StorageConfig,
    context: click.Context,
    agent: str | None,
    limit: int,
    as_json: bool,
    **filters: Any,
) -> None:
    """List tasks: the most urgent first, then by due date and age."""
    if context.invoked_subcommand is None:
        given = {name: value or None for name, value in filters.items()}
        run(_list, config, agent, limit, given, as_json)


@tasks.command()
@with_database_config
@agent_option
@limit_option
@json_option
def ready(config: StorageConfig, agent: str | None, limit: int, as_json: bool) -> None:
    """List the tasks that can be claimed now, the best first."""
    run(_ready, config, agent, limit, as_json)


@tasks.command()
@click.argument("task_id", metavar="ID")
@with_database_config
@agent_option
@limit_option
@json_option
def show(config: StorageConfig, task_id: str, agent: str | None, limit: int, as_json: bool) -> None:
    """Show one task, by its id or how that begins, with its history and what is below it."""
    run(_show, config, task_id, agent, limit, as_json)


async def _list(
    config: StorageConfig, agent: str | None, limit: int, filters: Any, as_json: bool
) -> None:
    async with looked_into(config, agent) as view:
        found = await view.tasks.list_tasks(limit=limit, **filters)
    filtered = agent or any(filters.values())
    nothing = "No task is like that." if filtered else "There are no tasks yet."
    _print(found, as_json, nothing)


async def _ready(config: StorageConfig, agent: str | None, limit: int, as_json: bool) -> None:
    async with looked_into(config, agent) as view:
        found = await view.tasks.ready(limit=limit)
    _print(found, as_json, "No task is ready.")


async def _show(
    config: StorageConfig, task_id: str, agent: str | None, limit: int, as_json: bool
) -> None:
    async with looked_into(config, agent) as view:
        project = await view.tasks.get_project(task_id)
        if project is None:
            raise NothingStored(f"there is no task {shown(task_id)}: see `argentbus tasks`")
        history = await view.tasks.history(project.task.id, limit=limit)
    if as_json:
        print_json({"task": project.task, "history": history, "below": project})
        return
    for name in Task.__struct_fields__:
        value = getattr(project.task, name)
        if value not in (None, [], {}):
            click.echo(f"{name:16} {shown(value)}")
    if project.by_status:
        counts = ", ".join(f"{count} {status}" for status, count in project.by_status.items())
        click.echo(f"{'below it':16} {counts}: {project.percent_done:g} % done")
    if history:
        click.echo()
    for change in history:
        click.echo(_words(change))


def _words(change: TaskChange) -> str:
    changed = "; ".join(
        f"{name}: {_brief(one.get('old'))} -> {_brief(one.get('new'))}"
        for name, one in change.changes.items()
    )
    who = shown(change.agent_id) or "-"
    return f"{change.at:%Y-%m-%d %H:%M:%S}  {who}  {change.what}  {shown(changed)}"


def _brief(value: object) -> str:
    return "-" if value is None else shown(value)[:60]


def _print(found: list[Task], as_json: bool, nothing: str) -> None:
    if as_json:
        print_json(found)
    elif found:
        made = table("status", "priority", "assignee", "due", "tags", wide="title")
        for task in found:
            who = (task.assignee, task.due_at, task.tags)
            rest = cells(task.status, task.priority, *who)
            made.add_row(headline(task.title, task.id), *rest)
        Console().print(made)
    else:
        click.echo(nothing)
