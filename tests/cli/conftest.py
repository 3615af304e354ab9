"""Servers for the tests of the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from argentbus.embedded import EmbeddedRedis, free_port


@pytest.fixture
def forgetful_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that keeps nothing on disk."""
    server = EmbeddedRedis(tmp_path / "forgetful", free_port(), settings={"appendonly": "no"})
    server.start()
    try:
        yield server
    finally:
        server.stop()
