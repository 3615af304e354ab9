"""OpenTelemetry's own SDK, keeping in memory what it is told; and messages for it to see."""

from collections import Counter
from typing import Any

import anyio
import msgspec
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bus import Bus
from bus.telemetry import Telemetry, recording


class Job(msgspec.Struct):
    n: int


class Watched:
    """Providers, what tells them, and what they were told.

    Attributes:
        telemetry: For `Bus.connect`.
        tracer: For spans of the test's own.
    """

    def __init__(self, **options: Any) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        tracers = TracerProvider(**options)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider(metric_readers=[self._metrics])
        self.telemetry: Telemetry = recording(tracers, meters)
        self.tracer = tracers.get_tracer("the test")
        self.close = meters.shutdown

    def connect(self, server: Any, namespace: str, **options: Any) -> Any:
        """A bus that is watched."""
        options = {"ttl": 1.0, "patience": 10.0, **options}
        return Bus.connect(server.url, namespace=namespace, telemetry=self.telemetry, **options)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Those that ended, in that order; of one name, if asked."""
        return [s for s in self._spans.get_finished_spans() if name in ("", s.name)]

    def span(self, name: str) -> ReadableSpan:
        """The only one of its name."""
        (span,) = self.spans(name)
        return span

    def points(self, name: str) -> list[Any]:
        """The data points of one metric."""
        data = self._metrics.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def counted(self, name: str, *by: str) -> dict[Any, float]:
        """The sum of a counter (or how often a histogram was told), by some of its attributes."""
        sums: Counter[Any] = Counter()
        for point in self.points(name):
            values = tuple(point.attributes.get(attribute) for attribute in by)
            key = values[0] if len(values) == 1 else values
            sums[key] += point.count if hasattr(point, "count") else point.value
        return dict(sums)


def links(span: ReadableSpan) -> list[int]:
    """Ids of the spans that it is linked to."""
    return [link.context.span_id for link in span.links]


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


async def handle(bus: Bus, name: str, handler: Any, **rules: Any) -> None:
    """Take one delivery of a queue through `handler`."""
    async with bus.queue(name, Job, **rules).consume("workers") as deliveries:
        with anyio.fail_after(10):
            delivery = await anext(deliveries)
            async with delivery:
                await handler(delivery)
