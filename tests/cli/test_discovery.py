"""Finding a running copy, and telling it from the traces of one that is gone."""

import os
from pathlib import Path

import pytest

from argentbus import discovery
from argentbus.discovery import Running, announce, find, held, locate
from argentbus.errors import DataDirectoryUnusable
from tests.conftest import RedisServer
from tests.shell import Shell


def running(pid: int | None = None) -> Running:
    return Running(
        pid=pid or os.getpid(),
        redis_url="redis://127.0.0.1:7777",
        embedded=True,
        dashboard_url="http://127.0.0.1:7778/",
        sqlite_path="/data/there.db",
        namespace="crew",
    )


def test_what_a_copy_announces_is_found_until_it_lets_go(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    with held(tmp_path):
        announce(tmp_path, running())
        assert find(tmp_path) == running()
    assert (tmp_path / "up.json").exists()
    assert find(tmp_path) is None, "stale: nobody holds the lock"


def test_a_file_of_a_process_that_is_gone_is_stale(tmp_path: Path) -> None:
    with held(tmp_path):
        announce(tmp_path, running(pid=2**22 + 1))
        assert find(tmp_path) is None
        (tmp_path / "up.json").write_text("{")
        assert find(tmp_path) is None


def test_a_directory_has_one_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PATIENCE", 0.1)
    with held(tmp_path):
        with pytest.raises(DataDirectoryUnusable, match="an earlier copy"), held(tmp_path):
            pass
        announce(tmp_path, running())
        with pytest.raises(DataDirectoryUnusable, match="already up"), held(tmp_path):
            pass
    with held(tmp_path):
        assert not (tmp_path / "up.json").exists(), "what the last one left is withdrawn"


def test_a_running_copy_counts_more_than_the_file_and_less_than_what_is_said(
    tmp_path: Path,
) -> None:
    (tmp_path / ".argentos").mkdir()
    (tmp_path / ".argentos/argent.json").write_text(
        '{"storage": {"redis": {"url": "redis://file:1"}, "sqlite": {"path": "/file.db"}}}'
    )
    env = {"HOME": str(tmp_path), "ARGENTBUS_HOME": str(tmp_path / "data")}
    assert locate({}, env).redis_url == "redis://file:1"
    with held(tmp_path / "data"):
        announce(tmp_path / "data", running())
        found = locate({}, env)
        assert found.redis_url == "redis://127.0.0.1:7777"
        assert str(found.sqlite_path) == "/data/there.db"
        assert found.namespace == "crew"
        told = locate({"namespace": "other"}, env | {"ARGENTBUS_REDIS_URL": "redis://env:2"})
        assert (told.redis_url, told.namespace) == ("redis://env:2", "other")


def test_a_directory_on_which_nothing_runs_is_not_taken_for_another_copys(shell: Shell) -> None:
    down = str(shell.home / "down")
    for command in (
        *(("agents",), ("queues",), ("queues", "dead", "q"), ("queues", "purge", "q", "--all")),
        *(("demo",), ("sidecar",), ("acl", "show", "scout"), ("dashboard",)),
    ):
        said = shell.fails(*command, "--data", down)
        assert f"nothing is up on {down}" in said, command
        assert f"argentbus up --data '{down}'" in said
        assert "--redis-url" in said
    assert f"nothing is up on {down}" in shell.fails("agents", ARGENTBUS_HOME=down)
    doctor = shell.run("doctor", "--data", down)
    assert f"nothing is up on {down}" in doctor.stdout
    assert doctor.returncode == 1
    # What needs the database only looks into that of the directory.
    assert f"nothing is stored at {down}" in shell.fails("memory", "--data", down)
    assert shell.run("acl", "secret", "--data", down).stdout.startswith("* ")


def test_a_redis_that_is_named_is_used_with_any_directory(
    shell: Shell, redis_server: RedisServer, namespace: str
) -> None:
    down = str(shell.home / "down")
    where = ("--data", down, "--namespace", namespace)
    assert "[]" in shell.run("queues", "--json", "--redis-url", redis_server.url, *where).stdout
    listed = shell.run("queues", *where, "--json", ARGENTBUS_REDIS_URL=redis_server.url)
    assert listed.returncode == 0
    said = shell.fails("queues", *where, "dead", "q", "--redis-url", redis_server.url)
    assert "no queue q" in said
