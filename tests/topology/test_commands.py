"""The command line on a Cluster and through sentinels: up, doctor, agents, queues."""

import json
from typing import Any
from urllib.parse import urljoin
from urllib.request import urlopen

import pytest

from bus import Bus
from tests.shell import Shell
from tests.topology.acceptance import Job
from tests.topology.servers import ClusterServers

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["cluster", "sentinels"])
def servers(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


async def test_up_and_doctor(servers: Any, shell: Shell, namespace: str) -> None:
    copy = shell.up("--redis-url", servers.url, "--namespace", namespace)
    assert set(copy.processes()) == {"sidecar", "dashboard", "guard.py"}
    async with Bus.connect(servers.url, namespace=namespace) as bus:
        await bus.queue("jobs", Job).put(Job(1))
    there = ("--redis-url", servers.url, "--namespace", namespace)
    agents = json.loads(shell.run("agents", "--json", *there).stdout)
    assert [agent["role"] for agent in agents] == ["sidecar"]
    assert "jobs" in shell.run("queues", *there).stdout
    doctor = shell.run("doctor", "--json", *there)
    found = {finding["subject"]: finding for finding in json.loads(doctor.stdout)}
    # These servers keep nothing on disk.
    assert (found["redis"]["verdict"], found["durability"]["verdict"]) == ("fine", "fault")
    assert servers.url in found["redis"]["detail"]
    with urlopen(urljoin(copy.running["dashboard_url"], "/healthz")) as health:
        assert health.status == 200


async def test_one_careless_master_is_found(cluster: ClusterServers, shell: Shell) -> None:
    for server in cluster.masters():
        server.call("CONFIG", "SET", "appendonly", "yes")
    careless = cluster.masters()[-1]
    try:
        for server in cluster.masters():
            policy = "allkeys-lru" if server is careless else "noeviction"
            server.call("CONFIG", "SET", "maxmemory-policy", policy)
        doctor = shell.run("doctor", "--json", "--redis-url", cluster.url)
        found = {finding["subject"]: finding["verdict"] for finding in json.loads(doctor.stdout)}
        assert found["eviction"] == "fault"
    finally:
        for server in cluster.masters():
            server.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
            server.call("CONFIG", "SET", "appendonly", "no")
