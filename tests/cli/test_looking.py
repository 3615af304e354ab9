"""`argentbus tasks`, `memory`, `teams` and `registry`: an operator's look at what is stored."""

import json
from pathlib import Path
from typing import Any

import pytest

from storage.sqlite.adapter import SQLiteAdapter
from tests.postgres import PostgresServer
from tests.shell import Shell

pytestmark = pytest.mark.anyio

HOSTILE = "\x1b[31mred\x1b[0m\nsecond [bold]line"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


def parsed(shell: Shell, *arguments: str) -> Any:
    ended = shell.run(*arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


async def test_tasks_are_listed_and_shown_with_their_history(shell: Shell, path: Path) -> None:
    async with SQLiteAdapter.open(path) as storage:
        tasks = storage.scoped("scout").tasks
        book = await tasks.create_task(title=HOSTILE, tags=["x"], priority="high")
        await tasks.create_task(title="chapter", parent_task_id=book.id, depends_on=["gone"])
        await tasks.create_task(title="other", agent_id="writer")
        [claimed] = await tasks.claim()
        assert claimed.id == book.id
    where = ("--sqlite", str(path))
    assert len(parsed(shell, "tasks", *where)) == 3
    assert [t["title"] for t in parsed(shell, "tasks", *where, "--agent", "writer")] == ["other"]
    found = parsed(shell, "tasks", *where, "--status", "in_progress", "--tag", "x", "--limit", "9")
    assert [(task["id"], task["assignee"]) for task in found] == [(book.id, "scout")]
    assert [t["title"] for t in parsed(shell, "tasks", *where, "--project", book.id)] == ["chapter"]
    assert [t["title"] for t in parsed(shell, "tasks", "ready", *where)] == ["other"]
    shown = parsed(shell, "tasks", "show", book.id[:30], *where)
    assert shown["task"]["title"] == HOSTILE
    assert [change["what"] for change in shown["history"]] == ["claimed"]
    assert shown["below"]["by_status"] == {"blocked": 1}
    words = shell.run("tasks", "show", book.id, *where).stdout
    assert "1 blocked: 0 % done" in words
    assert "scout  claimed  status: pending -> in_progress" in words
    printed = shell.run("tasks", *where).stdout
    assert "second [bold]line" in printed
    assert "\x1b[31m" not in words + printed
    assert "No task is like that." in shell.run("tasks", *where, "--assignee", "nobody").stdout
    assert "no task nonsense" in shell.fails("tasks", "show", "nonsense", *where)


async def test_memory_is_listed_and_searched(shell: Shell, path: Path) -> None:
    async with SQLiteAdapter.open(path) as storage:
        memory = storage.scoped("scout").memory
        await memory.create_item(
            summary="the parser is flaky", memory_type="event", embedding=[0.5] * 768
        )
        await memory.create_item(summary=HOSTILE, memory_type="profile", visibility="public")
    where = ("--sqlite", str(path))
    assert [item["memory_type"] for item in parsed(shell, "memory", *where)] == ["profile", "event"]
    assert len(parsed(shell, "memory", *where, "--type", "event")) == 1
    assert len(parsed(shell, "memory", *where, "--agent", "writer")) == 1
    [hit] = parsed(shell, "memory", "search", "flaky", "test", *where)
    assert hit["item"]["summary"] == "the parser is flaky"
    assert hit["score"] > 0
    assert "embedding" not in hit["item"]
    printed = shell.run("memory", *where).stdout
    assert "second [bold]line" in printed
    assert "\x1b[31m" not in printed
    assert "No memory item" in shell.run("memory", "search", "nonsense", *where).stdout


def test_teams_and_roles_are_an_operators_to_give(
    shell: Shell, postgres_server: PostgresServer
) -> None:
    with postgres_server.database(768) as name:
        url = postgres_server.user_url(name)
        where = ("--backend", "postgres", "--postgres-url", url)
        [agent] = parsed(shell, "registry", "set", "scout", "--role", "reader", *where)
        assert (agent["id"], agent["role"], agent["status"]) == ("scout", "reader", "active")
        [agent] = parsed(shell, "registry", "set", "scout", "--name", "Käse", *where)
        assert (agent["name"], agent["role"]) == ("Käse", "reader")
        assert parsed(shell, "registry", "--role", "reader", *where) == [agent]
        [agent] = parsed(shell, "registry", "set", "scout", "--no-role", *where)
        assert agent["role"] is None
        team = parsed(shell, "teams", "create", "one", "--lead", "scout", *where)["id"]
        shown = parsed(shell, "teams", "add", team, "writer", "--label", "w", *where)
        assert [member["agent_id"] for member in shown["members"]] == ["scout", "writer"]
        assert [one["id"] for one in parsed(shell, "teams", *where, "--agent", "writer")] == [team]
        shown = parsed(shell, "teams", "remove", team, "writer", *where)
        assert [member["agent_id"] for member in shown["members"]] == ["scout"]
        assert "leads team" in shell.fails("teams", "remove", team, "scout", *where)
        assert parsed(shell, "teams", "disband", team, *where)["team"]["status"] == "disbanded"
        assert parsed(shell, "teams", "--status", "active", *where) == []
        assert "no team nonsense" in shell.fails("teams", "show", "nonsense", *where)


def test_looking_makes_no_database(shell: Shell, path: Path) -> None:
    for command in (("tasks",), ("memory",), ("teams",), ("registry",), ("tasks", "ready")):
        said = shell.fails(*command, "--sqlite", str(path))
        assert "nothing is stored at" in said
    assert not path.exists()
