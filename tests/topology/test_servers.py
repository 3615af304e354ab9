"""The bus's promises on every server that the registries offer, and on a Cluster of each."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from argentbus.embedded import free_port
from bus import Bus
from tests.topology.acceptance import everything
from tests.topology.binaries import FOUND, NAMES
from tests.topology.servers import ClusterServers, Server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=NAMES)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param not in FOUND:
        pytest.skip("no such server here: .ci/servers brings those that the registries have")
    return request.param


@pytest.fixture(scope="module")
def server(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    socket = (
        "--unixsocket",
        str(directory / "socket"),
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
    )
    server = Server(directory, free_port(), *socket, binary=FOUND[kind])
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("anyio_backend", "by"), [("asyncio", "port"), ("trio", "socket")], indirect=["anyio_backend"]
)
async def test_everything(server: Server, kind: str, namespace: str, by: str) -> None:
    url = server.url if by == "port" else f"unix://{server.directory}/socket"
    with anyio.fail_after(30):
        await everything(url, namespace)
    async with Bus.connect(url, namespace=namespace) as bus:
        name, _, version = kind.partition("-")
        assert bus.server_version.startswith(version if name == "redis" else f"valkey {version}")
        # Numbers of Valkey's own releases promise other commands than Redis's.
        assert bus.link.server_version[:2] == {"valkey": (7, 2)}.get(
            name, tuple(int(n) for n in version.split("."))
        )


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_everything_on_a_cluster(kind: str, namespace: str, tmp_path: Path) -> None:
    cluster = ClusterServers(tmp_path, 3, replicas=0, binary=FOUND[kind])
    try:
        await anyio.to_thread.run_sync(cluster.start)
        with anyio.fail_after(30):
            await everything(cluster.url, namespace)
        async with Bus.connect(cluster.url, namespace=namespace) as bus:
            assert bus.link.sharded == (kind != "redis-6.2")
    finally:
        cluster.stop()
