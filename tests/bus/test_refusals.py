"""What Redis refuses for a while, because its disk cannot be written: it is done when it can be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from bus import Bus, LockLost, ServerFull, ServerRefused
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def unwritable_disk(bus: Bus, server: Any) -> AsyncIterator[None]:
    """Have the server refuse every write, as where its disk is full, until the context ends."""
    snapshot = server.directory / "dump.rdb"
    snapshot.unlink(missing_ok=True)
    snapshot.mkdir()  # what is written elsewhere cannot be moved there
    await bus.link.call("CONFIG", "SET", "save", "3600 100000000")

    async def saved(status: bytes) -> bool:
        info = await bus.link.call("INFO", "persistence")
        return b"rdb_last_bgsave_status:" + status in info and b"bgsave_in_progress:0" in info

    await bus.link.call("BGSAVE")
    await eventually(lambda: saved(b"err"))
    try:
        yield
    finally:
        snapshot.rmdir()
        await bus.link.call("BGSAVE")
        await eventually(lambda: saved(b"ok"))


async def test_what_could_not_be_settled_is_settled_later_and_stays_in_hand_meanwhile(
    own_redis: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace, ttl=1.0) as bus:
        queue = bus.queue("jobs", str)
        for body in ("bury", "retry", "ack"):
            await queue.put(body)
        with anyio.fail_after(20):
            async with queue.consume("workers") as deliveries:
                bury, retry, ack = [await anext(deliveries) for _ in range(3)]
                async with unwritable_disk(bus, own_redis):
                    with pytest.raises(ServerFull, match="disk"):
                        await bury.reject("no")
                    with pytest.raises(ServerFull, match="disk"):
                        await retry.nack(0)
                    with pytest.raises(ServerFull, match="disk"):
                        await ack.ack()
                    assert deliveries.put_off == 3
                    [group] = (await queue.statistics()).groups
                    assert group.pending == 3  # and nobody else has them
                    assert "is put off" in caplog.text
                again = await anext(deliveries)
                assert (again.body, again.attempt) == ("retry", 2)
                await again.ack()
                await eventually(lambda: deliveries.put_off == 0)
                [letter] = await queue.dead_letters()
                assert (letter.body(str), letter.reason) == ("bury", "no")
                [group] = (await queue.statistics()).groups
                assert group.pending == 0


async def test_a_reader_that_reconnects_does_not_hand_back_what_is_put_off(
    own_redis: Any, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace, ttl=1.0) as bus:
        queue = bus.queue("jobs", str)
        await queue.put("bury")
        await bus.link.call("SET", f"{queue.base}:dead", "of a foreign hand")
        with anyio.fail_after(20):
            async with queue.consume("workers") as deliveries:
                with pytest.raises(ServerRefused, match="dead"):
                    await (await anext(deliveries)).reject("no")
                await bus.link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                with anyio.move_on_after(1.0):  # the thing under test: nothing comes meanwhile
                    raise AssertionError(f"delivered again: {await anext(deliveries)!r}")
                await bus.link.call("DEL", f"{queue.base}:dead")
                await eventually(lambda: deliveries.put_off == 0)
        assert (await queue.statistics()).dead == 1


async def test_a_lease_outlives_a_refusal_that_is_shorter(own_redis: Any, namespace: str) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        with anyio.fail_after(20):
            async with bus.lock("work", ttl=3.0) as lease:
                async with unwritable_disk(bus, own_redis):
                    await eventually(lambda: lease.remaining < 1.7)  # a renewal was refused
                    before = lease.remaining
                await eventually(lambda: lease.remaining > before + 0.5)
                lease.check()


async def test_a_lease_that_is_refused_to_its_end_is_lost_with_the_cause(
    own_redis: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    tried_for = 0.0
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        with anyio.fail_after(20), pytest.raises(LockLost, match="disk") as lost:
            async with bus.lock("work", ttl=1.0):
                async with unwritable_disk(bus, own_redis):
                    began = anyio.current_time()
                    try:
                        await anyio.sleep_forever()
                    finally:
                        tried_for = anyio.current_time() - began
        assert isinstance(lost.value.__cause__, ServerFull)
        assert tried_for > 0.5
        assert "tried again" in caplog.text
