"""The example of the blocking bus, run as a reader would run it."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from typing import Any

from tests.bus.blocking.waiting import eventually
from tests.shell import ROOT


def fetched(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        assert error.code == 404
        return b""


def test_blocking(redis_server: Any, namespace: str) -> None:
    environment = {**os.environ, "ARGENTBUS_NAMESPACE": namespace, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "examples/blocking.py", redis_server.url]

    def start(*args: str) -> "subprocess.Popen[str]":
        process = running.enter_context(
            subprocess.Popen(
                [*command, *args],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        running.callback(process.kill)
        return process

    with ExitStack() as running:
        workers = [start("worker") for _ in range(2)]
        web = start("web", "0")
        assert web.stdout is not None
        url = web.stdout.readline().strip()
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for _ in range(2):  # one order
            order = urllib.request.Request(f"{url}/cats", method="POST")
            with urllib.request.urlopen(order, timeout=10) as answer:
                assert (answer.status, answer.read()) == (202, b"ordered\n")
        workers[0].kill()
        asked = start("script", "ants", "bees", *map(str, range(20)))
        said, errors = asked.communicate(timeout=30)
        assert (asked.returncode, errors) == (0, "")
        assert said.endswith("9 ants bees written\n")
        # It may have been in the hands of the one that was killed.
        eventually(lambda: fetched(f"{url}/cats") == b"all about cats\n")
        for process in (workers[1], web):
            process.send_signal(signal.SIGTERM)
            said, errors = process.communicate(timeout=20)
            assert process.returncode == 0, errors
            assert "Traceback" not in errors
