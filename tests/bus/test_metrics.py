"""Metrics: each thing is counted once, under the name that OpenTelemetry's conventions have."""

from typing import Any

import anyio
import pytest
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv._incubating.metrics import messaging_metrics

from bus import Bus, LockNotAcquired, QueueFull
from bus.telemetry.instruments import Instruments
from tests.bus.watched import Job, Watched, handle
from tests.conftest import RedisServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

SENT, CONSUMED = "messaging.client.sent.messages", "messaging.client.consumed.messages"
PROCESSED = "argentbus.processed.messages"
TO, OPERATION = "messaging.destination.name", "messaging.operation.name"


async def fails(delivery: Any) -> None:
    raise LookupError


async def succeeds(delivery: Any) -> None:
    pass


async def test_messages_are_counted_by_destination_and_outcome(
    two: list[Bus], watched: Watched
) -> None:
    here, there = two
    for name, count in (("left", 3), ("right", 2)):
        for n in range(count):
            await here.queue(name, Job).put(Job(n))
    for _ in range(3):
        await handle(there, "left", succeeds)
    await handle(there, "right", fails, max_deliveries=1)
    await handle(there, "right", fails)
    async with there.topic("news", Job).subscribe() as feed:
        await here.topic("news", Job).publish(Job(1))
        await anext(feed)
    async with there.queue("by-hand", Job).consume("workers") as deliveries:
        await here.queue("by-hand", Job).put(Job(1))
        await (await anext(deliveries)).ack()

    assert watched.counted(SENT, TO, OPERATION) == {
        ("left", "send"): 3,
        ("right", "send"): 2,
        ("news", "publish"): 1,
        ("by-hand", "send"): 1,
    }
    assert watched.counted(CONSUMED, TO, OPERATION) == {
        ("left", "process"): 3,
        ("right", "process"): 2,
        ("news", "receive"): 1,
        ("by-hand", "process"): 1,
    }
    assert watched.counted(PROCESSED, TO, "argentbus.outcome") == {
        ("left", "ack"): 3,
        ("right", "dead_letter"): 1,
        ("right", "retry"): 1,
    }
    assert watched.counted("messaging.process.duration", TO, "error.type") == {
        ("left", None): 3,
        ("right", "LookupError"): 2,
    }
    assert watched.counted("messaging.client.operation.duration", TO) == {
        "left": 3,
        "right": 2,
        "news": 1,
        "by-hand": 1,
    }
    assert watched.counted("argentbus.queue.retries", TO) == {"right": 1}
    assert watched.counted("argentbus.queue.dead_letters", TO) == {"right": 1}
    (point,) = watched.points("argentbus.queue.retries")
    assert point.attributes["messaging.consumer.group.name"] == "workers"
    durations = watched.points("messaging.process.duration")
    assert all(0 <= point.sum < 5 for point in durations)  # seconds


async def test_what_is_refused_or_dropped_is_counted(two: list[Bus], watched: Watched) -> None:
    here, there = two
    queue = here.queue("small", Job, max_length=1)
    await queue.put(Job(1))
    with pytest.raises(QueueFull):
        await queue.put(Job(2))
    assert watched.counted(SENT, "error.type") == {None: 1, "bus.errors.QueueFull": 1}

    await here.queue("garbage", Job).put_message(b"garbage")
    await here.queue("garbage", Job).put(Job(1))
    await handle(there, "garbage", succeeds)
    assert watched.counted("argentbus.queue.dead_letters", TO) == {"garbage": 1}

    topic = here.topic("news", Job)
    async with there.topic("news", Job).subscribe(buffer=2) as feed:
        for n in range(5):
            await topic.publish(Job(n))
        await eventually(lambda: feed.dropped == 3)
        assert [(await anext(feed)).body.n for _ in range(2)] == [3, 4]
    assert watched.counted("argentbus.topic.dropped", TO) == {"news": 3}
    assert watched.counted(CONSUMED, TO)["news"] == 2


async def test_inboxes_are_one_destination_however_many_agents(
    two: list[Bus], watched: Watched
) -> None:
    here, there = two
    async with here.join("editor", role="editor") as editor, there.join("ada") as ada:
        assert watched.counted("argentbus.agents.present", "argentbus.agent.role") == {
            "editor": 1,
            "": 1,
        }
        await editor.send("ada", Job(1))
        await editor.send("bob", Job(2))
        async with await anext(ada.inbox(Job)) as delivery:
            assert delivery.body == Job(1)
    by = ("messaging.destination.template", TO)
    assert watched.counted(SENT, *by) == {("inbox of {agent}", None): 2}
    assert watched.counted(CONSUMED, *by) == {("inbox of {agent}", None): 1}
    assert set(watched.counted("argentbus.agents.present", "argentbus.agent.role").values()) == {0}


async def test_what_a_dead_consumer_had_is_counted_by_who_takes_it_over(
    redis_server: Any, namespace: str, watched: Watched
) -> None:
    async with watched.connect(redis_server, namespace, ttl=0.3) as bus:
        queue = bus.queue("jobs", Job)
        for n in range(3):
            await queue.put(Job(n))
        # What a consumer that was killed leaves behind: pending entries, and no heartbeat.
        await bus.link.call("XGROUP", "CREATE", queue.base, "workers", "0")
        read = ("GROUP", "workers", "dead", "COUNT", 3, "STREAMS", queue.base, ">")
        await bus.link.call("XREADGROUP", *read, key=queue.base)
        handled = set()
        async with queue.consume("workers") as deliveries:
            with anyio.fail_after(20):
                while len(handled) < 3:
                    async with await anext(deliveries) as delivery:
                        handled.add(delivery.body.n)
    assert watched.counted("argentbus.queue.reclaimed", TO) == {"jobs": 3}
    assert "jobs" not in watched.counted("argentbus.queue.retries", TO)


async def test_waits_for_locks_are_measured(two: list[Bus], watched: Watched) -> None:
    here, there = two
    async with here.lock("build"):
        with pytest.raises(LockNotAcquired):
            async with there.lock("build", wait=0.2):
                raise AssertionError
    async with there.semaphore("gpu", permits=2):
        pass
    by = ("argentbus.lock.kind", "error.type")
    assert watched.counted("argentbus.lock.wait.duration", *by) == {
        ("lock", None): 1,
        ("lock", "bus.errors.LockNotAcquired"): 1,
        ("semaphore", None): 1,
    }
    (waited,) = [p for p in watched.points("argentbus.lock.wait.duration") if len(p.attributes) > 4]
    assert 0.2 <= waited.sum < 3


async def test_a_server_that_comes_back_is_counted_and_heartbeats_meanwhile_are_late(
    own_redis: RedisServer, namespace: str, watched: Watched
) -> None:
    async with watched.connect(own_redis, namespace, ttl=0.6) as bus, bus.join("scout"):
        assert watched.counted("argentbus.connection.reconnects") == {}
        own_redis.kill()
        await eventually(lambda: bool(watched.counted("argentbus.heartbeat.late")))
        own_redis.start()
        await bus.queue("jobs", Job).put(Job(1))
        assert watched.counted("argentbus.connection.reconnects") == {(): 1}
        assert watched.counted(SENT, TO) == {"jobs": 1}


async def test_a_process_that_stood_still_is_late(
    redis_server: Any, namespace: str, watched: Watched
) -> None:
    async with watched.connect(redis_server, namespace, ttl=0.3) as bus, bus.join("scout"):
        late = watched.counted("argentbus.heartbeat.late").get((), 0)
        before = anyio.current_time()
        while anyio.current_time() - before < 0.4:  # as a handler that blocks the loop does
            pass
        await eventually(lambda: watched.counted("argentbus.heartbeat.late").get((), 0) > late)


def test_names_are_those_of_the_conventions() -> None:
    names: list[str] = []

    class Meter:
        def __getattr__(self, kind: str) -> Any:
            return lambda name, *more, **options: names.append(name)

    Instruments(Meter())
    known = {value for name, value in vars(messaging_metrics).items() if name.isupper()}
    assert [n for n in names if n not in known and not n.startswith("argentbus.")] == []
    assert {SENT, CONSUMED, "messaging.process.duration"} <= known & set(names)
    known = {value for name, value in vars(messaging_attributes).items() if name.isupper()}
    used = {TO, OPERATION, "messaging.operation.type", "messaging.system", "messaging.message.id"}
    used |= {"messaging.consumer.group.name", "messaging.batch.message_count"}
    used |= {"messaging.destination.template", "messaging.destination.partition.id"}
    assert used <= known
