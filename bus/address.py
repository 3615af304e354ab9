"""Where a Redis is: URLs, and what may be shown of them."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from .errors import BusError


@dataclass(frozen=True)
class Address:
    """A parsed Redis URL. Its `str` shows no password.

    Attributes:
        host, port: For TCP; the host is empty for a Unix socket.
        path: Of a Unix socket, else empty.
        tls: Whether to speak TLS.
        db: Number of the logical database.
    """

    host: str
    port: int
    path: str
    tls: bool
    db: int
    username: str | None
    password: str | None = field(repr=False)

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        return f"redis{'s' if self.tls else ''}://{self.host}:{self.port}/{self.db}"


def parse_url(url: str) -> Address:
    """Parse `redis://`, `rediss://` (TLS) or `unix://` with optional user, password and database.

    Raises:
        BusError: it is not such a URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
        query = parse_qs(parts.query)
        database = query.get("db", [parts.path.strip("/") if parts.scheme != "unix" else ""])[0]
        db = int(database or 0)
    except ValueError:
        # What Python says of it may quote a part of the password.
        raise BusError(
            f"not a Redis URL: {_EXAMPLES}; in a password, / ? # [ and ] are percent-encoded"
        ) from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise BusError(f"not a Redis URL (scheme {parts.scheme!a}): {_EXAMPLES}")
    if parts.scheme == "unix" and not parts.path:
        raise BusError(f"not a Redis URL (no socket path): {_EXAMPLES}")
    return Address(
        host="" if parts.scheme == "unix" else (parts.hostname or "127.0.0.1"),
        port=port,
        path=unquote(parts.path) if parts.scheme == "unix" else "",
        tls=parts.scheme == "rediss",
        db=db,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


_EXAMPLES = "write redis://host:port/db, rediss://host:port/db or unix:///path/to/socket"
