"""Puts from threads: with all that a put may ask for, straight to Redis, whoever is interrupted."""

import datetime as dt
import functools
import gc
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from bus import (
    FSYNCED,
    InvalidName,
    MessageTooLarge,
    NotDurable,
    QueueFull,
    Signing,
    replicated,
)
from bus.blocking import Bus, appender
from bus.messages.envelope import unwrap
from bus.queues.appender import REMEMBER, Batch, append_form
from tests.bus.blocking.test_outage import numbers
from tests.bus.blocking.waiting import eventually


def forbid_the_portal(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        pytest.fail("it went through the portal")

    monkeypatch.setattr(bus.portal, "begin", refuse)


def test_puts_go_straight_to_redis_whatever_they_ask_for(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = bus.queue("jobs", int, ordered=True, max_length=100)
    queue.put(0)  # announces the queue, by the portal
    with monkeypatch.context() as patch:
        forbid_the_portal(bus, patch)
        queue.put(1)
        queue.put(2, key="a")
        queue.put(3, key="a", dedupe="it", delay=60)
        bus.topic("news", int).publish(1)
        bus.log("events").append(1)
    statistics = queue.statistics()
    assert (statistics.length, statistics.delayed) == (3, 1)


def test_one_key_is_handled_in_order(either: Bus) -> None:
    queue = either.queue("jobs", int, ordered=True)
    for n in range(6):
        queue.put(n, key=f"k{n % 2}")
    with queue.consume("workers") as deliveries:
        heads = [deliveries.receive(timeout=5) for _ in range(2)]
        assert [delivery.body for delivery in heads] == [0, 1]
        with pytest.raises(TimeoutError):  # those behind them wait
            deliveries.receive(timeout=0.1)
        heads[1].ack()
        with deliveries.receive(timeout=5) as delivery:
            assert delivery.body == 3
        with deliveries.receive(timeout=5) as delivery:
            assert delivery.body == 5
        heads[0].ack()
        for n in (2, 4):
            with deliveries.receive(timeout=5) as delivery:
                assert delivery.body == n
    with pytest.raises(ValueError, match="keeps no order"):
        either.queue("plain", int).put(1, key="a")
    with pytest.raises(InvalidName):
        queue.put(1, key="{}")


def test_a_put_says_when_it_is_due(either: Bus) -> None:
    queue = either.queue("jobs", int)
    now = dt.datetime.now(dt.UTC)
    queue.put(1, at=now + dt.timedelta(seconds=0.3))
    queue.put(2, at=now - dt.timedelta(hours=1))
    with queue.consume("workers") as deliveries:
        for n in (2, 1):
            with deliveries.receive(timeout=5) as delivery:
                assert delivery.body == n
    assert dt.datetime.now(dt.UTC) >= now + dt.timedelta(seconds=0.3)
    with pytest.raises(ValueError, match="time zone"):
        queue.put(1, at=dt.datetime(2040, 1, 1))  # noqa: DTZ001 (what is refused)
    with pytest.raises(ValueError, match="due once"):
        queue.put(1, at=now, delay=1)


def test_a_bounded_queue_refuses_or_waits_and_keeps_its_bound(either: Bus) -> None:
    refusing = either.queue("jobs", int, max_length=2)
    waiting = either.queue("jobs", int, max_length=2, when_full="wait")
    for n in range(2):
        refusing.put(n)
    with pytest.raises(QueueFull, match="max_length=2"):
        refusing.put(2)
    with pytest.raises(QueueFull):
        refusing.put(2, dedupe="two")
    with ThreadPoolExecutor(4) as pool:
        puts = [pool.submit(waiting.put, n) for n in range(2, 6)]
        with waiting.consume("workers") as deliveries:
            seen = []
            for _ in range(6):
                assert waiting.statistics().length <= 2
                with deliveries.receive(timeout=10) as delivery:
                    seen.append(delivery.body)
        assert sorted(seen) == list(range(6))
        assert len({put.result(10) for put in puts}) == 4
    with pytest.raises(MessageTooLarge, match="never fits"):
        either.queue("small", str, max_bytes=200).put("x" * 300)
    assert either.queue("small", str).statistics().length == 0


def test_a_durability_is_waited_for(either: Bus) -> None:
    queue = either.queue("jobs", int)
    assert queue.put(1, durability=FSYNCED)
    with pytest.raises(NotDurable, match="0 of 1 replicas") as caught:
        queue.put(2, durability=replicated(1, timeout=0.2))
    assert caught.value.replicas == 0
    assert numbers(either, queue.base) == [1, 2]


def test_what_is_sent_is_signed(redis_server: Any, namespace: str) -> None:
    signing = Signing({"scout": b"s" * 32}, required=True)
    with Bus.connect(redis_server.url, namespace=namespace, signing=signing) as bus:
        queue, topic = bus.queue("jobs", int, sender="scout"), bus.topic("n", int, sender="scout")
        with queue.consume("workers") as deliveries, topic.subscribe() as feed:
            queue.put(1)
            topic.publish(2)
            bus.log("events").append(3, sender="scout")
            with deliveries.receive(timeout=5) as delivery:
                assert delivery.body == 1
            assert feed.receive(timeout=5).body == 2
            [entry] = bus.log("events").read()
            assert entry.envelope is not None
            assert entry.envelope.signature is not None
            with Bus.connect(redis_server.url, namespace=namespace) as unsigned:
                unsigned.queue("jobs", int, sender="scout").put(4)
            with pytest.raises(TimeoutError):  # it is refused when it is to be handed out
                deliveries.receive(timeout=0.3)
            eventually(lambda: len(queue.dead_letters()) == 1)
        assert "not signed" in queue.dead_letters()[0].reason


@pytest.mark.parametrize("first", ["put", "append"])
def test_a_producer_may_put_and_append_on_one_stream(bus: Bus, first: str) -> None:
    """A repeated call does nothing, whichever of the two scripts came before it."""
    queue = bus.queue("jobs", int)
    stream = queue.base
    forms = {"put": queue.over._inlet.admission.plain, "append": append_form(stream, None)}
    second = "append" if first == "put" else "put"

    def run(what: str, number: int, *bodies: int) -> Any:
        batch = Batch(forms[what])
        for body in bodies:
            batch.add(1, (bus.over.wrap(stream, body, sender="it")[1],))
        keys, args = batch.call(f"{stream}:producer:it", number)
        return bus.portal.call(bus.over.link.run, batch.form.script, keys, args)

    for what, number, bodies in ((first, 1, (1, 2)), (second, 3, (3,)), (first, 4, (4, 5))):
        run(what, number, *bodies)
        run(what, number, *bodies)  # its reply was lost
    assert numbers(bus, stream) == [1, 2, 3, 4, 5]
    assert bus.portal.call(bus.over.link.call, "TTL", f"{stream}:producer:it") > REMEMBER - 100


def has_ended(connection: Any) -> bool:
    try:
        return bool(connection.can_read(0.01))
    except redis.ConnectionError:
        return True


def test_an_idle_connection_that_was_closed_is_not_used(bus: Bus, other: Bus) -> None:
    """A publish is sent once: on a dead connection it would be given up."""
    topic, log = bus.topic("news", int), bus.log("events")
    together = threading.Barrier(4)

    def publish(n: int) -> None:
        together.wait(10)
        topic.publish(n)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(publish, range(4)))
    log.append(1)
    assert bus._direct is not None
    idle = list(bus._direct._idle)
    assert idle
    for connection in idle:
        address = "{}:{}".format(*connection._sock.getsockname())
        other.portal.call(other.over.link.call, "CLIENT", "KILL", "ADDR", address)
    for connection in idle:
        eventually(lambda connection=connection: has_ended(connection))
    for n in range(5):
        topic.publish(n)
    log.append(2)
    assert numbers(bus, log.key) == [1, 2]
    assert not set(map(id, idle)) & set(map(id, bus._direct._idle))


INTERRUPTED = """
import os, signal, sys, threading, time
from bus.blocking import Bus
from tests.bus.blocking.waiting import eventually
url, namespace, redis = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Bus.connect(url, namespace=namespace) as bus:
    queue = bus.queue("jobs", int)
    queue.put(0)
    lane, = bus._appender._lanes.values()
    os.kill(redis, signal.SIGSTOP)
    first = threading.Thread(target=queue.put, args=(1,))
    first.start()
    eventually(lambda: lane.sending.locked() and lane.gathering is None)
    others = [threading.Thread(target=queue.put, args=(n,)) for n in (3, 4)]

    def interrupt():
        eventually(lambda: lane.gathering is not None and lane.gathering.count == 1)
        for other in others:
            other.start()
        eventually(lambda: lane.gathering.count == 3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        queue.put(2)  # carries 3 and 4
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    os.kill(redis, signal.SIGCONT)
    for thread in (first, *others):
        thread.join(20)
        assert not thread.is_alive()
    queue.put(5)
"""


def test_others_are_put_where_the_thread_that_carries_them_is_interrupted(
    own_redis: Any, namespace: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, own_redis.url, namespace, str(own_redis.process.pid)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == ("interrupted\n", 0), ended.stderr
    assert "Traceback" not in ended.stderr
    with Bus.connect(own_redis.url, namespace=namespace) as bus:
        there = numbers(bus, bus.queue("jobs", int).base)
    assert sorted(there) == [0, 1, 2, 3, 4, 5]
    assert (there[0], there[-1]) == (0, 5)


def test_a_call_that_was_interrupted_is_repeated_before_the_next(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers of the next one are higher: behind it, the repetition would count as done."""
    queue = bus.queue("jobs", int)
    queue.put(0)
    assert bus._appender is not None
    direct = bus._appender._direct
    run, arrived, go = direct.run, threading.Event(), threading.Event()

    class Interruption(BaseException):
        """As Ctrl-C, in whichever thread."""

    def interrupted(*call: Any) -> Any:
        run(*call)
        arrived.set()
        assert go.wait(10)
        monkeypatch.setattr(direct, "run", run)
        raise Interruption  # before it has the reply

    [lane] = bus._appender._lanes.values()
    with ThreadPoolExecutor(4) as pool:
        with lane.sending:
            leader = pool.submit(queue.put, 1)
            eventually(lambda: lane.gathering is not None)
            follower = pool.submit(queue.put, 2)
            eventually(lambda: lane.gathering.count == 2)
            monkeypatch.setattr(direct, "run", interrupted)
        assert arrived.wait(10)
        late = pool.submit(queue.put, 3)
        eventually(lambda: lane.gathering is not None)
        go.set()
        assert isinstance(leader.exception(10), Interruption)
        assert follower.result(10)
        assert late.result(10)
    assert sorted(numbers(bus, queue.base)) == [0, 1, 2, 3]


def test_a_batch_whose_leader_was_interrupted_before_it_carried_is_carried_by_the_next(
    bus: Bus,
) -> None:
    queue = bus.queue("jobs", int)
    queue.put(0)

    class Interruption(BaseException):
        """As Ctrl-C, in whichever thread."""

    # On each line of `send`, one after the other, until a put gets through.
    code, interrupted = appender.Appender.send.__code__, []
    lines = sorted(
        {line for *_, line in code.co_lines() if line is not None and line > code.co_firstlineno}
    )
    for line in lines:

        def trace(frame: Any, event: str, _: Any, line: int = line) -> Any:
            if frame.f_code is not code:
                return None
            if event == "line" and frame.f_lineno == line:
                sys.settrace(None)
                interrupted.append(line)
                raise Interruption
            return functools.partial(trace, line=line)

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            queue.put(-line)
        except Interruption:
            pass
        finally:
            sys.settrace(before)
        put = threading.Thread(target=queue.put, args=(line,), daemon=True)
        put.start()
        put.join(10)
        assert not put.is_alive(), f"after an interruption at line {line} nobody carries"
    assert len(interrupted) > 5
    there = numbers(bus, queue.base)
    assert [n for n in there if n > 0] == lines
    assert len(there) == len(set(there)), "what was interrupted is put once, if at all"


def test_puts_name_their_sender(bus: Bus) -> None:
    with bus.join("scout") as agent:
        agent.queue("jobs", int, max_deliveries=1).put(1)
        started = time.time()
        [raw] = [
            row[1][1]
            for row in bus.portal.call(
                bus.over.link.call, "XRANGE", bus.over.keys.queue("jobs"), "-", "+"
            )
        ]
    envelope = unwrap(raw)
    assert envelope.sender == "scout"
    assert abs(envelope.sent_at - started) < 5


def test_threads_that_write_to_ever_new_streams_keep_no_lane_to_each(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "MOST_LANES", 5)

    def put(number: int) -> None:
        bus.queue(f"q{number % 20}", int).put(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(put, range(200)))
    gc.collect()
    assert len(bus._appender._lanes) <= 5
    # What was put on a lane that was dropped since is no repetition of what came before.
    lengths = [bus.queue(f"q{n}", int).statistics().length for n in range(20)]
    assert lengths == [10] * 20
