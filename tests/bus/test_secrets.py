"""No secret is shown: not by what is printed, not by what is raised, not by what is logged.

A secret here is words that occur nowhere else, with characters between them that may cut a URL in
two: none of the words may come out, wherever it was cut.
"""

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argentbus.embedded import EmbeddedRedis, free_port
from bus import Bus, BusError, BusUnavailable, ServerRefused, Signing, SigningKeyUnusable
from bus.blocking import Bus as BlockingBus
from bus.servers.address import parse_url
from bus.servers.link import Link
from bus.servers.tls import Tls
from storage.config import StorageConfig

pytestmark = pytest.mark.anyio

WORDS = ("s3crw1", "s3crw2", "s3crw3")
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster",
           "rediss+cluster", "http", "redis+", "")  # fmt: skip

between = st.text(
    st.sampled_from("/?#@:,%&=[] ;\\'\"<>\u00e9\u202e\x00\x7f"), min_size=1, max_size=2
)


@st.composite
def secrets(draw: st.DrawFn) -> str:
    first, second = draw(between), draw(between)
    return f"{WORDS[0]}{first}{WORDS[1]}{second}{WORDS[2]}"


@st.composite
def urls(draw: st.DrawFn) -> str:
    """URLs with secrets wherever one may be tempted to put one, quoted as they should be or not."""

    def secret() -> str:
        text = draw(secrets())
        return quote(text, safe="") if draw(st.booleans()) else text

    scheme = draw(st.sampled_from(SCHEMES))
    user = draw(st.sampled_from(["", "scout", quote("team:scout", safe="")]))
    hosts = draw(st.sampled_from(["h", "h:1", "a:1,b:2", "[::1]:7", "h:port", ""]))
    login = draw(st.sampled_from([f"{user}:{secret()}@", f"{secret()}@", user and f"{user}@", ""]))
    path = draw(st.sampled_from(["", "/0", "/agents", "/agents/1", "/run/redis.sock", "/x/y/z"]))
    names = ["password", "sentinel_password", "key_password", "passwort", "ca", "username"]
    options = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    # A file's name is no secret: who cannot use it has to be told which it is.
    pairs = [f"{name}={'/ca.pem' if name == 'ca' else secret()}" for name in options]
    return f"{scheme}://{login}{hosts}{path}" + ("?" + "&".join(pairs) if pairs else "")


def told(error: BaseException) -> str:
    """All that a program may print of an error, and of what led to it."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)


def check(*shown: object) -> None:
    for text in map(str, shown):
        assert not [word for word in WORDS if word in text], text


@given(url=urls())
def test_of_urls(url: str) -> None:
    try:
        address = parse_url(url)
    except BusError as error:
        check(told(error))
    else:
        link = Link(address)
        check(address, repr(address), repr(address.tls), repr(link), repr(vars(link)))
        check(link.refused(ValueError("x")), link._unavailable(OSError("x")))  # type: ignore[arg-type]
    try:
        config = StorageConfig.load({"redis_url": url}, env={"HOME": "/nowhere"})
    except Exception as error:  # noqa: BLE001 (whatever it is)
        check(told(error))
    else:
        check(config, repr(config), config.settings())


@given(secret=secrets(), number=st.integers(0, 80))
def test_of_what_signs(secret: str, number: int) -> None:
    raw = (secret.encode() * 4)[:number]
    try:
        signing = Signing({"scout": raw}, master=raw)
    except SigningKeyUnusable as error:
        assert not 16 <= number <= 64
        check(told(error))
    else:
        check(signing, repr(signing))


SECRET = f"{WORDS[0]}/@:?{WORDS[1]}%{WORDS[2]}"
QUOTED = quote(SECRET, safe="")


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that anybody logs, also the drivers, also for debugging."""
    caplog.set_level(logging.DEBUG)
    for name in ("argentbus", "coredis", "redis"):
        caplog.set_level(logging.DEBUG, name)
    yield caplog
    check(caplog.text, *(repr(vars(record)) for record in caplog.records))


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(
    "url",
    [
        "redis://scout:{}@127.0.0.1:{}/0",
        "rediss://:{}@127.0.0.1:{}",
        "redis+sentinel://:{}@127.0.0.1:{}/agents?sentinel_password={}",
        "rediss+sentinel://127.0.0.1:{1}/agents?password={0}&sentinel_password={0}",
        "redis+cluster://scout:{}@127.0.0.1:{}",
        "unix://:{}@/nowhere/{}.sock",
    ],
)
async def test_of_who_cannot_connect(url: str, redis_server: Any, namespace: str) -> None:
    """Nobody listens there; and where somebody does, it is not what was meant."""
    # One that speaks no TLS would be waited for.
    for port in (free_port(),) if url.startswith("rediss") else (free_port(), redis_server.port):
        there = url.format(QUOTED, port, QUOTED)
        with pytest.raises(BusError) as caught:
            async with Bus.connect(there, namespace=namespace, patience=0.2):
                pytest.fail("connected")
        check(told(caught.value))

        def blocking(there: str = there) -> str:
            with pytest.raises(BusError) as caught:
                with BlockingBus.connect(there, namespace=namespace, patience=0.2):
                    pytest.fail("connected")
            return told(caught.value)

        check(await anyio.to_thread.run_sync(blocking))


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path / "redis", free_port())
    server.start()
    yield server
    server.stop()


@pytest.mark.usefixtures("logged")
async def test_of_who_works(protected: EmbeddedRedis, namespace: str) -> None:
    async with Bus.connect(protected.url) as bus:
        await bus.link.call("ACL", "SETUSER", "scout", "on", "~*", "&*", "+@all", f">{SECRET}")
        await bus.link.call("ACL", "SETUSER", "lame", "on", "~*", "&*", "+@all", "-xadd",
                            f">{SECRET}")  # fmt: skip
    place = protected.url.removeprefix("redis://")
    url = f"redis://scout:{QUOTED}@{place}"
    async with Bus.connect(url, namespace=namespace, patience=1.0) as bus:
        async with bus.join("scout") as scout, bus.lock("plan") as lease:
            check(bus, repr(bus.link), scout, lease, bus.lock("x"), bus.map("m", str))
            check(*map(repr, vars(bus).values()))
            await bus.queue("jobs", str).put("x")
            with pytest.raises(ServerRefused) as refused:
                await bus.link.call("NONSENSE")
            check(told(refused.value))
        wrong = f"redis://scout:{QUOTED}x@{place}"
        with pytest.raises(ServerRefused, match="check the user and password") as refused:
            async with Bus.connect(wrong, namespace=namespace):
                pytest.fail("connected")
        check(told(refused.value))
        async with Bus.connect(f"redis://lame:{QUOTED}@{place}", namespace=namespace) as lame:
            with pytest.raises(ServerRefused) as refused:
                await lame.queue("jobs", str).put("x")
            check(told(refused.value))
        await anyio.to_thread.run_sync(protected.stop)
        with pytest.raises(BusUnavailable) as gone:
            await bus.queue("jobs", str).put("x")
        check(told(gone.value))


def test_of_keys_that_have_a_password(tmp_path: Path) -> None:
    import trustme
    from cryptography.hazmat.primitives import serialization

    certificate = trustme.CA().issue_cert("client.test")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    path = tmp_path / "client.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(SECRET.encode()),
        )
        + certificate.cert_chain_pems[0].bytes()
    )
    with pytest.raises(BusError, match="the key without a password") as caught:
        Tls(cert=str(path)).context()
    check(told(caught.value))
    with pytest.raises(BusError, match="an unknown option") as caught:
        parse_url(f"rediss://h?cert=/c.pem&key=/k.pem&key_password={QUOTED}")
    check(told(caught.value))
