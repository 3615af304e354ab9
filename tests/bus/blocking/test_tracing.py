"""Spans of threads: whatever a thread does is in the trace that it is in."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from bus import RequestFailed
from bus.blocking import Bus
from tests.bus.blocking.waiting import eventually
from tests.bus.watched import Job, Watched, id_of, links, parent_of


@pytest.fixture
def bus(redis_server: Any, namespace: str, watched: Watched) -> Iterator[Bus]:
    with Bus.connect(
        redis_server.url, namespace=namespace, ttl=1.0, telemetry=watched.telemetry
    ) as bus:
        yield bus


def current() -> int:
    return trace.get_current_span().get_span_context().span_id


def test_a_thread_handles_in_the_trace_in_which_another_one_put(bus: Bus, watched: Watched) -> None:
    jobs = bus.queue("jobs", Job)

    def put() -> None:
        with watched.tracer.start_as_current_span("in a thread"):
            jobs.put(Job(1))

    thread = threading.Thread(target=put)
    thread.start()
    thread.join()
    with jobs.consume("workers") as deliveries:
        with next(deliveries):
            inside = current()
            bus.queue("more", Job).put(Job(2))
        assert current() == 0
        jobs.put(Job(3))
        with next(deliveries):
            raise LookupError
    eventually(lambda: len(watched.spans("process jobs")) == 2)
    first, second = watched.spans("process jobs")
    sent = watched.spans("send jobs")
    assert parent_of(sent[0]) == id_of(watched.span("in a thread"))
    assert [parent_of(first), parent_of(second)] == [id_of(span) for span in sent]
    assert inside == id_of(first) == parent_of(watched.span("send more"))
    assert (first.attributes or {})["argentbus.outcome"] == "ack"
    assert (second.attributes or {})["argentbus.outcome"] == "retry"
    assert (second.attributes or {})["error.type"] == "LookupError"
    assert watched.counted("argentbus.processed.messages", "argentbus.outcome") == {
        "ack": 1,
        "retry": 1,
    }


def test_a_request_of_a_thread_is_a_call_to_another(bus: Bus, watched: Watched) -> None:
    seen: list[int] = []

    def serve(ada: Any) -> None:
        for delivery in ada.inbox(Job):
            with delivery:
                seen.append(current())
                if delivery.body.n < 0:
                    raise ValueError("below zero")
                delivery.reply(delivery.body.n * 2)

    with bus.join("ada") as ada, bus.join("editor") as editor:
        thread = threading.Thread(target=serve, args=(ada,))
        thread.start()
        assert editor.request("ada", Job(2), int, timeout=5) == 4
        with pytest.raises(RequestFailed):
            editor.request("ada", Job(-2), int, timeout=5)
        eventually(lambda: len(watched.spans("process inbox of {agent}")) == 2)
    thread.join(10)
    asked = watched.spans("request inbox of {agent}")
    handled = watched.spans("process inbox of {agent}")
    assert [parent_of(span) for span in handled] == [id_of(span) for span in asked]
    assert {span.kind for span in asked} == {SpanKind.CLIENT}
    assert {span.kind for span in handled} == {SpanKind.SERVER}
    assert seen == [id_of(span) for span in handled]
    assert [(span.attributes or {})["argentbus.outcome"] for span in handled] == ["ack", "failed"]


def test_topics_and_logs_carry_the_span_of_the_thread(bus: Bus, watched: Watched) -> None:
    with bus.topic("news", Job).subscribe() as feed:
        bus.topic("news", Job).publish(Job(1))
        event = feed.receive(5)
    published, received = watched.span("publish news"), watched.span("receive news")
    assert (parent_of(received), links(received)) == (id_of(published), [id_of(published)])
    assert event.trace is not None
    bus.log("writes").append(Job(1))
    (entry,) = bus.log("writes").read()
    assert entry.envelope is not None
    assert entry.envelope.trace is not None
    assert f"{id_of(watched.span('append writes')):016x}" in entry.envelope.trace
