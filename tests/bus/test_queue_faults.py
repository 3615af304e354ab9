"""Queues under fire: connections cut at random, garbage on the inlet, a consumer that is slow.

`ARGENTBUS_TEST_SECONDS` (a minute, ten minutes) makes them last so long instead of some seconds.
"""

import logging
import os
import random
from collections import Counter
from typing import Any

import anyio
import msgspec
import psutil
import pytest
from anyio.abc import TaskStatus

from bus import Bus, Delivery
from bus.messages.envelope import unwrap, wrap
from tests.proxy import cutting_proxy
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

SECONDS = float(os.environ.get("ARGENTBUS_TEST_SECONDS", "4"))


async def test_connections_cut_at_random_lose_double_and_reorder_nothing(
    redis_server: Any, namespace: str, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "argentbus")
    handled: Counter[str] = Counter()
    journals: dict[int, list[str]] = {number: [] for number in range(6)}
    over = False
    plain = bus.queue("jobs", list[Any], ordered=True)
    # A group that nobody consumes keeps everything in the stream, to be compared with the journals.
    async with plain.consume("archive"):
        pass

    async def handle(delivery: Delivery[list[Any]]) -> None:
        handled[delivery.id] += 1

    async with cutting_proxy(redis_server.url) as proxy:

        async def produce(number: int, *, task_status: TaskStatus[None]) -> None:
            async with Bus.connect(proxy.proxied, namespace=namespace, ttl=5.0) as there:
                task_status.started()
                queue = there.queue("jobs", list[Any])
                n = 0
                while not over:
                    options: Any = (
                        {},
                        {"dedupe": f"{number}.{n}"},
                        {"delay": random.choice((0.001, 0.2))},
                    )[number % 3]
                    message_id = await queue.put([number, n], **options)
                    journals[number].append(message_id)
                    n += 1

        async def consume(*, task_status: TaskStatus[None]) -> None:
            async with Bus.connect(proxy.proxied, namespace=namespace, ttl=5.0) as there:
                task_status.started()
                await there.queue("jobs", list[Any]).work("workers", handle, stop=stop)

        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            await tasks.start(consume)
            await tasks.start(consume)
            async with anyio.create_task_group() as producers:
                for number in journals:
                    await producers.start(produce, number)
                await proxy.cut_for(SECONDS)
                over = True
            put = {message_id for journal in journals.values() for message_id in journal}
            await eventually(lambda: handled.keys() >= put, timeout=20)
            stop.set()
        assert proxy.cuts > SECONDS * 5

    rows = await bus.link.call("XRANGE", bus.keys.queue("jobs"), "-", "+")
    stream = [unwrap(row[1][1]) for row in rows]
    assert len(put) > 100
    assert Counter(envelope.id for envelope in stream) == Counter(put)  # all, and each once
    for number in (0, 1, 3, 4):  # those that are not delayed stand in the order of their puts
        ids = [e.id for e in stream if msgspec.msgpack.decode(e.body)[0] == number]
        assert ids == journals[number]
    assert (await plain.statistics()).dead == 0


async def test_puts_by_key_keep_their_order_while_connections_are_cut(
    redis_server: Any, namespace: str, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "argentbus")
    last: dict[str, int] = {}
    at_work: set[str] = set()
    put: dict[str, int] = {f"k{number}": 0 for number in range(5)}
    over = False

    async def handle(delivery: Delivery[list[Any]]) -> None:
        key, n = delivery.body
        assert key not in at_work
        at_work.add(key)
        await anyio.sleep(0.002)
        at_work.remove(key)
        # Delivered again where the connection broke before the ack: then it is the last one.
        assert n - last.get(key, -1) in (0, 1), (key, n, last.get(key))
        last[key] = n

    failures: list[BaseException] = []

    async def checked(delivery: Delivery[list[Any]]) -> None:
        try:
            await handle(delivery)
        except AssertionError as error:
            failures.append(error)

    async with cutting_proxy(redis_server.url) as proxy:

        async def produce(key: str, *, task_status: TaskStatus[None]) -> None:
            async with Bus.connect(proxy.proxied, namespace=namespace, ttl=5.0) as there:
                task_status.started()
                queue = there.queue(
                    "jobs", list[Any], ordered=True, max_length=50, when_full="wait"
                )
                while not over:
                    await queue.put([key, put[key]], key=key)
                    put[key] += 1

        async def consume(*, task_status: TaskStatus[None]) -> None:
            async with Bus.connect(proxy.proxied, namespace=namespace, ttl=5.0) as there:
                task_status.started()
                await there.queue("jobs", list[Any]).work("workers", checked, stop=stop)

        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                await tasks.start(consume)
            async with anyio.create_task_group() as producers:
                for key in put:
                    await producers.start(produce, key)
                await proxy.cut_for(SECONDS)
                over = True
            await eventually(lambda: all(last.get(k) == n - 1 for k, n in put.items()), timeout=20)
            stop.set()
    assert not failures, failures[:3]
    assert sum(put.values()) > 100
    statistics = await bus.queue("jobs", list[Any]).statistics()
    assert (statistics.length, statistics.parked, statistics.dead) == (0, 0, 0)


def fuzz(count: int) -> list[bytes]:
    """Envelopes with bytes changed, left out and put in; none of them is what it was."""
    chance = random.Random(4)
    found: list[bytes] = []
    while len(found) < count:
        _, message = wrap({"n": 1, "text": "x" * 20}, sender="somebody")
        broken = bytearray(message)
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(broken))
            match chance.randrange(4):
                case 0:
                    broken[place] = chance.randrange(256)
                case 1:
                    del broken[place:]
                    broken.append(chance.randrange(256))
                case 2:
                    broken[place:place] = chance.randbytes(chance.randrange(1, 9))
                case _:
                    broken = bytearray(chance.randbytes(chance.randrange(0, 99)) or b"\xc1")
        found.append(bytes(broken))
    return found


class Fuzzed(msgspec.Struct):
    n: int
    text: str


async def test_ten_thousand_fuzzed_envelopes_stop_no_consumer_and_are_all_accounted_for(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "argentbus")
    queue = bus.queue("jobs", Fuzzed)
    messages = fuzz(10_000)
    for start in range(0, len(messages), 500):
        async with anyio.create_task_group() as tasks:
            for message in messages[start : start + 500]:
                tasks.start_soon(queue.put_message, message)
    handled = 0

    async def handle(delivery: Delivery[Fuzzed]) -> None:
        nonlocal handled
        assert isinstance(delivery.body, Fuzzed)
        handled += 1
        if delivery.body.text == "the last one":
            over.set()

    over = anyio.Event()
    await queue.put(Fuzzed(1, "the last one"))
    with anyio.fail_after(40):
        await queue.work("workers", handle, prefetch=1000, stop=over)
    statistics = await queue.statistics()
    expired = 10_001 - handled - statistics.refused
    assert statistics.refused > 5_000
    assert statistics.dead == statistics.refused
    assert 0 <= expired < 200  # a changed byte may have made a deadline that has passed
    assert (statistics.length, statistics.groups[0].pending) == (0, 0)
    after = "-"
    while page := await queue.dead_letters(limit=1000, after=after):
        assert all(letter.reason and letter.group == "workers" for letter in page)
        after = page[-1].id


async def test_memory_is_flat_at_full_rate_with_a_slow_consumer(
    redis_server: Any, bus: Bus
) -> None:
    queue = bus.queue("jobs", bytes)
    bounded = bus.queue("jobs", bytes, max_length=2_000, when_full="wait")
    process = psutil.Process()
    over = anyio.Event()
    handled = 0

    async def handle(delivery: Delivery[bytes]) -> None:
        nonlocal handled
        handled += 1
        await anyio.sleep(0.001)

    async def produce() -> None:
        while not over.is_set():
            await bounded.put(b"x" * 1000)

    sizes: list[float] = []
    used: list[int] = []
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(produce)
        tasks.start_soon(lambda: queue.work("workers", handle, concurrency=5, stop=over))
        for _ in range(10):
            await anyio.sleep(SECONDS / 10)  # the thing under test: what time does to memory
            sizes.append(process.memory_info().rss / 1e6)
            used.append(await bus.link.call("XLEN", bus.keys.queue("jobs")))
        over.set()
        tasks.cancel_scope.cancel()
    assert handled > 100 * SECONDS
    assert max(used) <= 2_000
    # The first fifth fills buffers and caches.
    assert max(sizes[2:]) - sizes[2] < 8, sizes
