"""A pool of workers with retries, dead letters and a schedule: it counts the words of documents.

    python examples/workers.py work                  # as many as you like; Ctrl-C drains
    python examples/workers.py put README.md ...     # have documents counted
    python examples/workers.py nightly README.md     # and one of them at three each night
    python examples/workers.py dead                  # what could not be counted, and why
    python examples/workers.py replay                # have that tried again

On the Redis of `argentbus up`, or the one that ARGENTBUS_REDIS_URL names.
"""

import os
import signal
import sys

import anyio
import msgspec

from bus import Bus, Delivery, Queue

URL = os.environ.get("ARGENTBUS_REDIS_URL", "redis://127.0.0.1:6380")
NAMESPACE = os.environ.get("ARGENTBUS_NAMESPACE", "argent")


class Document(msgspec.Struct):
    path: str


async def work(bus: Bus, documents: Queue[Document]) -> None:
    """Count until a signal comes; then finish what is in hand, and give back the rest."""

    async def count(delivery: Delivery[Document]) -> None:
        path = delivery.body.path
        try:
            text = await anyio.Path(path).read_text()
        except UnicodeDecodeError:
            await delivery.reject("it is not text")  # a dead letter at once: no retry would help
            return
        # Any other exception has it tried again, anywhere, after a pause that doubles; the fourth
        # one buries it. A message may come twice: this may be done twice.
        await bus.map("totals", int).put(f"file:{path}", len(text.split()))
        print(f"counted {path}, attempt {delivery.attempt}", flush=True)

    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_on_signal, stop)
        # A worker that is killed loses its messages to the others within `ttl` seconds.
        await documents.work("counters", count, concurrency=4, handler_timeout=60, ttl=5, stop=stop)
        tasks.cancel_scope.cancel()


async def stop_on_signal(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        await anext(signals)
        stop.set()


async def main(command: str, *arguments: str) -> None:
    async with Bus.connect(URL, namespace=NAMESPACE) as bus:
        documents = bus.queue("documents", Document, max_deliveries=4)
        match command, arguments:
            case "work", []:
                await work(bus, documents)
            case "put", paths:
                for path in paths:
                    await documents.put(Document(path))
            case "nightly", [path, *cron]:
                await documents.schedule("nightly", *(cron or ["0 3 * * *"]), Document(path))
            case "dead", []:
                for letter in await documents.dead_letters():
                    print(f"{letter.body(Document).path}: {letter.reason}")
            case "replay", []:
                print(f"put back: {await documents.replay_all()}")
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    anyio.run(main, *(sys.argv[1:] or ["help"]))
