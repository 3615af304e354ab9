"""A server without memory for anything new: what is there is settled all the same."""

from typing import Any

import anyio
import pytest

from bus import Bus, ServerFull

pytestmark = pytest.mark.anyio


async def test_a_lane_goes_on_and_what_is_given_up_becomes_a_dead_letter(
    own_redis: Any, namespace: str
) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace) as bus:
        queue = bus.queue("jobs", str, ordered=True)
        bounded = bus.queue("jobs", str, ordered=True, max_bytes=100_000)
        for body in ("a1", "a2"):
            await bounded.put(body, key="a")
        await queue.put("b1")
        with anyio.fail_after(20):
            async with queue.consume("workers") as deliveries:
                first, other = await anext(deliveries), await anext(deliveries)
                assert (first.body, other.body) == ("a1", "b1")
                await bus.link.call("CONFIG", "SET", "maxmemory", "1")
                with pytest.raises(ServerFull):
                    await queue.put("b2")
                await first.ack()
                await other.reject("no")
                second = await anext(deliveries)
                assert second.body == "a2"
                await second.ack()
                await bus.link.call("CONFIG", "SET", "maxmemory", "0")
        [letter] = await queue.dead_letters()
        assert letter.body(str) == "b1"
        await bounded.put("c", key="c")
        statistics = await queue.statistics()
        assert (statistics.length, statistics.parked) == (1, 0)
        assert statistics.bytes is not None
        assert 0 < statistics.bytes < 200
