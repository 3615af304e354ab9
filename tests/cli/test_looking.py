"""`argentbus tasks`, `memory`, `teams` and `registry`: an operator's look at what is stored."""

import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from argentbus.cli import run
from storage.model.tasks import Task
from storage.sqlite.adapter import SQLiteAdapter
from tests.postgres import PostgresServer
from tests.shell import Shell

HOSTILE = "\x1b[31mred\x1b[0m\nsecond [bold]line"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


class Line:
    """The command line within this process, where a test calls it many times."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def printed(self, *arguments: str) -> str:
        assert run(list(arguments)) == 0, self._capsys.readouterr().err
        return self._capsys.readouterr().out

    def parsed(self, *arguments: str) -> Any:
        return json.loads(self.printed(*arguments, "--json"))

    def fails(self, *arguments: str) -> str:
        assert run(list(arguments)) == 1
        return self._capsys.readouterr().err


@pytest.fixture
def line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Line:
    for name in os.environ:
        if name.startswith(("ARGENT", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return Line(capsys)


async def some_tasks(path: Path) -> Task:
    async with SQLiteAdapter.open(path) as storage:
        tasks = storage.scoped("scout").tasks
        book = await tasks.create_task(title=HOSTILE, tags=["x"], priority="high")
        await tasks.create_task(title="chapter", parent_task_id=book.id, depends_on=["gone"])
        await tasks.create_task(title="other", agent_id="writer")
        [claimed] = await tasks.claim()
        assert claimed.id == book.id
        return book


def test_tasks_are_listed_and_shown_with_their_history(line: Line, path: Path) -> None:
    book = anyio.run(some_tasks, path)
    where = ("--sqlite", str(path))
    assert len(line.parsed("tasks", *where)) == 3
    assert [t["title"] for t in line.parsed("tasks", *where, "--agent", "writer")] == ["other"]
    found = line.parsed("tasks", *where, "--status", "in_progress", "--tag", "x", "--limit", "9")
    assert [(task["id"], task["assignee"]) for task in found] == [(book.id, "scout")]
    assert [t["title"] for t in line.parsed("tasks", *where, "--project", book.id)] == ["chapter"]
    assert [t["title"] for t in line.parsed("tasks", "ready", *where)] == ["other"]
    shown = line.parsed("tasks", "show", book.id[:30], *where)
    assert shown["task"]["title"] == HOSTILE
    assert [change["what"] for change in shown["history"]] == ["claimed"]
    assert shown["below"]["by_status"] == {"blocked": 1}
    words = line.printed("tasks", "show", book.id, *where)
    assert "1 blocked: 0 % done" in words
    assert "scout  claimed  status: pending -> in_progress" in words
    printed = line.printed("tasks", *where)
    assert "second [bold]line" in printed
    assert book.id in printed.split(), "whole, and on one line of 80 columns"
    assert len(printed.splitlines()) <= 1 + 2 * 3
    assert "\x1b[31m" not in words + printed
    assert "No task is like that." in line.printed("tasks", *where, "--assignee", "nobody")
    assert "no task nonsense" in line.fails("tasks", "show", "nonsense", *where)


async def some_items(path: Path) -> None:
    async with SQLiteAdapter.open(path) as storage:
        memory = storage.scoped("scout").memory
        await memory.create_item(
            summary="the parser is flaky", memory_type="event", embedding=[0.5] * 768
        )
        await memory.create_item(summary=HOSTILE, memory_type="profile", visibility="public")


def test_memory_is_listed_and_searched(line: Line, path: Path) -> None:
    anyio.run(some_items, path)
    where = ("--sqlite", str(path))
    assert [item["memory_type"] for item in line.parsed("memory", *where)] == ["profile", "event"]
    assert len(line.parsed("memory", *where, "--type", "event")) == 1
    assert len(line.parsed("memory", *where, "--agent", "writer")) == 1
    [hit] = line.parsed("memory", "search", "flaky", "test", *where)
    assert hit["item"]["summary"] == "the parser is flaky"
    assert hit["score"] > 0
    assert "embedding" not in hit["item"]
    printed = line.printed("memory", *where)
    assert "second [bold]line" in printed
    assert hit["item"]["id"] in printed.split()
    assert len(printed.splitlines()) == 1 + 2 * 2
    assert "\x1b[31m" not in printed
    assert "No memory item" in line.printed("memory", "search", "nonsense", *where)


def test_teams_and_roles_are_an_operators_to_give(
    line: Line, postgres_server: PostgresServer
) -> None:
    with postgres_server.database(768) as name:
        url = postgres_server.user_url(name)
        where = ("--backend", "postgres", "--postgres-url", url)
        [agent] = line.parsed("registry", "set", "scout", "--role", "reader", *where)
        assert (agent["id"], agent["role"], agent["status"]) == ("scout", "reader", "active")
        [agent] = line.parsed("registry", "set", "scout", "--name", "Käse", *where)
        assert (agent["name"], agent["role"]) == ("Käse", "reader")
        assert line.parsed("registry", "--role", "reader", *where) == [agent]
        [agent] = line.parsed("registry", "set", "scout", "--no-role", *where)
        assert agent["role"] is None
        team = line.parsed("teams", "create", "one", "--lead", "scout", *where)["id"]
        shown = line.parsed("teams", "add", team, "writer", "--label", "w", *where)
        assert [member["agent_id"] for member in shown["members"]] == ["scout", "writer"]
        assert [one["id"] for one in line.parsed("teams", *where, "--agent", "writer")] == [team]
        shown = line.parsed("teams", "remove", team, "writer", *where)
        assert [member["agent_id"] for member in shown["members"]] == ["scout"]
        assert "leads team" in line.fails("teams", "remove", team, "scout", *where)
        assert line.parsed("teams", "disband", team, *where)["team"]["status"] == "disbanded"
        assert line.parsed("teams", "--status", "active", *where) == []
        assert "no team nonsense" in line.fails("teams", "show", "nonsense", *where)


def test_looking_makes_no_database(line: Line, shell: Shell, path: Path) -> None:
    for command in (("tasks",), ("memory",), ("teams",), ("registry",), ("tasks", "ready")):
        assert "nothing is stored at" in line.fails(*command, "--sqlite", str(path))
    assert "nothing is stored at" in shell.fails("tasks", "--sqlite", str(path))
    assert not path.exists()


async def _nothing(path: Path) -> None:
    async with SQLiteAdapter.open(path):
        pass


def test_where_nothing_is_stored_no_filter_is_to_blame(line: Line, path: Path) -> None:
    anyio.run(_nothing, path)
    where = ("--sqlite", str(path))
    assert "There are no memory items yet." in line.printed("memory", *where)
    assert "No memory item is like that." in line.printed("memory", *where, "--agent", "scout")
    assert "There are no tasks yet." in line.printed("tasks", *where)
    assert "No task is like that." in line.printed("tasks", *where, "--assignee", "nobody")
