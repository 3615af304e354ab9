"""Servers for the tests of the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from argentbus.embedded import free_port
from tests.conftest import RedisServer


@pytest.fixture
def forgetful_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that keeps nothing on disk."""
    server = RedisServer(tmp_path / "forgetful", free_port(), settings={"appendonly": "no"})
    server.start()
    try:
        yield server
    finally:
        server.stop()
