"""The bus's tests run on asyncio and on trio."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bus import Bus


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def bus(redis_server: Any, namespace: str) -> AsyncIterator[Bus]:
    async with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0, patience=10.0) as bus:
        yield bus
