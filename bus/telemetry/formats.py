"""How log records are written: as text for people, as JSON for what gathers them."""

import json
import logging
import math
import sys
from datetime import UTC, datetime
from typing import Any, Final

from .journal import Event

TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class TextFormatter(logging.Formatter):
    """One line a record, and the traceback below it."""

    def __init__(self) -> None:
        super().__init__(TEXT)


class JsonFormatter(logging.Formatter):
    """One JSON object a line (ASCII), whatever is in the record.

    `time` (RFC 3339, UTC), `level`, `logger`, `message`; where there are any, `fields` (the facts
    of an event), `trace_id` and `span_id` (of the OpenTelemetry span that is current), `exception`
    (`type`, `message`, `traceback`).
    """

    def format(self, record: logging.LogRecord) -> str:
        event = record.msg if isinstance(record.msg, Event) else None
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": event.words if event else record.getMessage(),
        }
        if event and event.facts:
            line["fields"] = {name: _plain(fact) for name, fact in event.facts.items()}
        line |= _span()
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = {
                "type": record.exc_info[0].__name__,
                "message": str(record.exc_info[1]),
                "traceback": self.formatException(record.exc_info),
            }
        return json.dumps(line)


def _plain(fact: Any) -> Any:
    # JSON has no such numbers.
    return str(fact) if isinstance(fact, float) and not math.isfinite(fact) else fact


def _span() -> dict[str, str]:
    """The ids of the span that is current, if there is one."""
    api = sys.modules.get("opentelemetry.trace")  # else there can be none
    context = api.get_current_span().get_span_context() if api else None
    if context is None or not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
