"""Schedules: each slot once across a fleet, late rather than not at all."""

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from bus import Bus, InvalidSchedule
from bus.queues.schedule import next_slot
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

EVERY_SECOND = "* * * * * *"


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("cron", "tz", "after", "slot"),
    [
        ("0 9 * * 1-5", "UTC", "2026-11-20T09:00:00+00:00", "2026-11-23T09:00:00+00:00"),
        ("0 9 * * 1-5", "UTC", "2026-11-20T08:59:59.9+00:00", "2026-11-20T09:00:00+00:00"),
        ("0 9 * * *", "Europe/Berlin", "2026-07-01T00:00:00+00:00", "2026-07-01T07:00:00+00:00"),
        # Clocks are put forward over the slot, and back over it.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+00:00", "2026-03-29T01:00:00+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"),
    ],
)
def test_the_next_slot(cron: str, tz: str, after: str, slot: str) -> None:
    assert next_slot(cron, tz, at(after)) == at(slot)


@pytest.mark.parametrize(
    ("cron", "tz", "said"),
    [
        ("every day", "UTC", "cron expression"),
        ("0 0 30 2 *", "UTC", "cron expression"),
        ("0 9 * * *", "Europe/Nowhere", "time zone"),
        ("0 9 * * *", "../../etc/passwd", "time zone"),
    ],
)
async def test_what_is_no_schedule_is_refused(bus: Bus, cron: str, tz: str, said: str) -> None:
    with pytest.raises(InvalidSchedule, match=said):
        await bus.queue("jobs", str).schedule("x", cron, "x", tz=tz)


async def test_each_slot_is_put_once_by_a_fleet_in_which_each_may_die(
    redis_server: Any, namespace: str
) -> None:
    put: list[tuple[int, str]] = []

    async def member(lives: float) -> None:
        async with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0) as bus:
            queue = bus.queue("jobs", str)
            await queue.schedule("tick", EVERY_SECOND, "tick")  # each states it when it starts
            with anyio.move_on_after(lives):
                async with queue.consume("workers") as deliveries:
                    async for delivery in deliveries:
                        async with delivery:
                            put.append((int(delivery.entry_id.split("-")[0]), delivery.body))

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(member, 0.7 + 0.6 * number)
    seconds = [ms // 1000 for ms, _ in put]
    assert len(seconds) >= 2
    assert len(set(seconds)) == len(seconds), put
    assert seconds == sorted(seconds)


async def test_a_missed_slot_is_put_once_and_late(bus: Bus) -> None:
    queue = bus.queue("jobs", str)
    await queue.schedule("daily", "0 9 * * *", "report")
    key = bus.keys.queue("jobs")
    week_ago = datetime.now(UTC) - timedelta(days=7)
    await bus.link.call("ZADD", f"{key}:scheduled", int(week_ago.timestamp() * 1000), "daily")
    # A program that starts and states it again does not lose the slot.
    await queue.schedule("daily", "0  9 * * *", "new report")
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(5):
            delivery = await anext(deliveries)
        assert (delivery.body, delivery.type) == ("new report", "str")
        await delivery.ack()
        with anyio.move_on_after(0.7):  # longer than from one look to the next
            await anext(deliveries)
            pytest.fail("put twice")
    [schedule] = await queue.schedules()
    assert schedule.next_at is not None
    assert time.time() < schedule.next_at <= time.time() + 86_400
    assert (schedule.name, schedule.cron, schedule.tz) == ("daily", "0 9 * * *", "UTC")
    assert schedule.body == "new report"


async def test_other_times_replace_it_and_unschedule_ends_it(bus: Bus) -> None:
    queue = bus.queue("jobs", str)
    await queue.schedule("job", "0 0 1 1 *", "yearly")
    await queue.schedule("job", EVERY_SECOND, "often")
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(5):
            async with await anext(deliveries) as delivery:
                assert delivery.body == "often"
        assert await queue.unschedule("job")
        assert not await queue.unschedule("job")
        assert await queue.schedules() == []
        await bus.link.call("DEL", bus.keys.queue("jobs"))
        with anyio.move_on_after(1.2):  # longer than from one slot to the next
            await anext(deliveries)
            pytest.fail("it goes on")


async def test_a_garbled_schedule_is_dropped_and_stops_nobody(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    queue = bus.queue("jobs", str)
    key = bus.keys.queue("jobs")
    for name, value in ((b"\xff\xfe", b"\x00"), (b"b", b"x\n\x93"), (b"c", b"")):
        await bus.link.call("HSET", f"{key}:schedules", name, value)
        await bus.link.call("ZADD", f"{key}:scheduled", 1, name)
    with caplog.at_level(logging.CRITICAL, "argentbus"):
        assert await queue.schedules() == []
        async with queue.consume("workers") as deliveries:
            await queue.put("still here")
            with anyio.fail_after(5):
                assert (await anext(deliveries)).body == "still here"

            async def dropped() -> bool:
                return not await bus.link.call("EXISTS", f"{key}:schedules", f"{key}:scheduled")

            await eventually(dropped)


async def test_at_a_time(bus: Bus) -> None:
    queue = bus.queue("jobs", str)
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    await queue.put("soon", at=soon)
    await queue.put("past", at=soon - timedelta(days=1))
    async with queue.consume("workers") as deliveries:
        with anyio.fail_after(5):
            assert (await anext(deliveries)).body == "past"
            assert (await anext(deliveries)).body == "soon"
        assert datetime.now(UTC) >= soon
    for wrong in ({"at": soon.replace(tzinfo=None)}, {"at": soon, "delay": 1.0}):
        with pytest.raises(ValueError, match="time zone|once"):
            await queue.put("x", **wrong)  # type: ignore[arg-type]
