"""Telling OpenTelemetry: spans and metrics, named as its conventions for messaging have it.

https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ (as of 2026, in development).
What they leave to an instrumentation: the span of a single message that is processed or received is
a child of the span that sent it, and linked to it; where another span is current, it is a child of
that one, and linked only.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import context as contexts
from opentelemetry import metrics, trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from bus.messages.envelope import Envelope

from . import traceparent
from .instruments import SECONDS, Instruments
from .operations import Apart, Handling, Sending, Timed, Told
from .telemetry import SILENT, Destination, Operation, Processing, Telemetry

if TYPE_CHECKING:
    from bus.servers.address import Address

#: Name of what instruments, and of the messaging system.
NAME: Final = "argentbus"

#: Links of one span; what the SDK takes by default.
MOST_LINKS: Final = 128


class _Facts(NamedTuple):
    """What is said of every operation of one kind on one destination."""

    span: str
    attributes: dict[str, Any]
    measured: dict[str, Any]


class Recorder(Telemetry):
    """Tells a tracer and a meter.

    Args:
        common: Attributes of everything it tells.
    """

    tells = True

    def __init__(self, tracer: Any, meter: Any, figures: Instruments, common: Any = None) -> None:
        self._tracer = tracer
        self._meter = meter
        self._figures = figures
        self._common: dict[str, Any] = common or {}
        self._facts = lru_cache(maxsize=1024)(self._make_facts)

    @classmethod
    def of(cls, tracer_provider: Any = None, meter_provider: Any = None) -> "Recorder":
        """Tell these providers, by default the process's own."""
        tracer = (tracer_provider or trace.get_tracer_provider()).get_tracer(NAME)
        meter = (meter_provider or metrics.get_meter_provider()).get_meter(NAME)
        return cls(tracer, meter, Instruments(meter))

    def at(self, namespace: str, address: "Address") -> Telemetry:
        common: dict[str, Any] = {"argentbus.namespace": namespace}
        if address.kind == "server":  # else it is one of several, now this one and now that
            host, port, path = address.endpoints[0]
            common |= {"server.address": path} if path else {}
            common |= {} if path else {"server.address": host, "server.port": port}
        return Recorder(self._tracer, self._meter, self._figures, common)

    def traceparent(self) -> str | None:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        return traceparent.write(context.trace_id, context.span_id, context.trace_flags)

    # messages

    def sending(
        self, to: Destination, operation: str = "send", *, link: str | None = None
    ) -> Operation:
        facts = self._facts(to, operation, "send")
        apart = None if link is None else contexts.Context()
        span = self._start(facts, SpanKind.PRODUCER, apart, self._links([link]))
        return Sending(self._figures, facts.measured, span, 1)

    def requesting(self, to: Destination, count: int = 1) -> Operation:
        facts = self._facts(to, "request", "send")
        span = self._start(facts, SpanKind.CLIENT)
        if count > 1:
            span.set_attribute("messaging.batch.message_count", count)
        return Sending(self._figures, facts.measured, span, count)

    def consumed(self, source: Destination, group: str) -> None:
        self._figures.consumed.add(1, self._facts(source, "process", "process", group).measured)

    def processing(
        self, source: Destination, group: str, envelope: Envelope, attempt: int
    ) -> Processing:
        facts = self._facts(source, "process", "process", group)
        self._figures.consumed.add(1, facts.measured)
        # Whoever asked waits for it: to it this is a call.
        kind = SpanKind.CONSUMER if envelope.reply_to is None else SpanKind.SERVER
        parent, links = self._origin(envelope.trace)
        span = self._start(facts, kind, parent, links)
        if span.is_recording():
            span.set_attribute("messaging.message.id", envelope.id)
            span.set_attribute("argentbus.delivery.attempt", attempt)
        return Handling(self._figures, facts.measured, span)

    def received(self, source: Destination, message_id: str, origin: str | None) -> None:
        facts = self._facts(source, "receive", "receive")
        self._figures.consumed.add(1, facts.measured)
        parent, links = self._origin(origin)
        span = self._start(facts, SpanKind.CLIENT, parent, links)
        span.set_attribute("messaging.message.id", message_id)
        span.end()

    def applying(self, source: Destination, traces: Iterable[str | None], count: int) -> Operation:
        facts = self._facts(source, "apply", "process")
        self._figures.consumed.add(count, facts.measured)
        span = self._start(facts, SpanKind.CONSUMER, contexts.Context(), self._links(traces))
        span.set_attribute("messaging.batch.message_count", count)
        return Timed(self._figures.processing, facts.measured, span)

    # what becomes of messages

    def retried(self, source: Destination, group: str) -> None:
        self._figures.retries.add(1, self._facts(source, "nack", "settle", group).measured)

    def buried(self, source: Destination, group: str) -> None:
        self._figures.dead.add(1, self._facts(source, "reject", "settle", group).measured)

    def reclaimed(self, source: Destination, group: str, count: int) -> None:
        measured = self._facts(source, "process", "process", group).measured
        self._figures.reclaimed.add(count, measured)

    def dropped(self, source: Destination) -> None:
        self._figures.dropped.add(1, self._facts(source, "receive", "receive").measured)

    # locks, maps

    def waiting(self, noun: str, name: str) -> Operation:
        measured = {"argentbus.lock.kind": noun, **self._common}
        attributes = {**measured, "argentbus.lock.name": name}
        span = self._tracer.start_span(
            f"wait for {noun}", kind=SpanKind.CLIENT, attributes=attributes
        )
        return Timed(self._figures.lock_wait, measured, span)

    def holding(self, noun: str, name: str, fence: int) -> Operation:
        attributes = {
            "argentbus.lock.kind": noun,
            "argentbus.lock.name": name,
            "argentbus.lock.fence": fence,
            **self._common,
        }
        return Apart(self._tracer.start_span(f"hold {noun}", attributes=attributes))

    def writing(self, operation: str, name: str) -> Operation:
        return Told(
            self._tracer.start_span(
                f"{operation} {name}",
                kind=SpanKind.CLIENT,
                attributes={"argentbus.map.name": name, **self._common},
            )
        )

    # the process and its connections

    def reconnected(self) -> None:
        self._figures.reconnects.add(1, self._common)

    def late(self) -> None:
        self._figures.late.add(1, self._common)

    def joined(self, role: str | None) -> None:
        self._figures.agents.add(1, {"argentbus.agent.role": role or "", **self._common})

    def left(self, role: str | None) -> None:
        self._figures.agents.add(-1, {"argentbus.agent.role": role or "", **self._common})

    # figures of packages above

    def counter(self, name: str, unit: str, description: str) -> Any:
        return self._meter.create_counter(name, unit, description)

    def gauge(self, name: str, unit: str, description: str) -> Any:
        return self._meter.create_gauge(name, unit, description)

    def histogram(
        self, name: str, unit: str, description: str, bounds: tuple[float, ...] | None = None
    ) -> Any:
        return self._meter.create_histogram(
            name, unit, description, explicit_bucket_boundaries_advisory=bounds or SECONDS
        )

    # how it is put

    def _make_facts(
        self, destination: Destination, operation: str, type: str, group: str | None = None
    ) -> _Facts:
        attributes = {
            "messaging.system": NAME,
            "messaging.operation.name": operation,
            "messaging.operation.type": type,
            **self._common,
        }
        if group is not None:
            attributes["messaging.consumer.group.name"] = group
        measured = dict(attributes)
        attributes["messaging.destination.name"] = destination.name
        if destination.template is None:
            measured["messaging.destination.name"] = destination.name
        else:
            for one in (attributes, measured):
                one["messaging.destination.template"] = destination.template
        return _Facts(
            f"{operation} {destination.template or destination.name}", attributes, measured
        )

    def _start(
        self, facts: _Facts, kind: SpanKind, parent: Any = None, links: Iterable[Any] = ()
    ) -> Any:
        return self._tracer.start_span(
            facts.span, parent, kind=kind, attributes=facts.attributes, links=tuple(links)
        )

    def _origin(self, text: str | None) -> tuple[Any, list[Any]]:
        """The parent and the links of what is made of a message."""
        origin = _remote(text)
        if origin is None:
            return None, []
        links = [Link(origin)]
        if trace.get_current_span().get_span_context().is_valid:
            return None, links
        return trace.set_span_in_context(NonRecordingSpan(origin)), links

    def _links(self, texts: Iterable[str | None]) -> list[Any]:
        links: dict[str, Any] = {}
        for text in texts:
            if text is not None and text not in links and len(links) < MOST_LINKS:
                origin = _remote(text)
                if origin is not None:
                    links[text] = Link(origin)
        return list(links.values())


def installed() -> Telemetry:
    """What tells the process's own providers, if one is set up."""
    tracer, meter = trace.get_tracer_provider(), metrics.get_meter_provider()
    silent = (trace.ProxyTracerProvider, trace.NoOpTracerProvider)
    if isinstance(tracer, silent) and _is_silent(meter):
        return SILENT
    return Recorder.of(tracer, meter)


def _is_silent(meter_provider: Any) -> bool:
    # What stands in for one that is not set up has no public name.
    proxy = type(meter_provider).__name__ == "_ProxyMeterProvider"
    return proxy or isinstance(meter_provider, metrics.NoOpMeterProvider)


def _remote(text: str | None) -> Any:
    """The context of the span that a sender names, or None."""
    parent = traceparent.read(text)
    if parent is None:
        return None
    return SpanContext(
        parent.trace_id, parent.span_id, is_remote=True, trace_flags=TraceFlags(parent.flags)
    )
