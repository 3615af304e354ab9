"""The bus's tests run on asyncio and on trio."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from bus import Bus
from tests.bus.watched import Watched


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def bus(redis_server: Any, namespace: str) -> AsyncIterator[Bus]:
    async with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0, patience=10.0) as bus:
        yield bus


@pytest.fixture
def watched() -> Iterator[Watched]:
    """Keeps the spans and metrics of what is connected with it."""
    watched = Watched()
    yield watched
    watched.close()


@pytest.fixture
async def two(redis_server: Any, namespace: str, watched: Watched) -> AsyncIterator[list[Bus]]:
    """Two watched connections, as two processes would have."""
    async with watched.connect(redis_server, namespace) as here:
        async with watched.connect(redis_server, namespace) as there:
            yield [here, there]
