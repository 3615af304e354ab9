"""Where a Redis is: URLs, and what may be shown of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from bus.errors import BusError

from .tls import Tls

Kind = Literal["server", "sentinel", "cluster"]

_SCHEMES: Final[dict[str, tuple[Kind, bool]]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "unix": ("server", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_TLS_OPTIONS: Final = {"ca", "cert", "key", "verify"}
_SENTINEL_OPTIONS: Final = {"sentinel_username", "sentinel_password"}
_EXAMPLES: Final = (
    "write redis://host:port/db, rediss://host:port/db, unix:///path/to/socket, "
    "redis+sentinel://host:port,host:port/service or redis+cluster://host:port,host:port"
)


_ENCODE: Final = "in a password, / ? # @ [ and ] are percent-encoded"


class Endpoint(NamedTuple):
    """Where one server listens: a host and a port, or the path of a Unix socket."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Address:
    """A parsed Redis URL. Neither its `str` nor its `repr` shows a password, or a user.

    Attributes:
        kind: What the endpoints are: the server itself, sentinels that know the primary of
            `service`, or some nodes of a Cluster.
        tls: How to speak TLS; None for plain connections.
        db: Number of the logical database; 0 on a Cluster.
        service: Name under which the sentinels know the primary.
    """

    kind: Kind
    endpoints: tuple[Endpoint, ...]
    tls: Tls | None
    db: int
    username: str | None = field(repr=False)  # `redis://secret@host` makes it one
    password: str | None = field(repr=False)
    service: str = ""
    sentinel_username: str | None = field(repr=False, default=None)
    sentinel_password: str | None = field(repr=False, default=None)

    def __str__(self) -> str:
        if self.endpoints[0].path:
            return f"unix://{self.endpoints[0].path}"
        scheme = "rediss" if self.tls else "redis"
        hosts = ",".join(map(str, self.endpoints))
        if self.kind == "server":
            return f"{scheme}://{hosts}/{self.db}"
        tail = f"/{self.service}" if self.kind == "sentinel" else ""
        return f"{scheme}+{self.kind}://{hosts}{tail}"


def parse_url(url: str) -> Address:
    """Parse a Redis URL, with an optional user and password before the host.

    `redis://host:port/db`, `rediss://` (TLS), `unix:///path?db=0`; the first primary of several
    sentinels, `redis+sentinel://host:port,host:port/service?db=0`; a Cluster, some of its nodes
    named, `redis+cluster://host:port,host:port`; `rediss+sentinel://` and `rediss+cluster://` with
    TLS. Options behind the `?`: `db`, `username`, `password`; for TLS `ca` (a file with the
    certificate authorities to trust), `cert` and `key` (files with a certificate of ours, for
    mutual TLS), `verify=ca` (any name in the server's certificate will do); for sentinels that want
    credentials of their own `sentinel_username` and `sentinel_password`.

    Raises:
        BusError: it is not such a URL. The message repeats nothing of it.
    """
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=False))
        if parts.scheme not in _SCHEMES:
            raise _not_a_url(_wrong_scheme(url, parts.scheme))
        kind, tls = _SCHEMES[parts.scheme]
        return _read(kind, tls, parts, options)
    except ValueError:
        # Its text may have a part of the password in it.
        raise _not_a_url(f"a part of it cannot be read; {_ENCODE}") from None


def _read(kind: Kind, tls: bool, parts: SplitResult, options: dict[str, str]) -> Address:
    userinfo, _, hosts = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    socket = parts.scheme == "unix"
    # What a password that is not encoded leaves behind must not become a host, or a name.
    stray = parts.fragment or "@" in parts.query or (hosts if socket else "@" in parts.path)
    if stray:
        raise _not_a_url(_ENCODE)
    path = [] if socket else [unquote(part) for part in parts.path.split("/") if part]
    service = path.pop(0) if kind == "sentinel" and path else ""
    allowed = {"db", "username", "password"} | (_TLS_OPTIONS if tls else set())
    _check_options(options, allowed | (_SENTINEL_OPTIONS if kind == "sentinel" else set()))
    if kind == "sentinel" and not service:
        raise _not_a_url("no name of a service behind the sentinels")
    if socket and not parts.path:
        raise _not_a_url("no socket path")
    if len(path) > 1:
        raise _not_a_url("too long a path")
    db = int(options.get("db") or (path[0] if path else 0))
    if db < 0 or (kind == "cluster" and db):
        raise _not_a_url("a Cluster has no databases" if db > 0 else "no such database")
    endpoints = (
        (Endpoint("", 0, unquote(parts.path)),)
        if socket
        else _endpoints(hosts, 26379 if kind == "sentinel" else 6379)
    )
    if kind == "server" and len(endpoints) > 1:
        raise _not_a_url("several hosts: say whether they are a sentinel's or a cluster's")
    return Address(
        kind=kind,
        endpoints=endpoints,
        tls=Tls.of(options) if tls else None,
        db=db,
        username=unquote(username) or options.get("username"),
        password=unquote(password) or options.get("password"),
        service=service,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
    )


def _endpoints(hosts: str, default_port: int) -> tuple[Endpoint, ...]:
    found = []
    for host in hosts.split(","):
        part = urlsplit(f"//{host}")
        port = default_port if part.port is None else part.port
        if port == 0:
            raise _not_a_url("no server has port 0")
        found.append(Endpoint(part.hostname or "127.0.0.1", port))
    return tuple(found)


def _check_options(options: Mapping[str, str], allowed: set[str]) -> None:
    for name in options:
        if name not in allowed:
            # Only a name of ours is repeated: a stray `?` may have cut a password in two.
            known = name in _TLS_OPTIONS | _SENTINEL_OPTIONS
            raise _not_a_url(
                f"{name if known else 'an unknown option'} behind the ?; known for this scheme: "
                f"{', '.join(sorted(allowed))}"
            )


def _wrong_scheme(url: str, scheme: str) -> str:
    return f"scheme {scheme!a}" if url.lower().startswith(f"{scheme}://") else "no scheme"


def _not_a_url(reason: str) -> BusError:
    return BusError(f"not a Redis URL ({reason}): {_EXAMPLES}")
