"""What a sidecar tells: a span for each batch, linked to what is in it, and how it gets on."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from argentbus.embedded import free_port
from argentbus.telemetry import wanted
from bus import Bus
from storage import StorageConfig
from storage.client import StorageClient
from storage.log import log_of
from tests.bus.test_without_telemetry import BLOCKED
from tests.bus.watched import Watched, id_of
from tests.collector import attributes, collecting
from tests.shell import ROOT
from tests.storage.sidecars import environment, until_it_holds
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

ITEMS = 7


def sidecar(config: StorageConfig, **env: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "argentbus", "--log-format", "json", "sidecar"],
        env=environment(config) | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_sidecar_exports_its_batches_and_figures(
    config: StorageConfig, namespace: str
) -> None:
    watched = Watched()
    with collecting() as collector:
        process = sidecar(
            config,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_METRIC_EXPORT_INTERVAL="200",
            OTEL_BSP_SCHEDULE_DELAY="100",
        )
        try:
            async with (
                Bus.connect(
                    config.redis_url, namespace=namespace, telemetry=watched.telemetry
                ) as bus,
                bus.join("scout") as scout,
            ):
                client = StorageClient(scout)
                with watched.tracer.start_as_current_span("remember"):
                    for n in range(ITEMS):
                        await client.memory.create_item(summary=f"fact {n}", memory_type="event")
                    await log_of(bus, 0).append({"not": "a command"})
                await client.flush()
                assert len(await client.memory.list_items()) == ITEMS
                await eventually(lambda: collector.sum("argentbus.sidecar.commands") == ITEMS)
                await eventually(lambda: collector.sum("argentbus.sidecar.rejected") == 1)
        finally:
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=20)[1]
        assert (process.returncode, said) == (0, said)
        assert collector.services == {"argentbus-sidecar"}

        batches = [s for s in collector.spans if s.name.startswith("apply storage:")]
        linked = {int.from_bytes(link.span_id, "big") for span in batches for link in span.links}
        appended = [s for s in watched.spans() if s.name.startswith("append storage:")]
        assert len(appended) == ITEMS + 1
        assert linked == {id_of(span) for span in appended}
        facts = [dict(attributes(span)) for span in batches]
        assert sum(int(fact["messaging.batch.message_count"]) for fact in facts) == ITEMS + 1
        assert {span.parent_span_id for span in batches} == {b""}
        # A read is a request: its handler is in the reader's trace.
        (asked,) = watched.spans("request storage.reads")
        served = [s for s in collector.spans if s.name == "process storage.reads"]
        assert {int.from_bytes(s.parent_span_id, "big") for s in served} == {id_of(asked)}

        sizes = [p for (name, _), p in collector.metrics.items() if name.endswith("batch.size")]
        assert sum(point.sum for point in sizes) == ITEMS
        commits = [p for (name, _), p in collector.metrics.items() if "commit.duration" in name]
        assert sum(p.count for p in commits) == sum(p.count for p in sizes) > 0
        assert all(0 < point.sum < 10 for point in commits)  # seconds
        assert collector.sum("argentbus.sidecar.log.lag") == 0
    watched.close()


async def test_a_collector_that_is_away_holds_nobody_up(config: StorageConfig, bus: Bus) -> None:
    process = sidecar(config, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    try:
        await until_it_holds(bus, process, 2)  # type: ignore[arg-type]
        async with bus.join("scout") as scout:
            client = StorageClient(scout)
            await client.memory.create_item(summary="a fact", memory_type="event")
            await client.flush()
    finally:
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert time.monotonic() - began < 8


async def test_without_the_package_it_says_so_and_goes_on(
    config: StorageConfig, bus: Bus, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKED + "from argentbus.cli import main; main()", "sidecar"],
        cwd=ROOT,
        env=environment(config) | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        await until_it_holds(bus, process, 2)  # type: ignore[arg-type]
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert "telemetry is not exported" in said
    assert "pip install 'argentbus[otel]'" in said


BOTH = {"TRACES", "METRICS"}


@pytest.mark.parametrize(
    ("given", "signals"),
    [
        ({}, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, BOTH),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"}, {"METRICS"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, {"METRICS"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, set()),
    ],
)
def test_the_environment_says_what_is_exported(given: dict[str, str], signals: set[Any]) -> None:
    assert wanted(given) == signals
