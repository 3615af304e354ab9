"""The other process of a measurement: consumes, and says on standard output when it is done.

Run as `python -m argentbus.bench.worker KIND URL NAMESPACE COUNT`.
"""

import sys
import time
from typing import cast

import msgspec
from coredis import Redis

from argentbus.loop import run
from bus import Bus


class Payload(msgspec.Struct):
    """What is sent: 200 bytes or so with its envelope."""

    sent: float
    text: str


def say(word: str) -> None:
    """Tell the measuring process."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def consume(url: str, namespace: str, count: int) -> None:
    """Handle and acknowledge `count` deliveries; report their latencies in ms."""
    latencies = []
    async with (
        Bus.connect(url, namespace=namespace) as bus,
        bus.queue("bench", Payload).consume("bench", prefetch=1000) as deliveries,
    ):
        say("ready")
        for _ in range(count):
            async with await anext(deliveries) as delivery:
                latencies.append((time.time() - delivery.body.sent) * 1000)
        await deliveries.settlements.flush()
        say(msgspec.json.encode(latencies).decode())


async def consume_bare(url: str, namespace: str, count: int) -> None:
    """The same with nothing but the driver: XREADGROUP COUNT 1000 and one XACK for all."""
    key = f"{namespace}:bare"
    decode = msgspec.msgpack.Decoder(Payload).decode
    latencies: list[float] = []
    async with Redis.from_url(url) as redis:
        await redis.xgroup_create(key, "bench", identifier="0", mkstream=True)
        say("ready")
        while len(latencies) < count:
            streams = await redis.xreadgroup(
                "bench", "one", streams={key: ">"}, count=1000, block=5000
            )
            for entries in (streams or {}).values():
                for entry in entries:
                    body = decode(cast("bytes", entry.field_values[b"e"]))
                    latencies.append((time.time() - body.sent) * 1000)
                await redis.xack(key, "bench", [entry.identifier for entry in entries])
        say(msgspec.json.encode(latencies).decode())


if __name__ == "__main__":
    _, kind, url, namespace, count = sys.argv
    run(consume if kind == "bus" else consume_bare, url, namespace, int(count))
