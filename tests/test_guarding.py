"""The servers that a test has started end with it, also where it is killed."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio
import psutil
import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.anyio

TEST = """
import sys, time
from pathlib import Path
from argentbus.embedded import free_port
from tests.conftest import RedisServer
from tests.postgres import PostgresServer

place = Path(sys.argv[1])
ended = RedisServer(place / "ended", free_port())
ended.start()
ended.stop()
redis, postgres = RedisServer(place / "r", free_port()), PostgresServer(place / "p", free_port())
for server in (redis, postgres):
    server.start()
print(redis.process.pid, postgres.process.pid, flush=True)
time.sleep(60)
"""


async def test_the_servers_of_a_test_that_is_killed_end_with_it() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        tempfile.TemporaryDirectory(prefix="argentbus-", ignore_cleanup_errors=True) as place,
        subprocess.Popen(
            [sys.executable, "-c", TEST, place],
            stdout=subprocess.PIPE,
            env=environment,
            cwd=Path(__file__).parents[1],
        ) as process,
    ):
        assert process.stdout is not None
        with anyio.fail_after(40):
            line = await anyio.to_thread.run_sync(process.stdout.readline)
        servers = [psutil.Process(int(pid)) for pid in line.split()]
        assert len(servers) == 2
        process.send_signal(signal.SIGKILL)
        await eventually(lambda: not any(server.is_running() for server in servers), timeout=20)
