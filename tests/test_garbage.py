"""Garbled bytes in every stream and on every channel, while everything is at work."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import msgspec
import redis

from bus.messages.envelope import wrap
from tests.shell import Shell

RANDOM = random.Random(1)


def garbage() -> Iterator[bytes]:
    """Messages that nobody can have meant."""
    _, message = wrap({"what": "ever"}, sender="nobody")
    _, request = wrap({"part": "items", "method": "drop"}, sender="x", reply_to="nowhere")
    deep: object = 0
    for _ in range(500):
        deep = [deep]
    while True:
        yield b""
        yield RANDOM.randbytes(RANDOM.randrange(1, 200))
        yield message[: RANDOM.randrange(len(message))]
        yield message
        yield request
        yield msgspec.msgpack.encode(deep)
        yield b"\x91" * 5000 + b"\xc0"
        yield b"wake:\xff\xfe"
        yield b"wake:" + RANDOM.randbytes(10)


class Vandal:
    """Writes garbage into whatever streams and channels there are."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url)
        self._garbage = garbage()
        self.streams: set[bytes] = set()
        self.channels: set[bytes] = set()

    def strike(self) -> None:
        for key in self._redis.scan_iter(count=1000, _type="stream"):
            self.streams.add(key)
            self._redis.xadd(key, {"e": next(self._garbage)})
            self._redis.xadd(key, {"kind": next(self._garbage), "agent": next(self._garbage)})
            self._redis.xadd(key, {next(self._garbage) or b"x": b"y"})
        for channel in self._redis.pubsub_channels():
            self.channels.add(channel)
            self._redis.publish(channel, next(self._garbage))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        over = threading.Event()

        def work() -> None:
            while not over.wait(0.02):
                self.strike()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def test_nothing_stops_and_nothing_is_lost(shell: Shell) -> None:
    copy = shell.up()
    vandal = Vandal(copy.redis_url)
    with vandal.at_work():
        demo = json.loads(shell.run("demo", "--json").stdout)
        with urlopen(copy.running["dashboard_url"] + "events", timeout=10) as events:
            lines = iter(events.readline, b"")
            assert next(line for line in lines if line.startswith(b"event: snapshot"))
            assert next(line for line in lines if line.startswith(b"event: update"))
    kinds = {key.rpartition(b":")[2] for key in vandal.streams}
    assert {b"events", b"inbox", b"log"} < kinds
    assert any(b"{queue:newsroom.pages}" in key for key in vandal.streams)
    for name in (b"topic:news", b"topic:dashboard", b"instance:"):
        assert any(name in channel for channel in vandal.channels), name

    stored = demo["stored"]
    assert stored["completed"] == demo["pages"]
    assert (stored["items"], stored["missing"], stored["twice"]) == (demo["sections"], 0, 0)
    assert demo["dead_letters"] > 0
    reasons = {letter["reason"].split(":")[0] for letter in _dead(shell, "newsroom.pages")}
    assert {"the entry has no field named e", "not an envelope"} <= reasons

    for name in ("sidecar", "dashboard"):
        log = (shell.data / "logs" / f"{name}.log").read_text()
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]
    # The agents' own handlers fail on what they did not ask for; that is logged, nothing else.
    for path in (shell.data / "logs").glob("demo-*.log"):
        log = path.read_text()
        assert log.count("Traceback") == log.count("a handler failed: "), log
    processes = copy.processes()
    assert len(processes) == 4
    assert all(time.time() - one.create_time() > 5 for one in processes.values()), "restarted"


def _dead(shell: Shell, queue: str) -> list[dict[str, str]]:
    letters: list[dict[str, str]] = json.loads(
        shell.run("queues", "dead", queue, "--json", "--limit", "1000").stdout
    )
    return letters
