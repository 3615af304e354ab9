"""Exporting what our own processes tell OpenTelemetry, as its environment variables say.

Where `OTEL_EXPORTER_OTLP_ENDPOINT` (or the one for traces or metrics alone) is set, and the extra
`otel` is installed, the SDK is set up with its exporter for OTLP over HTTP. The other variables are
the SDK's own and hold as well: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
`OTEL_TRACES_SAMPLER`, `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_*`.
"""

import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from bus.telemetry.journal import Journal

log = Journal("argentbus.telemetry")

#: Seconds that what is left may take to be exported when a process ends: a collector that is away
#: must not hold it up.
LAST_EXPORT: Final = 3.0

_SIGNALS: Final = ("TRACES", "METRICS")


def wanted(environment: Mapping[str, str]) -> set[str]:
    """Which of `TRACES` and `METRICS` are to be exported, as the environment says."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return set()
    return {
        signal
        for signal in _SIGNALS
        if environment.get(f"OTEL_{signal}_EXPORTER", "otlp") == "otlp"
        and (
            environment.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
            or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        )
    }


@contextmanager
def exporting(service: str) -> Generator[None]:
    """Export what is told in the block, if the environment says where to.

    Args:
        service: What the process is, where `OTEL_SERVICE_NAME` does not say it.
    """
    signals = wanted(os.environ)
    closing: list[Callable[[], Any]] = []
    if signals:
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        if protocol != "http/protobuf":
            log.warning(
                "telemetry is exported by another protocol than the one asked for",
                asked=protocol,
                used="http/protobuf",
                remedy="name the collector's port for OTLP over HTTP, usually 4318",
            )
        try:
            closing = _set_up(service, signals)
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("opentelemetry"):
                raise
            log.warning(
                "telemetry is not exported",
                error=error,
                remedy="pip install 'argentbus[otel]', or unset OTEL_EXPORTER_OTLP_ENDPOINT",
            )
    try:
        yield
    finally:
        _close(closing)


def _set_up(service: str, signals: set[str]) -> list[Callable[[], Any]]:
    """Set providers up for this process; return what shuts them down."""
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource({"service.name": f"argentbus-{service}"}).merge(_told(Resource))
    closing: list[Callable[[], Any]] = []
    if "TRACES" in signals:
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(tracers)
        closing.append(tracers.shutdown)
    if "METRICS" in signals:
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        metrics.set_meter_provider(meters)
        closing.append(meters.shutdown)
    log.info("telemetry is exported", signals=" and ".join(sorted(signals)).lower())
    return closing


def _told(kind: Any) -> Any:
    """The resource as the environment has it, without the name that the SDK gives by default."""
    told = kind.create()
    named = dict(told.attributes)
    if str(named.get("service.name", "")).startswith("unknown_service"):
        del named["service.name"]
    return kind(named)


def _close(closing: list[Callable[[], Any]]) -> None:
    threads = [threading.Thread(target=close, daemon=True) for close in closing]
    for thread in threads:
        thread.start()
    over = time.monotonic() + LAST_EXPORT
    for thread in threads:
        thread.join(max(0.0, over - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        log.warning("the last telemetry was not exported in time", seconds=LAST_EXPORT)
