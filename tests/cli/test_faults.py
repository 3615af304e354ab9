"""Every command where something is wrong: one clear line, the right exit status, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from argentbus.embedded import free_port
from tests.shell import ROOT, Shell

COMMANDS = [
    ["agents"],
    ["queues"],
    ["queues", "dead", "reviews"],
    ["queues", "replay", "reviews", "--all"],
    ["sidecar"],
    ["dashboard", "--port", "0"],
    ["up", "--dashboard-port", "0"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_unreachable_redis_is_named(shell: Shell, command: list[str]) -> None:
    port = free_port()
    said = shell.fails(*command, "--redis-url", f"redis://:hunter2@127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in said
    assert "--redis-url" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_wrong_setting_is_named(shell: Shell, command: list[str]) -> None:
    said = shell.fails(*command, "--redis-url", "localhost:6379")
    assert said.startswith("argentbus: --redis-url: ")
    said = shell.fails(*command, ARGENTBUS_NAMESPACE="two words")
    assert said.startswith("argentbus: ARGENTBUS_NAMESPACE: ")


def test_a_wrong_key_of_the_file_is_named(shell: Shell) -> None:
    file = shell.home / ".argentos/argent.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"storage": {"redis": {"port": "6380x"}}}))
    said = shell.fails("agents")
    assert said.startswith(f"argentbus: {file}, key storage.redis.port: ")


def test_a_server_that_is_not_redis_is_named(shell: Shell) -> None:
    copy = shell.up()
    port = copy.running["dashboard_url"].rsplit(":", 1)[1].strip("/")
    said = shell.fails("agents", "--redis-url", f"redis://127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in said


def test_the_doctor_goes_on_where_redis_is_away(shell: Shell) -> None:
    ended = shell.run("doctor", "--json", "--redis-url", f"redis://127.0.0.1:{free_port()}")
    assert ended.returncode == 1
    verdicts = {finding["subject"]: finding["verdict"] for finding in json.loads(ended.stdout)}
    assert verdicts["redis"] == "fault"
    assert verdicts["data"] == "fine"


def test_the_doctor_finds_a_redis_that_forgets(shell: Shell, forgetful_redis) -> None:
    ended = shell.run("doctor", "--json", "--redis-url", forgetful_redis.url)
    assert ended.returncode == 1
    findings = {finding["subject"]: finding for finding in json.loads(ended.stdout)}
    assert findings["durability"]["verdict"] == "fault"
    assert "appendonly" in findings["durability"]["detail"]
    assert "allkeys-lru" in findings["eviction"]["detail"]
    assert findings["sidecar"]["verdict"] == "note"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["--nonsense"], ["up", "--port", "99999"], ["queues", "replay", "q"]],
    ids=" ".join,
)
def test_wrong_usage_has_its_own_status(shell: Shell, arguments: list[str]) -> None:
    shell.fails(*arguments, status=2)


def test_help_names_every_command(shell: Shell) -> None:
    said = shell.run("--help").stdout
    modules = (ROOT / "argentbus/commands").glob("[a-z]*.py")
    for name in ("up", "sidecar", "queues", "doctor", *(module.stem for module in modules)):
        assert f"  {name.replace('_', '-')} " in said


def test_a_reader_that_goes_away_is_no_fault(shell: Shell) -> None:
    command = " ".join([f"'{sys.executable}'", "-m argentbus agents --help | head -1"])
    ended = subprocess.run(
        command, shell=True, env=shell.env, capture_output=True, text=True, timeout=30, check=False
    )
    assert "Usage" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_make_says_which_python_it_needs(tmp_path: Path) -> None:
    place = tmp_path / "with spaces"
    place.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (place / name).write_bytes((ROOT / name).read_bytes())
    old = place / "old python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    ended = subprocess.run(
        ["make", "up", "PYTHON=./old_python"],
        cwd=place,
        env=env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode != 0
    assert "needs Python 3.11, 3.12 or 3.13" in ended.stderr
    assert "PYTHON=" in ended.stderr
    assert not (place / ".venv").exists()


def test_the_lock_names_no_place_to_download_from() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index" not in lock
    assert "--hash=sha256:" in lock
