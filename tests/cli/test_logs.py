"""`--log-format` and `--log-level`, for a command and for the services of `up`."""

import json
import signal

import pytest

from argentbus.embedded import free_port
from tests.shell import Shell


def away() -> str:
    return f"redis://127.0.0.1:{free_port()}"


def test_a_command_says_in_json_why_it_ends(shell: Shell) -> None:
    ended = shell.run("--log-format", "json", "agents", "--redis-url", away())
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = map(json.loads, ended.stderr.splitlines())
    assert (line["level"], line["message"]) == ("critical", "it cannot go on")
    assert "cannot reach Redis" in line["fields"]["error"]


def test_the_environment_says_it_too_and_options_win(shell: Shell) -> None:
    env = {"ARGENTBUS_LOG_FORMAT": "json", "ARGENTBUS_LOG_LEVEL": "debug"}
    assert json.loads(shell.fails("agents", "--redis-url", away(), **env))["level"] == "critical"
    said = shell.fails("--log-format", "text", "agents", "--redis-url", away(), **env)
    assert said.startswith("argentbus: cannot reach Redis")


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("--log-format", "xml"), {}),
        ((), {"ARGENTBUS_LOG_FORMAT": "xml"}),
        (("--log-level", "loud"), {}),
        ((), {"ARGENTBUS_LOG_LEVEL": "loud"}),
    ],
)
def test_what_is_no_format_or_level_is_named(
    shell: Shell, arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    said = shell.fails(*arguments, "agents", status=2, **env)
    assert "xml" in said or "loud" in said
    assert "json" in said or "debug" in said


async def test_the_services_of_up_log_as_it_was_asked_to(shell: Shell) -> None:
    shell.env |= {"ARGENTBUS_LOG_FORMAT": "json"}
    copy = shell.up()
    processes = copy.processes()
    assert copy.end(signal.SIGTERM) == 0
    await shell.gone(processes)
    lines = [json.loads(x) for x in (shell.data / "logs/sidecar.log").read_text().splitlines()]
    assert [line["message"] for line in lines] == [
        "the sidecar is up",
        "the sidecar was told to stop",
    ]
    assert lines[0]["level"] == "info"
    assert set(lines[0]["fields"]) == {"agent", "partitions", "database"}
    assert lines[0]["time"].endswith("Z")


async def test_without_asking_they_log_text_from_info_on(shell: Shell) -> None:
    copy = shell.up()
    processes = copy.processes()
    assert copy.end(signal.SIGTERM) == 0
    await shell.gone(processes)
    first, *_ = (shell.data / "logs/sidecar.log").read_text().splitlines()
    assert "INFO    argentbus.sidecar: the sidecar is up: agent=sidecar-" in first


async def test_what_a_service_said_last_in_json_is_in_its_obituary(shell: Shell) -> None:
    shell.env |= {"ARGENTBUS_LOG_FORMAT": "json"}
    (shell.home / "not-a-database").mkdir()
    said = shell.fails(
        "up",
        *("--port", str(free_port()), "--dashboard-port", str(free_port())),
        *("--sqlite", str(shell.home / "not-a-database")),
    )
    error = json.loads(said)["fields"]["error"]
    assert error.startswith("sidecar ended with status 1, saying: ")
    assert "not-a-database" in error
    assert "{" not in error
