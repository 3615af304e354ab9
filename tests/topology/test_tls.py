"""TLS and mutual TLS against real servers, with certificates made here, and what errors advise.

The embedded Redis is built without TLS: another server has to be here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
import trustme

from argentbus.embedded import free_port
from bus import Bus, BusError, BusUnavailable, ServerRefused
from tests.topology.acceptance import everything, topic
from tests.topology.binaries import FOUND, WITH_TLS
from tests.topology.load import under_load
from tests.topology.servers import HOST, ClusterServers, SentinelServers, Server

pytestmark = pytest.mark.anyio


class TlsServer(Server):
    tls_port: int


@dataclass
class Certificates:
    """Files in a directory: an authority, a server's certificate, a client's, a stranger's."""

    ca: Path
    server: Path
    client: Path
    stranger: Path
    strange_ca: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory = tmp_path_factory.mktemp("certificates")
    ours, strange = trustme.CA(), trustme.CA()
    found = {"ca": directory / "ca.pem", "strange_ca": directory / "strange-ca.pem"}
    ours.cert_pem.write_to_path(found["ca"])
    strange.cert_pem.write_to_path(found["strange_ca"])
    for name, ca, host in (
        ("server", ours, "redis.test"),
        ("client", ours, "client.test"),
        ("stranger", strange, "client.test"),
    ):
        found[name] = directory / f"{name}.pem"
        hosts = (host, HOST) if name == "server" else (host,)
        ca.issue_cert(*hosts).private_key_and_cert_chain_pem.write_to_path(found[name])
    return Certificates(**found)


def binary_with_tls() -> Path:
    binary = next((FOUND[name] for name in WITH_TLS if name in FOUND), None)
    if binary is None:
        pytest.skip(f"needs a server with TLS, one of {', '.join(WITH_TLS)}: run .ci/servers")
    return binary


def settings_for(certificates: Certificates, port: int) -> tuple[str, ...]:
    return (
        *("--tls-port", str(port), "--tls-ca-cert-file", str(certificates.ca)),
        *("--tls-cert-file", str(certificates.server), "--tls-key-file", str(certificates.server)),
    )


def serve(directory: Path, certificates: Certificates, *settings: str) -> Iterator[TlsServer]:
    tls_port = free_port()
    server = TlsServer(
        directory,
        free_port(),
        *settings_for(certificates, tls_port),
        *settings,
        binary=binary_with_tls(),
    )
    server.tls_port = tls_port
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def tls(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[TlsServer]:
    directory = tmp_path_factory.mktemp("tls")
    yield from serve(directory, certificates, "--tls-auth-clients", "no")


@pytest.fixture(scope="module")
def mutual(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[TlsServer]:
    yield from serve(tmp_path_factory.mktemp("mutual"), certificates)


async def refused(url: str, match: str, error: type[BusError] = BusUnavailable) -> None:
    with anyio.fail_after(8), pytest.raises(error, match=match) as caught:
        async with Bus.connect(url):
            pytest.fail("connected")
    assert "s3cret" not in str(caught.value)


async def test_a_private_authority(
    tls: TlsServer, certificates: Certificates, namespace: str
) -> None:
    with anyio.fail_after(30):
        await everything(f"rediss://{HOST}:{tls.tls_port}?ca={certificates.ca}", namespace)


async def test_an_authority_that_is_not_trusted(tls: TlsServer, certificates: Certificates) -> None:
    url = f"rediss://:s3cret@{HOST}:{tls.tls_port}"
    await refused(url, "its certificate is not trusted: name the authority .* ca=FILE")
    await refused(f"{url}?ca={certificates.strange_ca}", "its certificate is not trusted")


async def test_a_certificate_of_another_host(tls: TlsServer, certificates: Certificates) -> None:
    url = f"rediss://localhost:{tls.tls_port}?ca={certificates.ca}"
    await refused(url, "its certificate is another host's.*verify=ca")
    async with Bus.connect(f"{url}&verify=ca") as bus:
        assert await bus.link.call("PING") == b"PONG"


async def test_mutual(mutual: TlsServer, certificates: Certificates, namespace: str) -> None:
    url = f"rediss://{HOST}:{mutual.tls_port}?ca={certificates.ca}"
    await topic(f"{url}&cert={certificates.client}", namespace)
    await refused(url, "certificate of ours: name one with cert=FILE")
    await refused(f"{url}&cert={certificates.stranger}", "not accept our certificate")


async def test_plain_and_tls_are_mixed_up(tls: TlsServer, certificates: Certificates) -> None:
    await refused(f"rediss://{HOST}:{tls.port}?ca={certificates.ca}", "does not speak TLS there")
    await refused(f"redis://{HOST}:{tls.tls_port}", "if it speaks TLS, write rediss://")


async def test_files_that_cannot_be_used(
    tls: TlsServer, certificates: Certificates, tmp_path: Path
) -> None:
    url = f"rediss://{HOST}:{tls.tls_port}"
    absent, empty = tmp_path / "absent.pem", tmp_path / "empty.pem"
    empty.touch()
    await refused(f"{url}?ca={absent}", r"cannot use .*absent\.pem for TLS \(No such", BusError)
    await refused(f"{url}?ca={empty}", r"cannot use .*empty\.pem for TLS", BusError)
    await refused(f"{url}?cert={certificates.ca}", r"cannot use .*ca\.pem for TLS", BusError)
    await refused(f"{url}?key={certificates.client}", "a key needs its certificate", BusError)
    await refused(f"{url}?verify=none", "never left unverified", BusError)


async def test_a_cluster(certificates: Certificates, namespace: str, tmp_path: Path) -> None:
    cluster = ClusterServers(
        tmp_path,
        replicas=0,
        binary=binary_with_tls(),
        each=lambda: settings_for(certificates, free_port()),
    )
    try:
        await anyio.to_thread.run_sync(cluster.start)
        seed = cluster.servers[0].settings[cluster.servers[0].settings.index("--tls-port") + 1]
        trust = f"ca={certificates.ca}&cert={certificates.client}"
        await topic(f"rediss+cluster://{HOST}:{seed}?{trust}", namespace)
        await refused(f"rediss+cluster://{HOST}:{seed}", "its certificate is not trusted")
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def sentinels(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[SentinelServers]:
    """All of them speak TLS with each other, ask for certificates, and for passwords."""
    servers = SentinelServers(
        tmp_path_factory.mktemp("tls-sentinels"),
        binary=binary_with_tls(),
        each=lambda: (*settings_for(certificates, free_port()), "--tls-replication", "yes"),
        password="s3cret-of-the-primary",
        sentinel_password="s3cret-of-the-sentinels",
    )
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def url_of(sentinels: SentinelServers, options: str) -> str:
    hosts = f":{sentinels.servers[0].password}@{sentinels.hosts}"
    return f"rediss+sentinel://{hosts}/{sentinels.SERVICE}?{options}"


async def test_through_sentinels(
    sentinels: SentinelServers, certificates: Certificates, namespace: str
) -> None:
    ours = f"cert={certificates.client}&sentinel_password={sentinels.sentinel_password}"
    url = url_of(sentinels, f"ca={certificates.ca}&{ours}")
    with anyio.fail_after(30):
        await everything(url, namespace)
    await refused(url_of(sentinels, ours), "its certificate is not trusted")
    await refused(
        url_of(sentinels, f"ca={certificates.ca}&cert={certificates.client}"),
        "check the user and password in the URL",
        ServerRefused,
    )
    wrong = url_of(sentinels, f"ca={certificates.ca}&{ours}").replace("-of-the-primary", "-x")
    await refused(wrong, "check the user and password in the URL", ServerRefused)


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_a_primary_behind_tls_is_killed(
    sentinels: SentinelServers, certificates: Certificates, namespace: str
) -> None:
    trust = f"ca={certificates.ca}&cert={certificates.client}"
    url = url_of(sentinels, f"{trust}&sentinel_password={sentinels.sentinel_password}")
    async with under_load(url, namespace) as load:
        sentinels.lose("")
        await load.goes_on()
        await load.all_handled(set(load.replicated))
