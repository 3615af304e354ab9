"""Spans that are under way: how they begin, end, and what of them enters into the metrics."""

from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from .instruments import Instruments
from .telemetry import Operation, Processing


class Told(Operation):
    """A span that is current while the context lasts."""

    __slots__ = ("_began", "_span", "_token")

    def __init__(self, span: Any) -> None:
        self._span = span

    def __enter__(self) -> Self:
        self._token = contexts.attach(trace.set_span_in_context(self._span))
        self._began = perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        contexts.detach(self._token)
        self._over(None if error is None else _fail(self._span, error))

    def _over(self, error_type: str | None) -> None:
        if self._span is not None:
            self._span.end()

    def message(self, message_id: str) -> None:
        self._span.set_attribute("messaging.message.id", message_id)

    def note(self, name: str, value: str | float | bool) -> None:
        self._span.set_attribute(name, value)

    def forget(self) -> None:
        # A span that never ends is never exported.
        self._span = None


class Apart(Told):
    """A span that is not current: what happens meanwhile is not a part of it."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over(None if error is None else _fail(self._span, error))


class Timed(Told):
    """A span whose duration enters into a histogram."""

    __slots__ = ("_histogram", "_measured")

    def __init__(self, histogram: Any, measured: dict[str, Any], span: Any) -> None:
        super().__init__(span)
        self._histogram = histogram
        self._measured = measured

    def _over(self, error_type: str | None) -> None:
        # Recorded first, while the span is there for the histogram's examples of it.
        self._histogram.record(perf_counter() - self._began, _failed(self._measured, error_type))
        self._span.end()


class Sending(Told):
    """A span of a client's operation on messages."""

    __slots__ = ("_count", "_figures", "_measured")

    def __init__(
        self, figures: Instruments, measured: dict[str, Any], span: Any, count: int
    ) -> None:
        super().__init__(span)
        self._figures = figures
        self._measured = measured
        self._count = count

    def _over(self, error_type: str | None) -> None:
        if self._span is None:
            return
        measured = _failed(self._measured, error_type)
        self._figures.operations.record(perf_counter() - self._began, measured)
        self._figures.sent.add(self._count, measured)
        self._span.end()


class Handling(Processing):
    """The span of a handler, for whichever contexts it is active in."""

    __slots__ = ("_began", "_figures", "_measured", "_span")

    def __init__(self, figures: Instruments, measured: dict[str, Any], span: Any) -> None:
        self._figures = figures
        self._measured = measured
        self._span = span
        self._began = perf_counter()

    def activate(self) -> Any:
        return contexts.attach(trace.set_span_in_context(self._span))

    def deactivate(self, token: Any) -> None:
        contexts.detach(token)

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        duration = perf_counter() - self._began
        error_type = None
        if error is not None:
            error_type = _fail(self._span, error)
            if isinstance(error, Exception):
                self._span.record_exception(error)
        elif outcome == "dead_letter":
            error_type = "rejected"
            self._span.set_attribute("error.type", error_type)
            self._span.set_status(StatusCode.ERROR, error_type)
        self._span.set_attribute("argentbus.outcome", outcome)
        self._span.end()
        self._figures.processing.record(duration, _failed(self._measured, error_type))
        self._figures.processed.add(1, {**self._measured, "argentbus.outcome": outcome})


def _fail(span: Any, error: BaseException) -> str:
    """Note on a span that it ends in an error; return the error's type."""
    if not isinstance(error, Exception):
        # Who was cancelled has not failed.
        span.set_attribute("error.type", "cancelled")
        return "cancelled"
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    name = f"{module}{kind.__qualname__}"
    span.set_attribute("error.type", name)
    span.set_status(StatusCode.ERROR, str(error))
    return name


def _failed(measured: dict[str, Any], error_type: str | None) -> Mapping[str, Any]:
    return measured if error_type is None else {**measured, "error.type": error_type}
