"""Debian's PgBouncer before a test's database, in transaction mode."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from argentbus.embedded import free_port
from tests.postgres import PostgresServer

#: Few enough that clients have to share.
POOL = 2


@contextmanager
def pgbouncer(directory: Path, server: PostgresServer) -> Iterator[int]:
    """PgBouncer on 127.0.0.1: its port. Skips the test where it is not installed, but not in CI."""
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        if "CI" in os.environ:
            raise AssertionError("pgbouncer is not installed")
        pytest.skip("pgbouncer is not installed (Debian's package pgbouncer)")
    directory.mkdir()
    port = free_port()
    users = directory / "users.txt"
    users.write_text(f'"argentbus" "{server.password}"\n')
    settings = directory / "pgbouncer.ini"
    settings.write_text(f"""
[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = {POOL}
max_client_conn = 100
""")
    user = []
    if os.geteuid() == 0:  # it does not run as root
        user = ["--user", server.user or ""]
        for parent in directory.parents:
            parent.chmod(parent.stat().st_mode | 0o001)
        for file in (directory, users, settings):
            shutil.chown(file, server.user)
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, *user, str(settings)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            _wait(process, port, directory / "log")
            yield port
        finally:
            process.terminate()
            process.wait(10)


def through(url: str, port: int) -> str:
    """The URL by way of another port."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"pgbouncer is not up: {log.read_text()}")
