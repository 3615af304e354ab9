"""The other process of a measurement: consumes, and says on standard output when it is done.

Run as `python -m argentbus.bench.worker SYSTEM URL CHANNEL COUNT`. It prints `ready`, and at the
end one line of JSON: a `Report`.
"""

import resource
import sys
import time

import msgspec

from argentbus.loop import run

from .figures import percentile
from .systems import Payload, load


class Report(msgspec.Struct):
    """What the consuming process has seen.

    Attributes:
        p50, p99: Milliseconds from put to handler.
        cpu: Seconds of processor time that it took.
    """

    p50: float
    p99: float
    cpu: float


def cpu() -> float:
    """Seconds of processor time that this process has taken."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def say(line: str) -> None:
    """Tell the measuring process."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def consume(name: str, url: str, channel: str, count: int) -> None:
    """Handle and acknowledge `count` payloads, and report."""
    latencies: list[float] = []
    began = 0.0

    def ready() -> None:
        nonlocal began
        began = cpu()
        say("ready")

    def handle(payload: Payload) -> bool:
        latencies.append((time.time() - payload.sent) * 1000)
        return len(latencies) >= count

    await load(name).consume(url, channel, ready, handle)
    report = Report(percentile(latencies, 0.5), percentile(latencies, 0.99), cpu() - began)
    say(msgspec.json.encode(report).decode())


if __name__ == "__main__":
    _, name, url, channel, count = sys.argv
    run(consume, name, url, channel, int(count))
