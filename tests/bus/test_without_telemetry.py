"""Where OpenTelemetry is not installed, or not set up, the bus runs, and tells nobody."""

import subprocess
import sys
from typing import Any

import pytest

from bus import Bus
from bus.telemetry import SILENT
from tests.bus.watched import Job
from tests.shell import ROOT

#: What makes a package look as if it were not installed.
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name="opentelemetry")

sys.meta_path.insert(0, Blocked())
"""

PROGRAM = """
import anyio
from bus import Bus, BusError
from bus.telemetry import SILENT, recording

async def main():
    async with Bus.connect(sys.argv[1], namespace=sys.argv[2]) as bus:
        assert bus.telemetry is SILENT
        async with bus.join("ada") as ada, bus.join("bob") as bob:
            async def serve():
                async for delivery in ada.inbox():
                    async with delivery:
                        await delivery.reply(delivery.body + 1)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve)
                assert await bob.request("ada", 1, int, timeout=10) == 2
                tasks.cancel_scope.cancel()
            async with bus.topic("news", int).subscribe() as feed:
                await bus.topic("news", int).publish(7)
                assert (await anext(feed)).body == 7
            queue = bus.queue("jobs", int)
            await queue.put(3)
            async with queue.consume("workers") as deliveries, await anext(deliveries) as delivery:
                assert delivery.body == 3
                assert delivery.trace is None
            async with bus.lock("build"):
                await bus.map("plan", int).put("step", 1)
                await bus.log("writes").append(1)
    try:
        recording()
    except BusError as error:
        print(error)

anyio.run(main, backend=sys.argv[3])
"""

THREADS = """
from bus.blocking import Bus

with Bus.connect(sys.argv[1], namespace=sys.argv[2]) as bus:
    queue = bus.queue("jobs", int)
    queue.put(3)
    with queue.consume("workers") as deliveries, next(deliveries) as delivery:
        assert delivery.body == 3
    bus.topic("news", int).publish(7)
    bus.log("writes").append(1)
assert "opentelemetry" not in sys.modules
"""

LAZY = """
import sys
import argentbus.cli, bus, presence, storage, storage.client  # bus.blocking: redis-py does
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


def run(program: str, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_without_the_package_all_works(redis_server: Any, namespace: str, backend: str) -> None:
    said = run(BLOCKED + PROGRAM, redis_server.url, namespace, backend)
    assert "pip install 'argentbus[otel]'" in said


def test_without_the_package_threads_work_too(redis_server: Any, namespace: str) -> None:
    run(BLOCKED + THREADS, redis_server.url, namespace)


def test_it_is_not_imported_where_nobody_uses_it() -> None:
    run(LAZY)


@pytest.mark.anyio
async def test_where_no_provider_is_set_up_nothing_is_told(bus: Bus) -> None:
    assert bus.telemetry is SILENT
    await bus.queue("jobs", Job).put(Job(1))
    async with bus.queue("jobs", Job).consume("workers") as deliveries:
        async with await anext(deliveries) as delivery:
            assert delivery.trace is None


SET_UP = """
import sys
import anyio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from bus import Bus

async def main():
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    async with Bus.connect(sys.argv[1], namespace=sys.argv[2]) as bus:
        await bus.queue("jobs", int).put(1)
    print([span.name for span in spans.get_finished_spans()])

anyio.run(main)
"""


def test_a_provider_that_is_set_up_is_found(redis_server: Any, namespace: str) -> None:
    assert run(SET_UP, redis_server.url, namespace) == "['send jobs']\n"
