"""Processes: their end without a close, their children, and Ctrl-C in each kind of wait."""

import signal
import subprocess
import sys
import threading
import time
from typing import Any

from bus.blocking import Bus
from tests.bus.blocking.waiting import eventually


def call(bus: Bus, *command: Any) -> Any:
    return bus.portal.call(bus.over.link.call, *command)


PROGRAM = """
import os, sys, time
from bus import BusError
from bus.blocking import Bus
url, namespace, what = sys.argv[1:]
bus = Bus.connect(url, namespace=namespace, ttl=1.0)
"""


def run(code: str, *args: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, "-W", "default", "-c", PROGRAM + code, *args],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == expect, ended.stderr
    return ended


def test_the_interpreter_ends_although_nobody_closed(redis_server: Any, namespace: str) -> None:
    code = "agent = bus.join('scout'); agent.__enter__(); lock = bus.lock('beat'); lock.__enter__()"
    ended = run(code, redis_server.url, namespace, "")
    assert "ResourceWarning: unclosed blocking" in ended.stderr
    assert "Traceback" not in ended.stderr
    with Bus.connect(redis_server.url, namespace=namespace) as bus:
        assert bus.registry.snapshot().agents == {}
        with bus.lock("beat", wait=0):
            pass


def test_the_interpreter_ends_although_redis_is_silent(own_redis: Any, namespace: str) -> None:
    code = f"agent = bus.join('scout'); agent.__enter__(); os.kill({own_redis.process.pid}, 19)"
    started = time.monotonic()
    ended = run(code, own_redis.url, namespace, "")
    assert time.monotonic() - started < 10
    assert "Traceback" not in ended.stderr


def test_a_child_process_is_told_to_connect_anew(redis_server: Any, namespace: str) -> None:
    code = """
bus.queue("jobs", int).put(0)
with bus, bus.lock("beat") as lease, bus.join("scout"):
    child = os.fork()
    if child == 0:
        for use in (lambda: bus.queue("jobs", int).put(1), lambda: bus.lock("a").__enter__(),
                    lambda: bus.topic("a", int).publish(1), bus.queues, lease.check, lease.extend):
            try:
                use()
            except BusError as error:
                assert "connect anew after a fork" in str(error), error
            else:
                sys.exit(9)
        if lease.remaining:
            sys.exit(8)
        with Bus.connect(url, namespace=namespace) as own:
            own.queue("jobs", int).put(2)
        sys.exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    bus.queue("jobs", int).put(4)
    print(bus.queue("jobs", int).statistics().length, list(bus.registry.snapshot().agents))
"""
    ended = run(code, redis_server.url, namespace, "")
    assert ended.stdout == "3 ['scout']\n"
    assert "Traceback" not in ended.stderr


def test_ctrl_c_leaves_cleanly(redis_server: Any, namespace: str) -> None:
    with (
        Bus.connect(redis_server.url, namespace=namespace) as bus,
        bus.lock("taken"),
        bus.join("mute"),
    ):
        keys = bus.over.keys
        waits: dict[str, tuple[str, tuple[str, ...]]] = {
            "put": ("while True: queue.put(1)", ("XLEN", keys.queue("jobs"))),
            "receive": ("deliveries.receive()", ("EXISTS", keys.queue("none"))),
            "lock": ("bus.lock('taken').__enter__()", ("ZCARD", keys.lock("taken") + ":waiters")),
            "locks": ("bus.locks('a', 'taken').__enter__()", ("EXISTS", keys.lock("a"))),
            "request": (
                "agent.request('nobody', 1, int, timeout=60)",
                ("XLEN", keys.inbox("nobody")),
            ),
            "gather": ("agent.gather(1, int, timeout=60)", ("XLEN", keys.inbox("mute"))),
            "once": (
                "[list(bus.once_per('job', 3600)) for _ in '12']",
                ("EXISTS", keys.once("job")),
            ),
            "watch": (
                "list(bus.map('plan', int).watch().__enter__())",
                ("EXISTS", keys.map("plan")),
            ),
            "work": ("queue.work('workers', print)", ("EXISTS", keys.queue("jobs"))),
        }
        bus.map("plan", int).put("a", 1)
        for what, (wait, begun) in waits.items():
            code = f"""
queue = bus.queue("jobs", int)
with bus, bus.join("scout") as agent, bus.lock("beat"):
    with bus.queue("none", int).consume("workers") as deliveries:
        print("ready", flush=True)
        {wait}
"""
            with subprocess.Popen(
                [sys.executable, "-c", PROGRAM + code, redis_server.url, namespace, what],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                eventually(lambda begun=begun: call(bus, *begun))  # it is in the wait
                process.send_signal(signal.SIGINT)
                watchdog = threading.Timer(15, process.kill)
                watchdog.start()
                _, errors = process.communicate()
                watchdog.cancel()
            assert process.returncode == -signal.SIGINT, (what, errors)
            assert errors.rstrip().endswith("KeyboardInterrupt"), (what, errors)
            assert bus.registry.snapshot().agents.keys() == {"mute"}, what
            with bus.locks("a", "beat", wait=0):
                pass
        assert call(bus, "ZCARD", bus.over.keys.lock("taken") + ":waiters") == 0


PREFORK = """
import multiprocessing, os, sys
from bus.blocking import Bus
url, namespace = sys.argv[1:]

def work(number):
    # What a worker of gunicorn or Celery does at its start: a bus of its own, and the parent's is
    # neither used nor ended.
    with Bus.connect(url, namespace=namespace) as bus, bus.join(f"child-{number}"):
        for n in range(20):
            bus.queue("jobs", int).put(n)
    return os.getpid()

with Bus.connect(url, namespace=namespace) as bus, bus.join("parent") as agent:
    bus.queue("jobs", int).put(-1)
    with bus.lock("beat", ttl=0.5) as lease, multiprocessing.get_context("fork").Pool(3) as pool:
        assert os.getpid() not in pool.map(work, range(6))
        lease.check()
        agent.check()
    print(bus.queue("jobs", int).statistics().length, *bus.registry.snapshot().agents)
"""


def test_workers_that_were_forked_off_have_buses_of_their_own(
    redis_server: Any, namespace: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PREFORK, redis_server.url, namespace],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == ("121 parent\n", 0), ended.stderr
    assert "Traceback" not in ended.stderr
