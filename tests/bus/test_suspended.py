"""Consumers that stood still past their TTL: what they had read ahead is others' by then."""

import signal
import subprocess
import sys
from typing import Any

import anyio
import anyio.to_thread
import pytest

from bus import Bus

pytestmark = pytest.mark.anyio

#: Handles what comes; the first keeps it busy, event loop and all, until it is told to go on.
CONSUMER = """
import sys
import anyio
from bus import Bus

async def main(url, namespace):
    async with Bus.connect(url, namespace=namespace, ttl=0.6) as bus:
        async with bus.queue("jobs", int).consume("workers", prefetch=100) as deliveries:
            async for delivery in deliveries:
                async with delivery:
                    print(delivery.body, flush=True)
                    if delivery.body == 0:
                        sys.stdin.readline()

anyio.run(main, *sys.argv[1:3], backend=sys.argv[3])
"""


async def test_who_wakes_after_its_ttl_handles_nothing_that_others_have_handled(
    bus: Bus, redis_server: Any, namespace: str, anyio_backend_name: str
) -> None:
    queue = bus.queue("jobs", int)
    for number in range(30):
        await queue.put(number)
    argv = [sys.executable, "-c", CONSUMER, redis_server.url, namespace, anyio_backend_name]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as suspended:
        try:
            assert suspended.stdin is not None
            assert suspended.stdout is not None
            readline = suspended.stdout.readline
            assert await anyio.to_thread.run_sync(readline) == "0\n"
            suspended.send_signal(signal.SIGSTOP)
            handled = []
            with anyio.fail_after(10):
                async with queue.consume("workers") as deliveries:
                    while len(handled) < 30:
                        async with await anext(deliveries) as delivery:
                            handled.append(delivery.body)
            assert sorted(handled) == list(range(30))
            suspended.send_signal(signal.SIGCONT)
            suspended.stdin.write("go on\n")
            suspended.stdin.flush()
            await queue.put(99)
            with anyio.fail_after(10):
                assert await anyio.to_thread.run_sync(readline) == "99\n"
        finally:
            suspended.kill()
