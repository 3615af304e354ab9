"""Structured logs: constant words, facts beside them, one line whatever is in them."""

import ast
import json
import logging
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider

from bus import Bus, BusUnavailable
from bus.telemetry.formats import JsonFormatter, TextFormatter
from bus.telemetry.journal import Event, Journal
from tests.bus.watched import Job
from tests.shell import ROOT

log = Journal("argentbus.test")


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "argentbus"):
        yield


def as_json(record: logging.LogRecord) -> Any:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_an_event_is_a_line_of_words_and_facts(caplog: pytest.LogCaptureFixture) -> None:
    error = BusUnavailable("cannot reach it,\nin two lines")
    log.warning("a put failed", queue="reviews", attempt=2, id=None, took=0.5, error=error, b=b"x")
    (record,) = caplog.records
    assert record.getMessage() == (
        "a put failed: queue=reviews attempt=2 id=- took=0.5 error_type=BusUnavailable "
        'error="cannot reach it,\\nin two lines" b="b\'x\'"'
    )
    line = TextFormatter().format(record)
    assert line.endswith(f"WARNING argentbus.test: {record.getMessage()}")
    assert isinstance(record.msg, Event)
    assert record.msg.words == "a put failed"


def test_an_event_is_an_object_of_json(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise LookupError("no such page")
    except LookupError as error:
        log.error(
            "a handler failed", error=error, odd=math.inf, key="Käse \ud800\x00", exc_info=error
        )
    (record,) = caplog.records
    said = as_json(record)
    time = datetime.fromisoformat(said.pop("time"))
    assert time.tzinfo == UTC
    assert abs(time.timestamp() - record.created) < 0.002
    traceback = said["exception"].pop("traceback")
    assert traceback.startswith("Traceback")
    assert said == {
        "level": "error",
        "logger": "argentbus.test",
        "message": "a handler failed",
        "fields": {
            "error_type": "LookupError",
            "error": "no such page",
            "odd": "inf",
            "key": "Käse \ud800\x00",
        },
        "exception": {"type": "LookupError", "message": "no such page"},
    }


def test_what_others_log_is_json_too(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("argentbus.other").info("plain %s with %d\nlines", "words", 2)
    (record,) = caplog.records
    said = as_json(record)
    assert said["message"] == "plain words with 2\nlines"
    assert set(said) == {"time", "level", "logger", "message"}


def test_a_record_within_a_span_names_it(caplog: pytest.LogCaptureFixture) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        log.info("within")
        context = span.get_span_context()
        said = as_json(caplog.records[-1])
    assert said["trace_id"] == f"{context.trace_id:032x}"
    assert said["span_id"] == f"{context.span_id:016x}"
    assert "trace_id" not in as_json(caplog.records[-1])


def test_facts_of_strangers_are_cut_and_cost_nothing_where_nobody_looks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Dear:
        def __str__(self) -> str:
            raise AssertionError("looked at")

    log.warning("long", sender="x" * 100_000)
    assert len(caplog.records[-1].getMessage()) < 2100
    caplog.set_level(logging.WARNING, "argentbus")
    log.debug("not told", dear=Dear())
    assert len(caplog.records) == 1


@pytest.mark.anyio
async def test_a_failure_of_a_handler_says_which_and_in_which_trace(
    two: list[Bus], caplog: pytest.LogCaptureFixture
) -> None:
    here, there = two
    message_id = await here.queue("jobs", Job, sender="ada").put(Job(1))
    lines: list[Any] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(as_json(record))

    handler = Lines(logging.WARNING)
    logging.getLogger("argentbus").addHandler(handler)
    try:
        async with there.queue("jobs", Job).consume("workers") as deliveries:
            with anyio.fail_after(10):
                async with await anext(deliveries) as delivery:
                    trace = delivery.trace or ""
                    raise LookupError("no such page")
    finally:
        logging.getLogger("argentbus").removeHandler(handler)
    (line,) = lines
    assert line["message"] == "a handler failed"
    assert line["fields"] == {
        "queue": "jobs",
        "type": "Job",
        "delivery": message_id,
        "sender": "ada",
        "attempt": 1,
        "error_type": "LookupError",
        "error": "no such page",
    }
    assert line["trace_id"] == trace.split("-")[1]
    assert line["exception"]["type"] == "LookupError"


def calls(file: Path) -> Iterator[ast.Call]:
    """What a module logs."""
    for node in ast.walk(ast.parse(file.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"debug", "info", "warning", "error", "critical", "exception"}
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "log"
        ):
            yield node


def test_every_call_has_constant_words_and_facts_by_name() -> None:
    found = 0
    for package in ("bus", "storage", "presence", "argentbus"):
        for file in (ROOT / package).rglob("*.py"):
            for call in calls(file):
                found += 1
                where = f"{file.relative_to(ROOT)}:{call.lineno}"
                words = call.args[0]
                assert len(call.args) == 1, f"{where}: give facts by name, not in a format"
                assert isinstance(words, ast.Constant), f"{where}: the words should be constant"
                assert "%" not in str(words.value), f"{where}: facts do not go into the words"
            if file.name not in {"journal.py", "formats.py", "connector.py", "logs.py"}:
                text = file.read_text()
                assert "getLogger" not in text or "bench" in file.parts, f"{file}: use a Journal"
    assert found > 70
