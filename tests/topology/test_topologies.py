"""The bus's promises on a Cluster and through sentinels."""

import pytest

from tests.topology.acceptance import PROMISES
from tests.topology.servers import ClusterServers, SentinelServers

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("promise", PROMISES)
async def test_on_a_cluster(cluster: ClusterServers, namespace: str, promise: str) -> None:
    await PROMISES[promise](cluster.url, namespace)


@pytest.mark.parametrize("promise", PROMISES)
async def test_through_sentinels(sentinels: SentinelServers, namespace: str, promise: str) -> None:
    await PROMISES[promise](sentinels.url, namespace)
