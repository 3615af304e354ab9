"""One system under one load: publishers here, a consumer in another process."""

import sys
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from bus.messages.envelope import new_id

from .systems import Payload, Put, load
from .worker import Report, cpu

#: Seconds between two bursts of a paced load.
TICK = 0.01


class Load(msgspec.Struct, frozen=True):
    """What is to be put.

    Attributes:
        count: Messages.
        size: Bytes of a message, about.
        publishers: Tasks that put, each awaiting its own.
        rate: Messages a second, or None for as many as it takes.
    """

    count: int
    size: int = 200
    publishers: int = 500
    rate: float | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        rate: Messages a second, from the first put to the last acknowledgement.
        p50, p99: Milliseconds from put to handler.
        cpu: Microseconds of processor time a message, of both clients together.
    """

    rate: float
    p50: float
    p99: float
    cpu: float


async def measure(name: str, url: str, wanted: Load) -> Outcome:
    """Put `wanted` through the system `name`.

    Raises:
        ModuleNotFoundError: its package is not installed.
    """
    channel = f"bench-{new_id()}"
    text = "x" * max(0, wanted.size - 80)
    system = load(name)
    async with (
        _worker(name, url, channel, wanted.count) as lines,
        system.publisher(url, channel) as put,
    ):
        began, started = cpu(), time.perf_counter()
        if wanted.rate is None:
            await _all_at_once(put, wanted, text)
        else:
            await _paced(put, wanted, wanted.rate, text)
        line = await lines.receive_until(b"\n", 1 << 16)
        seconds, ours = time.perf_counter() - started, cpu() - began
        report = msgspec.json.decode(line, type=Report)
    return Outcome(
        rate=wanted.count / seconds,
        p50=report.p50,
        p99=report.p99,
        cpu=(ours + report.cpu) / wanted.count * 1e6,
    )


async def _all_at_once(put: Put, wanted: Load, text: str) -> None:
    left = wanted.count

    async def publish() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await put(Payload(time.time(), text))

    async with anyio.create_task_group() as tasks:
        for _ in range(wanted.publishers):
            tasks.start_soon(publish)


async def _paced(put: Put, wanted: Load, rate: float, text: str) -> None:
    """A message every 1/rate seconds; above 100 a second, in bursts every 10 ms.

    What is due is put by whichever publisher is free, and counts from the moment it was handed to
    them: that none was free shows in the latency.
    """
    due: deque[float] = deque()
    idle: list[anyio.Event] = []

    async def publish() -> None:
        while True:
            if due:
                await put(Payload(due.popleft(), text))
            elif sent < wanted.count:
                idle.append(wake := anyio.Event())
                await wake.wait()
            else:
                return

    async with anyio.create_task_group() as tasks:
        started, sent = anyio.current_time(), 0
        for _ in range(wanted.publishers):
            tasks.start_soon(publish)
        while sent < wanted.count:
            await anyio.sleep(max(TICK, 1 / rate) if rate < 1000 else TICK)
            reached = min(wanted.count, int((anyio.current_time() - started) * rate) + 1)
            due.extend([time.time()] * (reached - sent))
            sent = reached
            called = len(idle) if sent == wanted.count else min(len(idle), len(due))
            for _ in range(called):
                idle.pop().set()


@asynccontextmanager
async def _worker(
    name: str, url: str, channel: str, count: int
) -> AsyncGenerator[BufferedByteReceiveStream]:
    command = [sys.executable, "-m", "argentbus.bench.worker", name, url, channel, str(count)]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        lines = BufferedByteReceiveStream(process.stdout)
        try:
            await lines.receive_until(b"\n", 100)
            yield lines
        finally:
            if process.returncode is None:
                process.kill()
