"""Redis URLs: what they mean, what is refused, and that no secret is shown."""

import pytest

from bus import BusError
from bus.servers.address import Endpoint, parse_url
from bus.servers.link import Link
from bus.servers.slots import key_of, slot_of
from bus.servers.tls import Tls
from storage.config import StorageConfig

SECRET = "s3cret/@:?"
QUOTED = "s3cret%2F%40%3A%3F"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "redis://127.0.0.1:6379/0"),
        ("redis://h/3", "redis://h:6379/3"),
        ("redis://h?db=3", "redis://h:6379/3"),
        (f"redis://scout:{QUOTED}@h:1", "redis://h:1/0"),
        (f"redis://h:1?username=scout&password={QUOTED}", "redis://h:1/0"),
        ("rediss://[::1]:7/2", "rediss://[::1]:7/2"),
        (f"unix://:{QUOTED}@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        (f"redis+sentinel://:{QUOTED}@a:1,b/agents", "redis+sentinel://a:1,b:26379/agents"),
        ("rediss+sentinel://a/agents/2?sentinel_password=x", "rediss+sentinel://a:26379/agents"),
        (f"redis+cluster://:{QUOTED}@a:1,[::1]:2", "redis+cluster://a:1,[::1]:2"),
        ("rediss+cluster://a?ca=/ca.pem", "rediss+cluster://a:6379"),
    ],
)
def test_what_is_shown(url: str, shown: str) -> None:
    address = parse_url(url)
    assert str(address) == shown
    assert "s3cret" not in repr(address)
    assert StorageConfig.load({"redis_url": url}, env={"HOME": "/nowhere"}).redis_url == url
    if "s3cret" in url:
        assert address.password == SECRET
        assert "s3cret" not in str(Link(url).refused(ValueError("x")))


def test_sentinels_have_credentials_of_their_own() -> None:
    address = parse_url(
        "rediss+sentinel://u:p@a:1,b:2/agents/2?sentinel_username=su&sentinel_password=sp"
        "&ca=/ca.pem&cert=/c.pem&key=/k.pem&verify=ca"
    )
    assert address.kind == "sentinel"
    assert address.endpoints == (Endpoint("a", 1), Endpoint("b", 2))
    assert (address.service, address.db, address.username, address.password) == (
        *("agents", 2),
        *("u", "p"),
    )
    assert (address.sentinel_username, address.sentinel_password) == ("su", "sp")
    assert address.tls == Tls("/ca.pem", "/c.pem", "/k.pem", "ca")
    assert "sp" not in repr(address).replace("sentinel_password", "")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:1",
        "http://h",
        "redis://h:0",
        "redis://h:99999",
        "redis://h/x",
        "redis://h/1/2",
        "redis://h/-1",
        "redis://a,b",
        "redis://h?ca=/ca.pem",
        "redis://h?passwort=s3cret",
        "redis://user:s3c/ret@h",
        "redis://user:s3c?ret@h",
        "redis://user:s3c#ret@h",
        "redis+sentinel://a:1",
        "redis+cluster://a/1",
        "unix://",
        "rediss://h?verify=none",
    ],
)
def test_what_is_not_a_url(url: str) -> None:
    with pytest.raises(BusError) as caught:
        parse_url(url)
    text = str(caught.value)
    assert "s3c" not in text
    assert "ret" not in text.replace("secret", "")
    assert caught.value.__cause__ is None
    with pytest.raises(Exception, match="--redis-url: .* should be a URL such as") as shown:
        StorageConfig.load({"redis_url": url}, env={"HOME": "/nowhere"})
    assert "s3c" not in str(shown.value)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("XADD jobs * e 1", "jobs"),
        ("xlen jobs", "jobs"),
        ("XINFO GROUPS jobs", "jobs"),
        ("XGROUP CREATE jobs g 0 MKSTREAM", "jobs"),
        ("EVALSHA abc 2 jobs jobs:dead x", "jobs"),
        ("EVAL return 0", None),
        ("XREADGROUP GROUP g c COUNT 1 BLOCK 0 STREAMS jobs >", "jobs"),
        ("XREAD COUNT 1 STREAMS jobs 0", "jobs"),
        ("ZUNION 2 a b", "a"),
        ("SPUBLISH mood calm", "mood"),
        ("PUBLISH mood calm", None),
        ("PING", None),
        ("CONFIG GET appendonly", None),
        ("WAIT 1 100", None),
    ],
)
def test_the_key_of_a_command(command: str, key: str | None) -> None:
    name, *args = command.split()
    assert key_of(name, args) == key


@pytest.mark.parametrize(
    ("key", "slot"),
    # CLUSTER KEYSLOT's own answers.
    [("foo", 12182), ("{foo}:bar", 12182), ("a{foo}{bar}", 12182), ("{}foo", 9500), ("", 0)],
)
def test_the_slot_of_a_key(key: str, slot: int) -> None:
    assert slot_of(key) == slot_of(key.encode()) == slot
