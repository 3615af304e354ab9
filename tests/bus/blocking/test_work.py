"""Workers of threads: they handle, drain, and are bounded by a timeout; cron, and dead letters."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import pytest

from bus import DeliveryLost, InvalidSchedule
from bus.blocking import Bus, Delivery
from tests.bus.blocking.waiting import eventually


class Working:
    """A worker in a thread of its own, as a context manager that stops it.

    Attributes:
        work: Its end.
    """

    def __init__(self, queue: Any, handler: Any, **options: Any) -> None:
        self.stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self.work = self._pool.submit(queue.work, "workers", handler, stop=self.stop, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()
        self._pool.shutdown()


def test_a_worker_handles_several_at_a_time_and_stops(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    together, handled = threading.Barrier(4), []

    def handle(delivery: Delivery[int]) -> None:
        together.wait(10)  # four are handled at a time
        handled.append(delivery.body)

    for n in range(12):
        queue.put(n)
    with Working(queue, handle, concurrency=4) as working:
        eventually(lambda: len(handled) == 12)
    working.work.result(5)
    assert sorted(handled) == list(range(12))
    assert (queue.statistics().length, queue.statistics().groups[0].pending) == (0, 0)


def test_a_worker_drains_what_was_read_ahead_goes_back_at_once(bus: Bus, other: Bus) -> None:
    queue, finish, begun = bus.queue("jobs", int), threading.Event(), threading.Event()

    def handle(delivery: Delivery[int]) -> None:
        begun.set()
        assert finish.wait(20)

    for n in range(10):
        queue.put(n)
    with Working(queue, handle, concurrency=1, prefetch=100) as working:
        assert begun.wait(10)
        working.stop.set()
        with other.queue("jobs", int).consume("workers") as deliveries:
            for n in range(1, 10):
                with deliveries.receive(timeout=5) as delivery:
                    assert delivery.body == n
        assert not working.work.done()
        finish.set()
        working.work.result(5)
    assert queue.statistics().length == 0
    assert queue.dead_letters() == []


def test_a_handler_that_is_late_loses_its_message_and_is_told(
    bus: Bus, other: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    queue, begun, told = bus.queue("jobs", int), threading.Event(), threading.Event()
    go_on = threading.Event()

    def handle(delivery: Delivery[int]) -> None:
        begun.set()
        eventually(lambda: delivery.abandoned)
        try:
            delivery.check()
        except DeliveryLost:
            told.set()
            raise
        finally:
            go_on.wait(10)

    queue.put(1)
    with Working(queue, handle, concurrency=1, drain=0.1) as working:
        assert begun.wait(10)
        working.stop.set()
        working.work.result(10)  # without the handler
        assert told.wait(10)
        with other.queue("jobs", int).consume("workers") as deliveries:
            with deliveries.receive(timeout=5) as delivery:
                assert delivery.body == 1
        go_on.set()
    eventually(lambda: not [t for t in threading.enumerate() if "argentbus-worker" in t.name])
    assert queue.statistics().length == 0
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [
        "handlers did not finish in time: their messages go back: handlers=1 seconds=0.1"
    ]


def test_ctrl_c_drains_a_worker_too(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, handled = bus.queue("jobs", int), []
    begun, interrupted = threading.Event(), threading.Event()

    def handle(delivery: Delivery[int]) -> None:
        begun.set()
        assert interrupted.wait(10)
        handled.append(delivery.body)

    class Interrupting(threading.Event):
        def is_set(self) -> bool:
            if begun.is_set():
                interrupted.set()
                raise KeyboardInterrupt
            return False

    queue.put(1)
    with pytest.raises(KeyboardInterrupt):
        queue.work("workers", handle, stop=Interrupting())
    assert handled == [1]
    assert queue.statistics().length == 0


def test_what_ends_a_handler_s_thread_ends_the_worker(bus: Bus) -> None:
    queue = bus.queue("jobs", int)

    def handle(delivery: Delivery[int]) -> None:
        raise SystemExit(3)

    queue.put(1)
    with pytest.raises(SystemExit) as caught:
        queue.work("workers", handle, concurrency=2)
    assert caught.value.code == 3
    with queue.consume("workers") as deliveries, deliveries.receive(timeout=1) as delivery:
        assert delivery.body == 1  # it went back at once
    for name, wrong in (("concurrency", 0), ("drain", -1.0)):
        with pytest.raises(ValueError, match=f"{name} is {wrong}"):
            queue.work("workers", handle, **{name: wrong})  # type: ignore[arg-type]


def test_a_handler_that_takes_too_long_has_failed_and_can_know(bus: Bus) -> None:
    queue = bus.queue("jobs", int, max_deliveries=2)
    queue.put(1)
    with queue.consume("workers", handler_timeout=0.2) as deliveries:
        assert deliveries.handler_timeout == 0.2
        for attempt in (1, 2):
            with deliveries.receive(timeout=10) as delivery:
                assert delivery.attempt == attempt
                eventually(lambda delivery=delivery: delivery.abandoned)
                assert delivery.timed_out
                delivery.check()
                pytest.fail("check returned")  # caught by the block, and logged: seen below
        eventually(lambda: len(queue.dead_letters()) == 1)
        queue.put(2)
        with deliveries.receive(timeout=10) as quick:
            quick.check()
        eventually(lambda: queue.statistics().length == 0)
    [dead] = queue.dead_letters()
    assert "not handled within 0.2 s" in dead.reason
    assert not quick.timed_out


def test_stop_gives_back_what_was_read_ahead_and_ends_every_thread(bus: Bus, other: Bus) -> None:
    queue = bus.queue("jobs", int)
    with queue.consume("workers") as deliveries, ThreadPoolExecutor(3) as pool:
        with pytest.raises(TimeoutError):
            deliveries.receive(timeout=0.05)  # what comes now is its next one
        waiting = [pool.submit(list, deliveries) for _ in range(2)]
        for n in range(5):
            queue.put(n)
        eventually(lambda: queue.statistics().groups[0].pending == 5)
        deliveries.stop()
        for ended in waiting:
            ended.result(5)
        with other.queue("jobs", int).consume("workers") as others:
            taken = sum(len(ended.result()) for ended in waiting)
            for _ in range(5 - taken):
                with others.receive(timeout=2):
                    pass


def test_a_schedule_is_kept_fired_and_forgotten(bus: Bus) -> None:
    queue = bus.queue("jobs", str)
    queue.schedule("often", "* * * * * *", "tick", tz="Europe/Berlin")
    queue.schedule("yearly", "0 0 1 1 *", "new year")
    assert [schedule.name for schedule in queue.schedules()] == ["often", "yearly"]
    with queue.consume("workers") as deliveries, deliveries.receive(timeout=5) as delivery:
        assert delivery.body == "tick"
    assert queue.unschedule("often")
    assert not queue.unschedule("often")
    with pytest.raises(InvalidSchedule):
        queue.schedule("never", "61 * * * *", "x")


def test_dead_letters_are_found_replayed_and_purged(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    for group in ("a", "b"):
        with queue.consume(group):
            pass
    for n in range(4):
        queue.put(n)
    for group in ("a", "b"):
        with queue.consume(group) as deliveries:
            for _ in range(4):
                with deliveries.receive(timeout=5) as delivery:
                    delivery.reject(f"no {delivery.body}, says {group}")
    letters = queue.dead_letters()
    assert len(letters) == 8
    assert queue.dead_letters(limit=2, after=letters[1].id) == letters[2:4]
    assert queue.dead_letter(letters[0].id) == letters[0]
    assert queue.purge(letters[0].id) == 1
    assert queue.dead_letter(letters[0].id) is None
    assert queue.replay(letters[1].id) == 1
    assert queue.replay_all(group="a") == 2
    assert queue.purge_all() == 4
    with queue.consume("a") as deliveries:
        for _ in range(3):
            with deliveries.receive(timeout=5):
                pass
    assert queue.delete_group("b")
    assert [group.name for group in queue.statistics().groups] == ["a"]


def test_a_group_may_start_at_the_end(bus: Bus) -> None:
    queue = bus.queue("jobs", int)
    queue.put(1)
    with queue.consume("late", start="end") as late, queue.consume("early") as early:
        queue.put(2)
        with late.receive(timeout=5) as delivery:
            assert delivery.body == 2
        for n in (1, 2):
            with early.receive(timeout=5) as delivery:
                assert delivery.body == n
