"""Spans: what sends and what handles are one trace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from bus import (
    Agent,
    Bus,
    LockNotAcquired,
    MessageTooLarge,
    RequestFailed,
    RequestTimeout,
    StaleVersion,
)
from tests.bus.watched import Job, Watched, handle, id_of, links, parent_of
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_message_is_handled_as_a_child_of_where_it_was_put(
    two: list[Bus], watched: Watched
) -> None:
    here, there = two
    with watched.tracer.start_as_current_span("review the pull request"):
        message_id = await here.queue("reviews", Job).put(Job(1))
    inside: list[Any] = []

    async def handler(delivery: Any) -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)
        await there.queue("follow-ups", Job).put(Job(2))

    await handle(there, "reviews", handler)
    assert not trace.get_current_span().get_span_context().is_valid

    asked, sent = watched.span("review the pull request"), watched.span("send reviews")
    handled, then = watched.span("process reviews"), watched.span("send follow-ups")
    chain = [asked, sent, handled, then]
    assert [parent_of(span) for span in chain] == [None, *map(id_of, chain[:-1])]
    assert len({span.context.trace_id for span in chain if span.context}) == 1
    assert (links(sent), links(handled)) == ([], [id_of(sent)])
    assert inside == [id_of(handled)]
    assert (sent.kind, handled.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    common = {
        "messaging.system": "argentbus",
        "messaging.destination.name": "reviews",
        "messaging.message.id": message_id,
        "argentbus.namespace": here.namespace,
        "server.address": "127.0.0.1",
        "server.port": here.link.address.endpoints[0].port,
    }
    assert sent.attributes == common | {
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    assert handled.attributes == common | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "workers",
        "argentbus.delivery.attempt": 1,
        "argentbus.outcome": "ack",
    }
    assert handled.status.status_code is StatusCode.UNSET


async def test_within_another_span_a_handler_is_linked_to_where_it_was_put(
    two: list[Bus], watched: Watched
) -> None:
    await two[0].queue("reviews", Job).put(Job(1))

    async def nothing(delivery: Any) -> None:
        assert delivery.trace is not None

    with watched.tracer.start_as_current_span("the night shift"):
        await handle(two[1], "reviews", nothing)
    handled = watched.span("process reviews")
    assert parent_of(handled) == id_of(watched.span("the night shift"))
    assert links(handled) == [id_of(watched.span("send reviews"))]


async def test_outcomes_and_errors_of_handlers_are_told(two: list[Bus], watched: Watched) -> None:
    here, there = two
    await here.queue("jobs", Job).put(Job(1))

    async def fails(delivery: Any) -> None:
        raise LookupError("no such page")

    async def nacks(delivery: Any) -> None:
        await delivery.nack(delay=0)

    async def rejects(delivery: Any) -> None:
        await delivery.reject("not for me")

    for handler in (fails, nacks, rejects):
        await handle(there, "jobs", handler)
    await here.queue("jobs", Job).put(Job(2))
    await handle(there, "jobs", fails, max_deliveries=1)

    spans = watched.spans("process jobs")
    told = [dict(span.attributes or {}) for span in spans]
    assert [facts["argentbus.outcome"] for facts in told] == [
        "retry",
        "nack",
        "dead_letter",
        "dead_letter",
    ]
    assert [facts["argentbus.delivery.attempt"] for facts in told] == [1, 2, 3, 1]
    assert [facts.get("error.type") for facts in told] == [
        "LookupError",
        None,
        "rejected",
        "LookupError",
    ]
    assert [span.status.status_code is StatusCode.ERROR for span in spans] == [
        True,
        False,
        True,
        True,
    ]
    (event,) = spans[0].events
    assert event.attributes is not None
    assert event.attributes["exception.message"] == "no such page"
    sent, *_ = watched.spans("send jobs")
    assert [parent_of(span) for span in spans[:3]] == [id_of(sent)] * 3


async def test_a_handler_that_is_cancelled_or_takes_too_long_ends_its_span(
    two: list[Bus], watched: Watched
) -> None:
    here, there = two
    queue = there.queue("jobs", Job)
    await here.queue("jobs", Job).put(Job(1))
    async with queue.consume("workers", handler_timeout=0.05) as deliveries:
        async with await anext(deliveries):
            await anyio.sleep_forever()
    async with queue.consume("workers") as deliveries:
        delivery = await anext(deliveries)
        with anyio.move_on_after(0.05):
            async with delivery:
                await anyio.sleep_forever()
        assert not trace.get_current_span().get_span_context().is_valid
    late, cancelled = watched.spans("process jobs")
    assert late.attributes is not None
    assert cancelled.attributes is not None
    assert (late.attributes["argentbus.outcome"], late.status.description) == (
        "retry",
        "not handled within 0.05 s",
    )
    assert late.attributes["error.type"] == "TimeoutError"
    assert cancelled.attributes["argentbus.outcome"] == "returned"
    assert cancelled.status.status_code is StatusCode.UNSET


@asynccontextmanager
async def answering(bus: Bus) -> AsyncIterator[None]:
    async def serve(agent: Agent) -> None:
        async for delivery in agent.inbox(Job):
            async with delivery:
                if delivery.body.n < 0:
                    raise ValueError("below zero")
                await delivery.reply(delivery.body.n * 2)

    async with bus.join("ada", role="reviewer") as agent, anyio.create_task_group() as tasks:
        tasks.start_soon(serve, agent)
        yield
        tasks.cancel_scope.cancel()


async def test_a_request_is_a_call_to_the_one_who_handles_it(
    two: list[Bus], watched: Watched
) -> None:
    here, there = two
    async with here.join("editor") as editor, answering(there):
        assert await editor.request("ada", Job(2), int, timeout=5) == 4
        await eventually(lambda: len(watched.spans("process inbox of {agent}")) == 1)
        with pytest.raises(RequestFailed):
            await editor.request("ada", Job(-1), int, timeout=5)
        await eventually(lambda: len(watched.spans("process inbox of {agent}")) == 2)
        answers = await editor.gather(Job(3), int, role="reviewer", timeout=5)
        assert answers.replies == {"ada": 6}
        await eventually(lambda: len(watched.spans("process inbox of {agent}")) == 3)
        with pytest.raises(RequestTimeout):
            await editor.request("nobody", Job(1), int, timeout=0.05)
    *asked, unheard = watched.spans("request inbox of {agent}")
    handled = watched.spans("process inbox of {agent}")
    assert {span.kind for span in (*asked, unheard)} == {SpanKind.CLIENT}
    assert {span.kind for span in handled} == {SpanKind.SERVER}
    assert [parent_of(span) for span in handled] == [id_of(span) for span in asked]
    facts = [dict(span.attributes or {}) for span in (*asked, unheard)]
    assert [fact.get("error.type") for fact in facts] == [
        None,
        "bus.errors.RequestFailed",
        None,
        "bus.errors.RequestTimeout",
    ]
    assert facts[0]["messaging.destination.name"] == "inbox of ada"
    outcomes = [(span.attributes or {})["argentbus.outcome"] for span in handled]
    assert outcomes == ["ack", "failed", "ack"]


async def test_what_is_published_is_received_in_its_trace(two: list[Bus], watched: Watched) -> None:
    here, there = two
    async with there.topics("news.*", Job).subscribe() as feed:
        with watched.tracer.start_as_current_span("go to press"):
            await here.topic("news.today", Job).publish(Job(1))
        with anyio.fail_after(5):
            event = await anext(feed)
    published, received = watched.span("publish news.today"), watched.span("receive news.today")
    assert (published.kind, received.kind) == (SpanKind.PRODUCER, SpanKind.CLIENT)
    assert parent_of(received) == id_of(published)
    assert links(received) == [id_of(published)]
    assert received.attributes is not None
    assert received.attributes["messaging.message.id"] == event.id
    assert event.trace is not None
    assert event.trace.split("-")[2] == f"{id_of(published):016x}"


async def test_a_message_of_a_schedule_begins_a_trace_that_is_linked_to_its_maker(
    two: list[Bus], watched: Watched
) -> None:
    here, there = two
    queue = here.queue("hourly", Job)
    with watched.tracer.start_as_current_span("set it up") as made:
        await queue.schedule("each-second", "* * * * * *", Job(1))

    async def nothing(delivery: Any) -> None:
        await there.queue("hourly", Job).unschedule("each-second")

    with watched.tracer.start_as_current_span("work"):
        await handle(there, "hourly", nothing)
    sent, handled = watched.spans("send hourly")[0], watched.span("process hourly")
    assert parent_of(sent) is None
    assert links(sent) == [made.get_span_context().span_id]
    assert links(handled) == [id_of(sent)]


async def test_locks_maps_and_logs_are_told_of(two: list[Bus], watched: Watched) -> None:
    here, there = two
    async with here.lock("build") as lease:
        with pytest.raises(LockNotAcquired):
            async with there.lock("build", wait=0):
                raise AssertionError
        with watched.tracer.start_as_current_span("under it"):
            pass
    had, refused = watched.spans("wait for lock")[0], watched.spans("wait for lock")[1]
    held = watched.span("hold lock")
    assert [(span.attributes or {}).get("error.type") for span in (had, refused)] == [
        None,
        "bus.errors.LockNotAcquired",
    ]
    assert held.attributes is not None
    assert held.attributes["argentbus.lock.fence"] == lease.fence
    # A lock may be held for ever: what is done meanwhile is not a part of it.
    assert parent_of(watched.span("under it")) is None

    plan = here.map("plan", int)
    await plan.put("step", 1)
    with pytest.raises(StaleVersion):
        await plan.delete("step", if_version=7)
    assert watched.span("put plan").status.status_code is StatusCode.UNSET
    assert (watched.span("delete plan").attributes or {})["error.type"] == "bus.errors.StaleVersion"

    await here.log("writes").append(Job(1))
    (entry,) = await there.log("writes").read()
    assert entry.envelope is not None
    assert entry.envelope.trace is not None
    assert entry.envelope.trace.split("-")[2] == f"{id_of(watched.span('append writes')):016x}"


async def test_what_cannot_be_put_is_an_error(two: list[Bus], watched: Watched) -> None:
    async with Bus.connect(
        str(two[0].link.address), most_message_bytes=100, telemetry=watched.telemetry
    ) as bus:
        with pytest.raises(MessageTooLarge):
            await bus.queue("jobs", str).put("x" * 200)
    sent = watched.span("send jobs")
    assert sent.status.status_code is StatusCode.ERROR
    assert (sent.attributes or {})["error.type"] == "bus.errors.MessageTooLarge"
