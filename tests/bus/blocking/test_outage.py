"""Connections that are cut, a Redis that is killed, a process that is killed: nothing is lost."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from bus import BusUnavailable, ServerFull, ServerRefused
from bus.blocking import Bus
from bus.logs.log import message_of
from bus.messages.envelope import unwrap
from tests.bus.blocking.waiting import eventually


def numbers(bus: Bus, key: str) -> list[int]:
    async def read() -> Any:
        return await bus.over.link.retrying(lambda: bus.over.link.call("XRANGE", key, "-", "+"))

    rows = bus.portal.call(read)
    return [
        msgspec.msgpack.decode(unwrap(message_of(row[1]) or b"").body, type=int) for row in rows
    ]


def cut(bus: Bus, ended: threading.Event) -> int:
    """Cut all connections again and again; return how often."""
    times = 0

    async def kill() -> None:
        for kind in ("NORMAL", "PUBSUB"):
            await bus.over.link.call("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    while not ended.wait(0.02):
        try:
            bus.portal.call(kill)
        except (OSError, BusUnavailable) as error:
            assert error is not None
        except Exception as error:  # noqa: BLE001 (the driver's, for a connection that was cut)
            assert "onnection" in repr(error), repr(error)
        times += 1
    return times


def test_puts_from_threads_arrive_once_in_order_while_connections_are_cut(
    redis_server: Any, namespace: str
) -> None:
    with (
        Bus.connect(redis_server.url, namespace=namespace) as bus,
        Bus.connect(redis_server.url, namespace=namespace) as other,
    ):
        queue, log = bus.queue("jobs", int), bus.log("events")
        ended = threading.Event()

        def put(thread: int) -> None:
            for n in range(500):
                queue.put(thread * 1000 + n)
                log.append(thread * 1000 + n)

        with ThreadPoolExecutor(9) as pool:
            cutting = pool.submit(cut, other, ended)
            list(pool.map(put, range(8)))
            ended.set()
            assert cutting.result(10) > 3
        for key in (queue.over.base, log.over.key):  # by the portal, and by redis-py
            there = numbers(bus, key)
            for thread in range(8):
                mine = [n for n in there if n // 1000 == thread]
                assert mine == [thread * 1000 + n for n in range(500)]


def test_redis_is_killed_and_comes_back_under_load_from_threads(
    own_redis: Any, namespace: str
) -> None:
    handled: list[int] = []
    with Bus.connect(own_redis.url, namespace=namespace, ttl=2.0) as bus:
        queue, ended = bus.queue("jobs", int), threading.Event()
        put: list[int] = []

        def produce(thread: int) -> None:
            n = 0
            while not ended.is_set():
                queue.put(thread * 100_000 + n)
                put.append(thread * 100_000 + n)
                n += 1

        def consume(deliveries: Any) -> None:
            for delivery in deliveries:
                with delivery:
                    handled.append(delivery.body)

        with ThreadPoolExecutor(6) as pool, queue.consume("workers") as deliveries:
            with bus.join("scout"):
                producing = [pool.submit(produce, n) for n in range(4)]
                consuming = [pool.submit(consume, deliveries) for _ in range(2)]
                for _ in range(2):
                    before = len(put)
                    eventually(lambda before=before: len(put) > before + 50)
                    own_redis.kill()
                    own_redis.start()
                before = len(put)
                eventually(lambda before=before: len(put) > before + 50)
                ended.set()
                for future in producing:
                    future.result(10)
                eventually(lambda: set(put) <= set(handled), timeout=20)
                eventually(lambda: list(bus.registry.snapshot().agents) == ["scout"])
            deliveries.stop()
            for future in consuming:
                future.result(10)
        bus.lock("beat").__enter__()


def test_what_is_refused_and_what_is_away_raise_the_bus_s_own_errors(
    own_redis: Any, namespace: str
) -> None:
    with Bus.connect(own_redis.url, namespace=namespace, patience=0.3) as bus:
        log, topic = bus.log("events"), bus.topic("news", int)
        log.append(1)
        call = bus.over.link.call
        bus.portal.call(call, "CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(ServerFull, match="raise its maxmemory"):
            log.append(2)
        bus.portal.call(call, "CONFIG", "SET", "maxmemory", "0")
        bus.portal.call(call, "SET", log.over.key, "no stream")
        with pytest.raises(ServerRefused, match="wrong kind"):
            log.append(3)
        bus.portal.call(call, "DEL", log.over.key)
        bus.portal.call(call, "SCRIPT", "FLUSH")
        log.append(4)
        assert numbers(bus, log.over.key) == [4]
        own_redis.kill()
        for use in (
            lambda: log.append(5),
            lambda: bus.queue("jobs", int).put(5),
            lambda: topic.publish(5),
            bus.queues,
        ):
            with pytest.raises(BusUnavailable, match="cannot reach Redis"):
                use()
        own_redis.start()
        assert topic.publish(6) == 0
        log.append(7)
        # The one that failed may have been put.
        assert [n for n in numbers(bus, log.over.key) if n != 5] == [4, 7]


def expect_to_read(bus: Bus) -> threading.Event:
    """Set when the connection that is used next waits for a reply."""
    assert bus._direct is not None
    connection, reading = bus._direct._idle[-1], threading.Event()
    read = connection.read_response

    def read_response(*args: Any, **options: Any) -> Any:
        reading.set()
        return read(*args, **options)

    connection.read_response = read_response
    return reading


def test_a_publish_is_not_sent_twice_and_says_when_it_is_not_known(
    own_redis: Any, namespace: str
) -> None:
    with Bus.connect(own_redis.url, namespace=namespace) as bus, ThreadPoolExecutor(1) as pool:
        topic = bus.topic("news", int)
        with topic.subscribe() as feed:
            assert topic.publish(1) == 1
            assert feed.receive(timeout=5).body == 1
            own_redis.freeze()
            sent = expect_to_read(bus)
            publishing = pool.submit(topic.publish, 2)
            assert sent.wait(10)  # and nobody answers
            own_redis.kill()
            with pytest.raises(BusUnavailable, match="may or may not have reached"):
                publishing.result(10)
            own_redis.start()
            # A connection that was idle meanwhile is known to be broken before it is used.
            eventually(lambda: topic.publish(3) == 1)
            assert feed.receive(timeout=5).body == 3


HOLDER = """
import signal, sys
from bus.blocking import Bus
with Bus.connect(sys.argv[1], namespace=sys.argv[2], ttl=1.0) as bus, bus.join("scout"):
    with bus.lock("beat", ttl=30), bus.queue("jobs", int).consume("workers") as deliveries:
        held = [deliveries.receive() for _ in range(20)]
        print("held", flush=True)
        signal.pause()
"""


def test_what_a_killed_process_held_goes_to_others(redis_server: Any, namespace: str) -> None:
    with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0) as bus:
        queue = bus.queue("jobs", int)
        for n in range(50):
            queue.put(n)
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, redis_server.url, namespace], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            process.kill()
        killed_at = time.monotonic()
        seen = set()
        with bus.join("heir"), queue.consume("workers") as deliveries:
            while len(seen) < 50:
                with deliveries.receive(timeout=10) as delivery:
                    seen.add(delivery.body)
            with bus.lock("beat", wait=10):
                pass
        assert time.monotonic() - killed_at < 1.0 + 1.0 + 1.0  # its TTL, a second, and our work
        assert bus.registry.snapshot().agents == {}


def test_a_block_longer_than_a_driver_s_timeout_is_no_fault(
    redis_server: Any, namespace: str
) -> None:
    with Bus.connect(redis_server.url, namespace=namespace) as bus, ThreadPoolExecutor(64) as pool:
        log = bus.log("events")
        waiting = pool.submit(log.read, block=7.0)
        queue, together = bus.queue("jobs", int), threading.Barrier(60)

        def put(n: int) -> None:
            together.wait(20)
            queue.put(n)
            bus.topic("news", int).publish(n)

        list(pool.map(put, range(60)))  # more threads than a pool has connections
        assert sorted(numbers(bus, queue.over.base)) == list(range(60))
        started = time.monotonic()
        assert waiting.result(20) == []
        assert time.monotonic() - started > 3
