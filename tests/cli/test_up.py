"""`argentbus up`: what it starts, where, and that nothing is left behind however it ends."""

import fcntl
import json
import os
import pty
import signal
import socket
import stat
import termios
from urllib.request import urlopen

import psutil
import pytest
import redis

from argentbus.embedded import free_port
from tests.shell import Shell
from tests.waiting import eventually


async def test_other_shells_find_what_runs_and_the_data_stays(shell: Shell) -> None:
    copy = shell.up("--namespace", "crew")
    assert set(copy.processes()) == {"redis-server", "sidecar", "dashboard", "guard.py"}
    with urlopen(copy.running["dashboard_url"]) as page:
        assert b"<html" in page.read()
    assert stat.S_IMODE((shell.data / "up.json").stat().st_mode) == 0o600

    agents = json.loads(shell.run("agents", "--json").stdout)
    assert [agent["role"] for agent in agents] == ["sidecar"]
    assert agents[0]["pid"] == copy.processes()["sidecar"].pid
    doctor = shell.run("doctor", "--json")
    assert doctor.returncode == 0, doctor
    verdicts = {finding["subject"]: finding["verdict"] for finding in json.loads(doctor.stdout)}
    assert verdicts["up"] == verdicts["durability"] == verdicts["sidecar"] == "fine"

    redis.Redis.from_url(copy.redis_url).set("kept", "yes")
    processes = copy.processes()
    assert copy.end(signal.SIGINT) == 0
    await shell.gone(processes)
    assert not (shell.data / "up.json").exists()

    again = shell.up()
    assert redis.Redis.from_url(again.redis_url).get("kept") == b"yes"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_every_process(shell: Shell, number: signal.Signals) -> None:
    copy = shell.up()
    processes = copy.processes()
    assert copy.end(number) == 0
    await shell.gone(processes)


async def test_a_second_signal_ends_everything_at_once(shell: Shell) -> None:
    copy = shell.up()
    processes = copy.processes()
    processes["dashboard"].suspend()  # it would be waited for
    copy.process.send_signal(signal.SIGINT)
    await eventually(lambda: not (shell.data / "up.json").exists())
    assert copy.end(signal.SIGINT) == 0
    await shell.gone(processes)


async def test_a_hangup_that_comes_twice_is_one(shell: Shell) -> None:
    copy = shell.up()
    processes = copy.processes()
    processes["dashboard"].suspend()  # it would be waited for
    copy.process.send_signal(signal.SIGHUP)
    await eventually(lambda: not (shell.data / "up.json").exists())
    copy.process.send_signal(signal.SIGHUP)
    processes["dashboard"].resume()
    assert copy.end(signal.SIGHUP) == 0
    await shell.gone(processes)
    assert "User requested shutdown" in (shell.data / "redis/redis.log").read_text()


def test_a_redis_that_forgets_is_warned_of(shell: Shell, forgetful_redis) -> None:
    copy = shell.up("--redis-url", forgetful_redis.url)
    copy.end()
    assert copy.process.stderr is not None
    assert "warning: appendonly is off" in copy.process.stderr.read()


async def test_closing_the_terminal_ends_every_process(shell: Shell) -> None:
    ours, theirs = pty.openpty()
    ports = ("--port", str(free_port()), "--dashboard-port", str(free_port()))
    process = shell.start(
        "up",
        *ports,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = b""
    while b"demo" not in said:
        said += os.read(ours, 1000)
    children = {str(c.pid): c for c in psutil.Process(process.pid).children()}
    assert len(children) == 4
    os.close(ours)
    assert process.wait(30) == 0
    await shell.gone(children)


async def test_kill_9_leaves_nothing_behind_and_the_next_one_goes_on(shell: Shell) -> None:
    copy = shell.up()
    redis.Redis.from_url(copy.redis_url).set("kept", "yes")
    processes = copy.processes()
    copy.process.kill()
    copy.process.wait()
    # At once: it waits for what is ending, and takes no notice of the stale up.json.
    again = shell.up()
    assert redis.Redis.from_url(again.redis_url).get("kept") == b"yes"
    await shell.gone(processes)


async def test_a_killed_guard_is_replaced(shell: Shell) -> None:
    copy = shell.up()
    first = copy.processes()["guard.py"]
    first.kill()

    def is_replaced() -> bool:
        now = copy.processes().get("guard.py")
        return now is not None and now.pid != first.pid

    await eventually(is_replaced)
    # What it was told waits in the pipe until it has started: it need not be waited for.
    processes = copy.processes()
    assert len(processes) == 4
    copy.process.kill()
    copy.process.wait()
    await shell.gone(processes)


async def test_services_that_are_killed_are_started_again_with_their_data(shell: Shell) -> None:
    copy = shell.up()
    client = redis.Redis.from_url(copy.redis_url)
    client.set("kept", "yes")
    for name in ("redis-server", "sidecar", "dashboard"):
        killed = copy.processes()[name]
        killed.kill()

        def is_back(name: str = name, killed: psutil.Process = killed) -> bool:
            return name in (now := copy.processes()) and now[name].pid != killed.pid

        await eventually(is_back)

    def kept() -> bool:
        try:
            return client.get("kept") == b"yes"
        except redis.ConnectionError:
            return False

    await eventually(kept)

    def sidecar_is_present() -> bool:
        pid = copy.processes()["sidecar"].pid
        ended = shell.run("agents", "--json")
        return ended.returncode == 0 and pid in [a["pid"] for a in json.loads(ended.stdout)]

    await eventually(sidecar_is_present, timeout=20)
    copy.end()
    said = copy.process.stderr.read()  # type: ignore[union-attr]
    assert "redis was killed by SIGKILL; starting it again" in said


def test_two_copies_side_by_side(shell: Shell) -> None:
    here = shell.up()
    there = shell.up("--data", str(shell.home / "another place"))
    redis.Redis.from_url(here.redis_url).set("whose", "here")
    assert redis.Redis.from_url(there.redis_url).get("whose") is None
    one = json.loads(shell.run("agents", "--json").stdout)
    other = json.loads(
        shell.run("agents", "--json", ARGENTBUS_HOME=str(shell.home / "another place")).stdout
    )
    assert one[0]["pid"] == here.processes()["sidecar"].pid
    assert other[0]["pid"] == there.processes()["sidecar"].pid


def test_a_second_copy_on_the_same_data_is_refused(shell: Shell) -> None:
    copy = shell.up()
    said = shell.fails("up", "--port", str(free_port()), "--dashboard-port", str(free_port()))
    assert "already up" in said
    assert copy.running["dashboard_url"] in said
    assert "--data" in said


def test_a_taken_port_is_named_with_the_option_to_change_it(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = shell.fails("up", "--port", port, "--dashboard-port", str(free_port()))
        assert f"port {port}" in said
        assert "choose another port with --port" in said
        said = shell.fails("up", "--port", str(free_port()), "--dashboard-port", port)
        assert f"port {port}" in said
        assert "--dashboard-port" in said


def test_a_redis_on_the_port_is_offered(shell: Shell, redis_server) -> None:
    port = str(redis_server.port)
    said = shell.fails("up", "--port", port, "--dashboard-port", str(free_port()))
    assert f"--redis-url {redis_server.url}" in said


def test_an_existing_redis_is_used(shell: Shell, redis_server, namespace: str) -> None:
    (shell.home / ".argentos").mkdir()
    settings = {"storage": {"redis": {"port": redis_server.port}, "namespace": namespace}}
    (shell.home / ".argentos/argent.json").write_text(json.dumps(settings))
    process = shell.start("up", "--json", "--dashboard-port", str(free_port()))
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        try:
            running = json.loads(process.stdout.readline())
            assert running["redis_url"] == redis_server.url
            assert running["embedded"] is False
            assert running["namespace"] == namespace
        finally:
            process.terminate()
            process.wait(30)
    assert redis_server.answers(), "it is not ours to end"


def test_a_data_directory_that_cannot_be_written_is_named(shell: Shell) -> None:
    file = shell.home / "a file"
    file.write_text("")
    said = shell.fails("up", "--data", str(file / "data"))
    assert str(file / "data") in said
    assert "--data" in said
    (shell.home / "here").mkdir()
    (shell.home / "here/redis").write_text("in the way")
    ports = ("--port", str(free_port()), "--dashboard-port", str(free_port()))
    said = shell.fails("up", "--data", str(shell.home / "here"), *ports)
    assert "here/redis" in said


def test_a_broken_append_only_file_is_reported_not_replaced(shell: Shell) -> None:
    shell.up().end()
    (part,) = (shell.data / "redis/appendonlydir").glob("*.incr.aof")
    part.write_bytes(b"*garbage\r\n" * 10)
    said = shell.fails("up", "--port", str(free_port()), "--dashboard-port", str(free_port()))
    assert "redis ended with status 1" in said
    assert "redis.log" in said
    assert part.read_bytes() == b"*garbage\r\n" * 10


def test_options_that_contradict_each_other_are_refused(shell: Shell) -> None:
    said = shell.fails("up", "--redis-url", "redis://h", "--port", "7000", status=2)
    assert "--port" in said


def test_one_port_for_two_is_refused(shell: Shell) -> None:
    said = shell.fails("up", "--port", "7001", "--dashboard-port", "7001", status=2)
    assert "cannot share port 7001" in said


async def test_a_service_that_dies_of_a_signal_without_a_name_is_started_again(
    shell: Shell,
) -> None:
    copy = shell.up()
    before = copy.processes()["sidecar"]
    before.send_signal(40)
    await eventually(
        lambda: (now := copy.processes().get("sidecar")) is not None and now.pid != before.pid
    )
    assert copy.end() == 0


def test_a_frozen_guard_does_not_keep_it_from_ending(shell: Shell) -> None:
    copy = shell.up()
    copy.processes()["guard.py"].suspend()
    assert copy.end() == 0
