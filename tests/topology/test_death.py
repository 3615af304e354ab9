"""A process that is killed with -9, on a Cluster and behind sentinels: all it held goes on."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from bus import Bus
from tests.bus.test_holdings import Heir, fill, holder, line_of, watcher
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture(
    params=[
        pytest.param(("asyncio", "cluster"), id="cluster"),
        pytest.param(("trio", "sentinels"), id="sentinels"),
    ]
)
def where(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def anyio_backend(where: Any) -> Any:
    return where[0]


@pytest.fixture
async def bus(where: Any, request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[Bus]:
    servers: Any = request.getfixturevalue(where[1])
    async with Bus.connect(servers.url, namespace=namespace, ttl=1.0, patience=10.0) as bus:
        yield bus


async def test_a_lock_a_claim_and_fifty_deliveries_are_with_others_in_time(bus: Bus) -> None:
    await fill(bus)
    with holder(bus) as process:
        assert await line_of(process) == "holds 50 1"
        async with watcher(bus), Heir(bus).waiting() as heir:
            assert heir.got == {}
            process.kill()
            killed_at = anyio.current_time()
            await eventually(lambda: len(heir.got) == 4, timeout=20)
            assert max(heir.got.values()) - killed_at < 2.0
