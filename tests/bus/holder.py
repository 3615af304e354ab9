"""A process that holds deliveries and does with them as it is told, until it is killed.

Run as `python -m tests.bus.holder`; it reads a command a line, as JSON, and answers with a line.
`Holder` is the other end.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio

from bus import Bus, BusError, Delivery

ROOT = Path(__file__).parents[2]


class Holder:
    """A holder process: started at once, of use when it is first asked."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bus.holder"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, do: str, **what: Any) -> Any:
        """Have it do something; return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    async def aask(self, do: str, **what: Any) -> Any:
        """The same without blocking the event loop."""
        return await anyio.to_thread.run_sync(lambda: self.ask(do, **what))

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.close()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def close(self) -> None:
        """End it in good order, if it still runs."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait(10)
        self.process.stdout.close()  # type: ignore[union-attr]


async def _commands() -> AsyncIterator[dict[str, Any]]:
    while line := await anyio.to_thread.run_sync(sys.stdin.readline):
        yield json.loads(line)


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _take(deliveries: Any, held: dict[str, Delivery[int]], most: int, wait: float) -> Any:
    taken = []
    with anyio.move_on_after(wait):
        while len(taken) < most:
            delivery = await anext(deliveries)
            held[delivery.entry_id] = delivery
            kills = len(delivery.kills)
            taken.append([delivery.entry_id, delivery.body, delivery.attempt, kills])
    return taken


async def _settle(do: str, delivery: Delivery[int]) -> str:
    try:
        if do == "ack":
            await delivery.ack()
        elif do == "nack":
            await delivery.nack(delay=0)
        else:
            await delivery.reject("told to")
    except BusError as error:
        return error.__class__.__name__
    return "done"


async def main() -> None:
    commands = _commands()
    told = await anext(commands)
    held: dict[str, Delivery[int]] = {}
    async with Bus.connect(told["url"], namespace=told["namespace"], ttl=told["ttl"]) as bus:
        queue = bus.queue("jobs", int, **told.get("rules", {}))
        async with queue.consume(told["group"], prefetch=told.get("prefetch", 1)) as deliveries:
            _say(deliveries.name)
            async for told in commands:
                if told["do"] == "take":
                    _say(await _take(deliveries, held, told.get("most", 1), told["wait"]))
                elif told["do"] == "close":
                    break
                else:
                    _say(await _settle(told["do"], held.pop(told["entry"])))
    _say("closed")


if __name__ == "__main__":
    anyio.run(main)
