"""`argentbus dashboard` and `argentbus agents` as real processes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from bus import Bus
from tests.waiting import eventually

from .conftest import AgentProcess

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"  # the processes choose their own; once is enough


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ARGENTBUS_")}
    return {**kept, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}


@contextmanager
def running(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "argentbus", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line and process.stderr is not None:
        pytest.fail(process.stderr.read())
    return line


def url_of(process: subprocess.Popen[str]) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+/", line_of(process))
    assert found
    return found[0]


def at(redis_url: str, namespace: str) -> tuple[str, ...]:
    return ("--redis-url", redis_url, "--namespace", namespace)


async def first_event(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as client, client.stream("GET", f"{url}events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                return dict(json.loads(line.removeprefix("data: ")))
    raise AssertionError


async def test_the_page_is_served_and_ends_in_good_order_with_pages_open(
    bus: Bus, environment: dict[str, str]
) -> None:
    where = at(str(bus.link.address), bus.namespace)
    with running(environment, "dashboard", *where, "--port", "0") as process:
        url = url_of(process)
        async with bus.join("scout"):
            found = await first_event(url)
            assert [row["id"] for row in found["agents"]] == ["scout"]
        async with httpx.AsyncClient() as client, client.stream("GET", f"{url}events") as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(10):
                assert [line async for line in lines][-1] == ""
        assert await anyio.to_thread.run_sync(process.wait, 10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


async def test_it_goes_on_while_redis_is_away(
    own_redis: Any, namespace: str, environment: dict[str, str]
) -> None:
    where = at(own_redis.url, namespace)
    with running(environment, "dashboard", *where, "--port", "0") as process:
        url = url_of(process)
        async with httpx.AsyncClient(timeout=10) as client:

            async def health() -> int:
                return (await client.get(f"{url}healthz")).status_code

            assert await health() == 200
            await anyio.to_thread.run_sync(own_redis.kill)
            assert await health() == 503
            assert (await client.get(url)).status_code == 200
            assert (await first_event(url))["namespace"] == namespace
            await anyio.to_thread.run_sync(own_redis.start)

            async def well() -> bool:
                return await health() == 200

            await eventually(well, timeout=20)
        process.send_signal(signal.SIGTERM)
        assert await anyio.to_thread.run_sync(process.wait, 10) == 0


async def test_a_taken_port_is_named(bus: Bus, environment: dict[str, str]) -> None:
    where = at(str(bus.link.address), bus.namespace)
    with running(environment, "dashboard", *where, "--port", "0") as first:
        port = url_of(first).rstrip("/").rpartition(":")[2]
        with running(environment, "dashboard", *where, "--port", port) as second:
            _, said = await anyio.to_thread.run_sync(second.communicate)
            assert second.returncode == 1
            assert f"port {port}" in said
            assert "--port" in said
            assert "Traceback" not in said


@pytest.mark.parametrize(
    "command",
    [("dashboard", "--port", "0"), ("agents",), ("agents", "--json"), ("agents", "--watch")],
)
async def test_an_unreachable_redis_is_named(
    command: tuple[str, ...], environment: dict[str, str]
) -> None:
    where = at("redis://127.0.0.1:1", "x")
    with running(environment, *command, *where) as process:
        _, said = await anyio.to_thread.run_sync(process.communicate)
        assert process.returncode == 1
        assert "127.0.0.1:1" in said
        assert "Traceback" not in said


async def test_an_address_that_is_not_ours_is_a_wrong_option(environment: dict[str, str]) -> None:
    with running(environment, "dashboard", "--host", "192.0.2.1", "--port", "0") as process:
        _, said = await anyio.to_thread.run_sync(process.communicate)
        assert process.returncode == 2
        assert "--host" in said


async def test_agents_are_listed(bus: Bus, environment: dict[str, str]) -> None:
    where = at(str(bus.link.address), bus.namespace)

    async def printed(*options: str) -> str:
        with running(environment, "agents", *where, *options) as process:
            out, error = await anyio.to_thread.run_sync(process.communicate)
            assert (process.returncode, error) == (0, "")
            return out

    assert "Nobody is present" in await printed()
    assert json.loads(await printed("--json")) == []
    async with bus.join("scout", role="researcher") as scout:
        await scout.set_state(status="processing", activity="[red]reading\x1b[31m", files=3)
        table = await printed()
        assert "scout" in table
        assert "[red]reading" in table.replace("\n", "")
        assert "\x1b" not in table
        (record,) = json.loads(await printed("--json"))
        assert (record["agent"], record["role"], record["status"], record["fields"]) == (
            "scout",
            "researcher",
            "processing",
            {"files": "3"},
        )


async def test_a_kill_is_watched(
    bus: Bus, environment: dict[str, str], agent_process: Callable[..., AgentProcess]
) -> None:
    where = at(str(bus.link.address), bus.namespace)
    async with bus.join("scout"):
        with running(environment, "agents", *where, "--watch", "--json") as process:

            async def told(kind: str) -> dict[str, Any]:
                with anyio.fail_after(15):
                    while True:
                        line = await anyio.to_thread.run_sync(line_of, process)
                        change = json.loads(line)
                        if change["kind"] == kind:
                            return dict(change)

            assert (await told("present"))["agent"] == "scout"
            victim = agent_process("victim", ttl=1.0)
            assert (await told("joined"))["pid"] == victim.pid
            victim.kill()
            expired = await told("expired")
            assert (expired["agent"], expired["activity"]) == ("victim", "being alive")


async def test_stalled_agents_and_instances_are_in_the_table(
    bus: Bus, environment: dict[str, str]
) -> None:
    where = at(str(bus.link.address), bus.namespace)
    async with (
        bus.join("scout", stall_after=0.2, capabilities=["sql"]) as scout,
        bus.join("writer", shared=True) as writer,
    ):
        await eventually(lambda: scout.state.stalled)
        with running(environment, "agents", *where) as process:
            table, _ = await anyio.to_thread.run_sync(process.communicate)
        lines = table.splitlines()
        [line] = [line for line in lines if line.startswith("scout")]
        assert "stalled" in line
        assert "sql" in line
        assert any(line.startswith(f"writer#{writer.instance[-6:]}") for line in lines)
        with running(environment, "agents", *where, "--json") as process:
            records, _ = await anyio.to_thread.run_sync(process.communicate)
        stalled = {record["agent"]: record["stalled"] for record in json.loads(records)}
        assert stalled == {"scout": True, "writer": False}
        with running(environment, "agents", *where, "--watch") as process:
            while (
                not (await anyio.to_thread.run_sync(line_of, process))
                .rstrip()
                .endswith(
                    f"writer#{writer.instance[-6:]}  {writer.presence.host} {writer.presence.pid}"
                )
            ):
                pass
            await scout.progress("page 3")
            with anyio.fail_after(10):
                while " resumed  scout  page 3" not in (
                    await anyio.to_thread.run_sync(line_of, process)
                ):
                    pass
