"""A collector of OpenTelemetry: takes OTLP over HTTP, and keeps what it was sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What was sent so far.

    Attributes:
        url: What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
        services: Names of those who sent something.
        spans: In the order of arrival.
        metrics: The last point of each, by name and attributes.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.services: set[str] = set()
        self.spans: list[Any] = []
        self.metrics: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}

    def take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self._note(resource.resource)
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        elif path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self._note(resource.resource)
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        kind = metric.WhichOneof("data")
                        for point in getattr(metric, kind).data_points:
                            self.metrics[metric.name, attributes(point)] = point

    def _note(self, resource: Any) -> None:
        self.services |= {value for key, value in attributes(resource) if key == "service.name"}

    def sum(self, name: str) -> float:
        """A counter over all its attributes."""
        return sum(
            point.as_int or point.as_double
            for (known, _), point in self.metrics.items()
            if known == name
        )


def attributes(of: Any) -> tuple[tuple[str, str], ...]:
    """As text, by name."""
    return tuple(
        sorted(
            (pair.key, pair.value.string_value or str(pair.value.int_value))
            for pair in of.attributes
        )
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port, while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
