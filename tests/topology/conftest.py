"""A Cluster of three masters and a Sentinel trio for the session, on both backends."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.topology.servers import ClusterServers, SentinelServers


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="session")
def cluster_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterServers]:
    cluster = ClusterServers(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def cluster(cluster_servers: ClusterServers) -> ClusterServers:
    """Three masters with a replica each: a test may kill what it likes, `mend` comes before."""
    cluster_servers.mend()
    return cluster_servers


@pytest.fixture(scope="session")
def sentinel_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelServers]:
    servers = SentinelServers(tmp_path_factory.mktemp("sentinels"))
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def sentinels(sentinel_servers: SentinelServers) -> SentinelServers:
    """A primary, two replicas, three sentinels: a test may kill what it likes."""
    sentinel_servers.mend()
    return sentinel_servers
