"""Servers for the tests of the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from argentbus.embedded import free_port
from tests.conftest import RedisServer

SETTINGS = {"appendonly": "no", "maxmemory-policy": "allkeys-lru"}


@pytest.fixture
def forgetful_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that keeps nothing on disk, and throws away what has no room."""
    server = RedisServer(tmp_path / "forgetful", free_port(), settings=SETTINGS)
    server.start()
    try:
        yield server
    finally:
        server.stop()
