"""A web application, workers and a script without async: what Flask, Celery and cron are used for.

python examples/blocking.py redis://127.0.0.1:6380 worker        any number of them
python examples/blocking.py redis://127.0.0.1:6380 web 8000      POST /NAME asks for a report
python examples/blocking.py redis://127.0.0.1:6380 script NAME...  asks, and waits for all
"""

import os
import signal
import sys
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server

import msgspec

from bus import MapSnapshot
from bus.blocking import Bus, Delivery


class Order(msgspec.Struct):
    name: str


class Report(msgspec.Struct):
    text: str
    worker: int


def worker(bus: Bus) -> None:
    reports = bus.map("reports", Report)

    def write(delivery: Delivery[Order]) -> None:  # in one of four threads
        with bus.lock(f"report:{delivery.body.name}", ttl=10) as lease:
            text = f"all about {delivery.body.name}"
            lease.check()  # LockLost, if it is another's by now: a thread cannot be cancelled
            reports.put(delivery.body.name, Report(text, os.getpid()))

    print("ready", flush=True)
    # Ends with Ctrl-C or SIGTERM: then handlers finish, and what was read ahead goes back.
    bus.queue("orders", Order).work("writers", write, concurrency=4, drain=10, handler_timeout=60)


def web(bus: Bus, port: str) -> None:
    orders, reports = bus.queue("orders", Order), bus.map("reports", Report)

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        name = environ["PATH_INFO"].strip("/")
        if environ["REQUEST_METHOD"] == "POST":
            # Twice the same within a day is one order. It is in Redis when this returns.
            orders.put(Order(name), dedupe=name)
            start_response("202 Accepted", [])
            return [b"ordered\n"]
        entry = reports.get(name)
        start_response("200 OK" if entry else "404 Not Found", [])
        return [f"{entry.value.text}\n".encode()] if entry else []

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True  # all of them use the one bus

    with make_server("127.0.0.1", int(port), application, Server) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


def script(bus: Bus, *names: str) -> None:
    missing = set(names)
    with bus.map("reports", Report).watch() as changes:
        for name in names:
            bus.queue("orders", Order).put(Order(name))
        for item in changes:
            missing -= item.entries.keys() if isinstance(item, MapSnapshot) else {item.key}
            if not missing:
                break
    print(*sorted(names), "written")


if __name__ == "__main__":
    roles = {"worker": worker, "web": web, "script": script}
    if len(sys.argv) < 3 or sys.argv[2] not in roles:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    namespace = os.environ.get("ARGENTBUS_NAMESPACE", "argent")
    with Bus.connect(sys.argv[1], namespace=namespace, ttl=3) as connected:
        roles[sys.argv[2]](connected, *sys.argv[3:])
