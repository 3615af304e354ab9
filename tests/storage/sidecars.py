"""Sidecars: in the test's own process, or as processes that can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from bus import Bus
from bus.scope import background
from storage import StorageConfig
from storage.sidecar import run_sidecar
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def sidecar(config: StorageConfig) -> AsyncIterator[None]:
    """A sidecar in this process, until the context ends."""
    ready = anyio.Event()
    async with background(lambda: run_sidecar(config, ready=ready)):
        await ready.wait()
        yield


def environment(config: StorageConfig) -> dict[str, str]:
    """What a process of ours is told of the settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ARGENT")}
    return env | {
        "ARGENTBUS_REDIS_URL": config.redis_url,
        "ARGENTBUS_NAMESPACE": config.namespace,
        "ARGENTBUS_SQLITE_PATH": str(config.sqlite_path),
        "ARGENTBUS_HOME": str(config.sqlite_path.parent / "home"),
        "ARGENTBUS_PARTITIONS": str(config.partitions),
        "ARGENTBUS_LEASE": str(config.lease),
        "HOME": str(config.sqlite_path.parent / "home"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }


@contextmanager
def process(config: StorageConfig, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`argentbus sidecar` as a process, which says into `log` what it does; ended in the end."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "argentbus", "-v", "sidecar"],
            env=environment(config),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.send_signal(signal.SIGCONT)
            started.kill()
        started.wait()


async def holders(bus: Bus) -> dict[int, set[int]]:
    """Process ids of the sidecars that are present, with the partitions that each says it holds."""
    snapshot = await bus.registry.snapshot()
    found: dict[int, set[int]] = {}
    for name, presence in snapshot.agents.items():
        state = snapshot.states.get(name)
        if presence.role == "sidecar" and state is not None and state.instance == presence.instance:
            held = state.fields.get("partitions", "")
            found[presence.pid] = {int(n) for n in held.split(",") if n}
    return found


async def until_it_holds(bus: Bus, sidecar: subprocess.Popen[bytes], partitions: int) -> None:
    """Wait until `sidecar` says that it holds `partitions` partitions."""

    async def so() -> bool:
        assert sidecar.poll() is None, "the sidecar ended by itself"
        return len((await holders(bus)).get(sidecar.pid, ())) == partitions

    await eventually(so, timeout=20)
