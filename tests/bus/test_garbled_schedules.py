"""Schedules that a foreign hand garbled: dropped, and the queue's consumers go on."""

import anyio
import msgspec
import pytest

from bus import Bus
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


def stored(*fields: object) -> bytes:
    return b"x\n" + msgspec.msgpack.encode(fields)


@pytest.mark.parametrize(
    "raw",
    [
        b"x\n\x95\xa2\xff\xfe\xa3UTC\xa3str\xa1s\xa1x",
        b"x\n\x95\xa1x\xa3UTC\xa3str\xa1s" + b"\x91" * 200_000 + b"\xc0",
        stored("9" * 5000 + " * * * *", "UTC", "str", "s", 1),
        stored("\u00b2 * * * *", "UTC", "str", "s", 1),
        stored("* * * * *", "a\0b", "str", "s", 1),
    ],
    ids=["not UTF-8", "deep", "huge number", "superscript", "zone"],
)
async def test_a_garbled_schedule_is_dropped(bus: Bus, raw: bytes) -> None:
    queue = bus.queue("jobs", str)
    await bus.link.call("HSET", f"{queue.base}:schedules", "n", raw)
    await bus.link.call("ZADD", f"{queue.base}:scheduled", 1, "n")
    assert len(await queue.schedules()) <= 1

    async def dropped() -> bool:
        return not await bus.link.call("ZCARD", f"{queue.base}:scheduled")

    with anyio.fail_after(10):
        async with queue.consume("workers") as deliveries:
            await eventually(dropped)
            await queue.put("fine")
            assert (await anext(deliveries)).body == "fine"
