"""Queues, inboxes, requests, topics and logs from threads, alone and beside the async bus."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import msgspec
import pytest

from bus import Bus as AsyncBus
from bus import BusError, MessageTooLarge, RequestFailed, RequestTimeout
from bus.blocking import Bus
from bus.logs.log import message_of
from bus.messages.envelope import unwrap
from tests.bus.blocking.waiting import eventually


class Job(msgspec.Struct):
    n: int


@pytest.fixture
def bus(either: Bus) -> Bus:
    return either


def entries(bus: Bus, key: str) -> list[bytes]:
    async def read() -> Any:
        return await bus.over.link.call("XRANGE", key, "-", "+")

    return [message_of(row[1]) or b"" for row in bus.portal.call(read)]


def test_a_message_is_handled_and_acknowledged(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    put = queue.put(Job(1))
    with queue.consume("workers") as deliveries:
        for delivery in deliveries:
            with delivery:
                assert (delivery.id, delivery.body, delivery.attempt) == (put, Job(1), 1)
            break
    statistics = queue.statistics()
    assert (statistics.length, statistics.groups[0].pending) == (0, 0)
    assert bus.queues() == ["jobs"]


def test_one_whose_handler_raises_comes_again_and_is_buried_at_last(bus: Bus) -> None:
    queue = bus.queue("jobs", Job, max_deliveries=2)
    queue.put(Job(1))
    with queue.consume("workers") as deliveries:
        for attempt in (1, 2):
            with deliveries.receive(timeout=10) as delivery:
                assert delivery.attempt == attempt
                raise RuntimeError("no")
        eventually(lambda: len(queue.dead_letters()) == 1)
    dead = queue.dead_letters()[0]
    assert "RuntimeError: no" in dead.reason
    assert queue.replay(dead.id) == 1
    with queue.consume("workers") as deliveries, deliveries.receive(timeout=10) as delivery:
        delivery.reject("for good")
    assert queue.dead_letters()[0].reason == "for good"


def test_what_ctrl_c_interrupts_goes_back_at_once(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    queue.put(Job(1))
    with pytest.raises(KeyboardInterrupt), queue.consume("workers") as deliveries:
        with deliveries.receive(timeout=10):
            raise KeyboardInterrupt
    with queue.consume("workers") as deliveries, deliveries.receive(timeout=1):
        pass


def test_an_item_asked_for_in_vain_is_the_next_one(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    with queue.consume("workers", prefetch=0) as deliveries:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                deliveries.receive(timeout=0.05)
        for n in range(3):
            queue.put(Job(n))
        seen = []
        for _ in range(3):
            with deliveries.receive(timeout=5) as delivery:
                seen.append(delivery.body.n)
    assert seen == [0, 1, 2]
    assert queue.statistics().groups[0].pending == 0


def test_an_iteration_ends_in_every_thread_when_its_block_does(bus: Bus) -> None:
    queue, ready, ended = bus.queue("jobs", Job), threading.Event(), []

    def work(deliveries: Any) -> None:
        for delivery in deliveries:
            with delivery:
                ready.set()
        ended.append(True)

    with ThreadPoolExecutor(3) as pool:
        with queue.consume("workers") as deliveries:
            for _ in range(3):
                pool.submit(work, deliveries)
            queue.put(Job(1))
            assert ready.wait(10)
    assert ended == [True] * 3


def test_a_put_is_deduped_and_delayed(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)
    assert queue.put(Job(1), dedupe="one") == queue.put(Job(2), dedupe="one")
    queue.put(Job(3), delay=60)
    assert (queue.statistics().length, queue.statistics().delayed) == (1, 1)


def test_puts_of_many_threads_arrive_once_each_in_the_order_of_their_thread(bus: Bus) -> None:
    queue = bus.queue("jobs", Job)

    def put(thread: int) -> None:
        for n in range(100):
            queue.put(Job(thread * 1000 + n))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(16)))
    there = [
        msgspec.msgpack.decode(unwrap(raw).body, type=Job).n
        for raw in entries(bus, queue.over.base)
    ]
    for thread in range(16):
        assert [n for n in there if n // 1000 == thread] == [thread * 1000 + n for n in range(100)]


def test_a_message_that_is_too_large_is_refused(redis_server: Any, namespace: str) -> None:
    with Bus.connect(redis_server.url, namespace=namespace, most_message_bytes=200) as bus:
        with pytest.raises(MessageTooLarge):
            bus.queue("jobs", str).put("x" * 200)
        with pytest.raises(MessageTooLarge):
            bus.topic("news", str).publish("x" * 200)
        with pytest.raises(MessageTooLarge):
            bus.log("events").append("x" * 200)


def test_topics_are_heard(bus: Bus) -> None:
    with bus.topics("news.*", str).subscribe() as feed:
        assert bus.topic("news.today", str).publish("rain") == 1
        event = feed.receive(timeout=5)
        assert (event.topic, event.body, event.sender) == ("news.today", "rain", bus.instance)
        with pytest.raises(TimeoutError):
            feed.receive(timeout=0.05)
    assert list(feed) == []
    with pytest.raises(BusError, match="nothing more"):
        feed.receive(timeout=1)


def test_a_log_is_appended_to_and_read(bus: Bus) -> None:
    log = bus.log("events")
    first, second = log.append({"n": 1}, type="made"), log.place({"n": 2})
    assert second.epoch == log.epoch() != ""
    assert [e.id for e in log.read()] == [first, second.entry_id]
    assert log.read(after=second.entry_id, block=0.05) == []
    assert (log.length(), log.last_id()) == (2, second.entry_id)
    assert log.trim(through=first, epoch=second.epoch) == 1


def test_values_are_kept(bus: Bus) -> None:
    assert bus.get_value("it") is None
    assert bus.put_value("it", b"1", if_absent=True)
    assert not bus.put_value("it", b"2", if_absent=True)
    assert bus.get_value("it") == b"1"


def test_agents_talk(bus: Bus) -> None:
    with (
        bus.join("scout", role="finder", capabilities=["find"]) as scout,
        bus.join("writer", role="author") as writer,
        ThreadPoolExecutor(1) as pool,
    ):
        scout.set_state(status="processing", activity="looking")
        scout.progress("one")
        snapshot = bus.registry.snapshot()
        assert snapshot.states["scout"].activity == "looking"
        assert snapshot.agents["writer"].role == "author"

        def answer() -> None:
            for delivery in writer.inbox(Job):
                with delivery:
                    if not delivery.is_request:
                        break
                    if delivery.body == Job(0):
                        raise ValueError("nothing")
                    delivery.reply(delivery.body.n * 2)

        answering = pool.submit(answer)
        assert scout.request("writer", Job(21), int, timeout=10) == 42
        with pytest.raises(RequestFailed, match="ValueError: nothing"):
            scout.request("writer", Job(0), int, timeout=10)
        assert scout.gather(Job(2), int, role="author", timeout=10).replies == {"writer": 4}
        assert scout.send_any(Job(3), capabilities=[], role="author") == "writer"
        answering.result(10)
        assert scout.send_all(Job(4)) == ["writer"]
        assert scout.send("writer", Job(5))
        inbox = writer.inbox()
        for n in (4, 5):
            with inbox.receive(timeout=10) as delivery:
                assert (delivery.body, delivery.sender) == (Job(n), "scout")
    assert bus.registry.snapshot().agents == {}


def test_a_handler_learns_that_nobody_waits_and_its_requests_inherit_the_deadline(bus: Bus) -> None:
    with bus.join("scout") as scout, bus.join("writer") as writer, ThreadPoolExecutor(1) as pool:
        told: list[bool] = []
        asked = pool.submit(lambda: scout.request("writer", Job(1), int, timeout=0.5))
        with writer.inbox(Job).receive(timeout=5) as delivery:
            with pytest.raises(RequestTimeout):
                writer.request("nobody", Job(1), int)  # no timeout but the inherited one
            eventually(lambda: delivery.abandoned)
            told.append(True)  # out here: what the block of an abandoned request raises is no error
            delivery.check()
            told.append(False)
        assert told == [True]
        with pytest.raises(RequestTimeout):
            asked.result(5)
        with pytest.raises(ValueError, match="give a timeout"):
            writer.request("nobody", Job(1), int)
    with bus.join("writer") as writer, pytest.raises(TimeoutError):
        writer.inbox(Job).receive(timeout=0.2)  # it was acknowledged


def test_both_kinds_of_bus_are_on_one_bus(bus: Bus, redis_server: Any, namespace: str) -> None:
    queue = bus.queue("jobs", Job, sender="both")
    queue.put(Job(1))

    async def other() -> int:
        async with AsyncBus.connect(redis_server.url, namespace=namespace, ttl=1.0) as there:
            jobs = there.queue("jobs", Job, sender="both")
            await jobs.put(Job(1))
            async with jobs.consume("async") as deliveries, there.join("async") as agent:
                for _ in range(2):
                    async with await anext(deliveries):
                        pass
                async with there.topic("news", str).subscribe() as feed:
                    bus.topic("news", str).publish("rain")
                    assert (await anext(feed)).body == "rain"
                async for delivery in agent.inbox():
                    async with delivery:
                        await delivery.reply(7)
                    break
        return 1

    with ThreadPoolExecutor(1) as pool, queue.consume("blocking") as deliveries:
        there = pool.submit(anyio.run, other)
        eventually(lambda: len(entries(bus, queue.over.base)) == 2)
        ours, theirs = map(unwrap, entries(bus, queue.over.base))
        same = {"id": "", "sent_at": 0.0}
        assert msgspec.structs.replace(ours, **same) == msgspec.structs.replace(theirs, **same)
        for _ in range(2):
            with deliveries.receive(timeout=10):
                pass
        with bus.join("blocking") as agent:
            assert agent.request("async", "?", int, timeout=10) == 7
        assert there.result(10) == 1
