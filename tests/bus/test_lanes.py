"""The lanes to streams: as many are kept as are in use, and some more."""

import gc

import pytest

from bus import FSYNCED, Bus
from bus.queues import appender

pytestmark = pytest.mark.anyio

KEPT = 5


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appender, "MOST_LANES", KEPT, raising=False)


async def test_who_writes_to_ever_new_streams_keeps_no_lane_to_each(bus: Bus) -> None:
    kept = bus.queue("kept", int)
    async with bus.join("scout") as scout:
        await kept.put(0)
        for number in range(50):
            await scout.send(f"agent-{number % 20}", number)
            await kept.put(number + 1)
        gc.collect()
        assert len(bus.appender._lanes) <= KEPT + 1  # those, and that of `kept`
        for number in range(20):
            # What was sent on a lane that was dropped since is no repetition of what came before.
            inbox = bus.keys.inbox(f"agent-{number}")
            assert await bus.link.call("XLEN", inbox) == len(range(number, 50, 20))
    assert await bus.link.call("XLEN", kept.base) == 51


async def test_a_lane_that_is_dropped_gives_its_connection_up(bus: Bus) -> None:
    async def connections() -> int:
        return len((await bus.link.call("CLIENT", "LIST", "TYPE", "normal")).splitlines())

    if bus.link.server_version < (7, 2):
        pytest.skip("no WAITAOF")
    before = await connections()
    for number in range(3 * KEPT):
        await bus.queue(f"q{number}", int).put(number, durability=FSYNCED)
    assert await connections() <= before + KEPT + 1
