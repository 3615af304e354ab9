"""The same work done by FastStream, taskiq and NATS JetStream, beside ours and the bare driver."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from argentbus.embedded import free_port
from argentbus.embedded.redis import HOST, port_is_taken
from argentbus.errors import EmbeddedServerFailed

from .load import Load, Outcome, measure
from .systems import BARE, OURS, PEERS, System, load

SIZES: Final = (200, 4096)

#: Messages a second at low load.
LOW: Final = 200.0

#: How often all systems in turn are measured with 500 publishers: the median counts, as a shared
#: machine is now faster, now slower.
ROUNDS: Final = 3


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One system with messages of one size.

    Attributes:
        one, many: Messages a second, put to acknowledged, by one publisher and by 500.
        cpu: Microseconds of processor time a message, of both clients together, by 500.
        low, half: p50 and p99 in milliseconds at 200 a second, and at half of `many`.
        missing: Why it could not be measured, or an empty string.
    """

    system: str
    size: int
    one: float = 0.0
    many: float = 0.0
    cpu: float = 0.0
    low: tuple[float, float] = (0.0, 0.0)
    half: tuple[float, float] = (0.0, 0.0)
    missing: str = ""


async def compare(urls: dict[str, str], seconds: float, say: Callable[[str], None]) -> list[Row]:
    """Measure every system at every size.

    Args:
        urls: Of the servers, by `redis` and `nats`; a system whose server is missing is said so.
        seconds: That one measurement is to take, about.
        say: Told what comes next.
    """
    rows = []
    for size in SIZES:
        here: dict[str, System] = {}
        for name in (OURS, BARE, *PEERS):
            try:
                system = load(name)
            except ModuleNotFoundError as error:
                missing = f"needs {error.name}: pip install 'argentbus[peers]'"
                rows.append(Row(system=name, size=size, missing=missing))
                continue
            if system.SERVER not in urls:
                missing = "needs nats-server on the PATH"
                rows.append(Row(system=system.TITLE, size=size, missing=missing))
                continue
            here[name] = system
        many: dict[str, list[Outcome]] = {name: [] for name in here}
        for number in range(1, ROUNDS + 1):
            for name, system in here.items():
                say(f"{system.TITLE}, {size} bytes, 500 publishers, round {number} of {ROUNDS}")
                many[name].append(await _most(name, urls[system.SERVER], size, 500, seconds))
        for name, system in here.items():
            say(f"{system.TITLE}, {size} bytes, 1 publisher, low and half load")
            middle = sorted(many[name], key=lambda outcome: outcome.rate)[ROUNDS // 2]
            rows.append(await _row(name, system, urls[system.SERVER], size, seconds, middle))
    return rows


async def _most(name: str, url: str, size: int, publishers: int, seconds: float) -> Outcome:
    sounding = await measure(name, url, Load(1000, size, publishers))
    # Once more for as long as it will take: the first thousand are mostly the time to get going.
    for _ in range(2):
        count = max(1000, int(sounding.rate * seconds))
        sounding = await measure(name, url, Load(count, size, publishers))
    return sounding


async def _row(
    name: str, system: System, url: str, size: int, seconds: float, many: Outcome
) -> Row:
    one = await _most(name, url, size, 1, seconds)
    low = await measure(name, url, Load(int(LOW * seconds), size, rate=LOW))
    rate = many.rate / 2
    half = await measure(name, url, Load(int(rate * seconds), size, rate=rate))
    return Row(
        system=system.TITLE,
        size=size,
        one=one.rate,
        many=many.rate,
        cpu=many.cpu,
        low=(low.p50, low.p99),
        half=(half.p50, half.p99),
    )


def redis_benchmark(host: str, port: int, size: int) -> float | None:
    """XADDs a second by redis-benchmark with pipelines of 64, where it is installed."""
    program = shutil.which("redis-benchmark")
    if program is None:
        return None
    command = [program, "-h", host, "-p", str(port), "-P", "64", "-n", "200000", "-q", "--csv"]
    ended = subprocess.run(
        [*command, "XADD", "redis-benchmark", "*", "e", "x" * size],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    line = next(line for line in ended.stdout.splitlines() if "XADD" in line)
    return float(line.split('","')[1].strip('"'))


@contextmanager
def nats_server(directory: Path) -> Iterator[str | None]:
    """A NATS server with JetStream on a port of its own, where one is installed."""
    program = shutil.which("nats-server")
    if program is None:
        yield None
        return
    port = free_port()
    arguments = ["-js", "-sd", str(directory), "-a", HOST, "-p", str(port)]
    with subprocess.Popen([program, *arguments], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 10
            while not port_is_taken(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise EmbeddedServerFailed("nats-server did not start: try it by hand")
                time.sleep(0.02)
            yield f"nats://{HOST}:{port}"
        finally:
            process.kill()
