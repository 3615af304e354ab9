"""What a setting may be, and the file that settings are read from."""

import difflib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote, urlsplit

from bus.errors import BusError
from bus.servers.address import parse_url

from .errors import StorageError

_FILE_KEYS: Final = {
    "": (
        "backend",
        "readFrom",
        "writeTo",
        "redis",
        "postgres",
        "sqlite",
        "namespace",
        "partitions",
        "lease",
        "signing",
        "embedding",
        "secrets",
    ),
    "redis": ("url", "host", "port", "username", "password", "db", "tls"),
    "postgres": ("url", "connectionString", "host", "port", "database", "user", "password"),
    "sqlite": ("path", "vectorCache"),
    "secrets": ("keyFile",),
    "embedding": ("embedder", "url", "model", "keyFile", "dimensions"),
}
_SIDES: Final = ("sqlite", "postgres")
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class ConfigurationError(StorageError, ValueError):
    """A setting is wrong; the message says which, where it stands, and what it should be.

    Example:
        try:
            StorageConfig.load({"backend": "mysql"})
        except ConfigurationError as error:
            print(error)  #> --backend: 'mysql' should be one of sqlite, postgres, dual
    """


class Source(NamedTuple):
    """Where a setting was given: an option, a variable, or the file and key. Its `str` names it."""

    layer: Literal["option", "environment", "file", "running copy"]
    name: str

    def __str__(self) -> str:
        return self.name


class Expectation(ValueError):
    """What a value should have been, without where it stands."""


def without_password(url: str) -> str:
    """Return a URL as it may be shown: no user, no password, no query.

    The host is behind the last `@`. Where that stands behind a `?` or a `#`, nobody can tell a host
    from a part of a password, and neither is shown.
    """
    scheme, separator, rest = url.partition("://")
    before, at, behind = rest.rpartition("@")
    if at and ("?" in before or "#" in before):
        return f"{scheme}{separator}***"
    return f"{scheme}{separator}{'***@' if at else ''}{behind.split('?', 1)[0]}"


def shown(value: object) -> str:
    """A value as a message may show it: short, without a password."""
    text = ascii(without_password(value) if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "..."


# what a value may be: each takes the value and the directory that relative paths start from


def one_backend(value: Any, _base: Path) -> str:
    """Check the name of a backend."""
    return _choice(value, (*_SIDES, "dual"))


def one_side(value: Any, _base: Path) -> str:
    """Check the name of a database."""
    return _choice(value, _SIDES)


def backends(value: Any, _base: Path) -> tuple[str, ...]:
    """Check a list of databases."""
    if not isinstance(value, list | tuple) or not value or len(set(map(str, value))) != len(value):
        raise Expectation(f'{shown(value)} is not a list such as ["sqlite", "postgres"]')
    return tuple(_choice(side, _SIDES) for side in value)


def absolute_path(value: Any, base: Path) -> Path:
    """Check a path; `~` is the home directory, a relative one starts from `base`."""
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise Expectation(f"{shown(value)} is not a path")
    try:
        return base.absolute() / Path(value).expanduser()
    except RuntimeError as error:
        raise Expectation(f"{shown(value)} is not a path that can be found ({error})") from None


def namespace(value: Any, _base: Path) -> str:
    """Check a namespace."""
    if not isinstance(value, str) or not _NAMESPACE.match(value):
        raise Expectation(
            f"{shown(value)} cannot be a namespace: use 1 to 64 characters of A-Z a-z 0-9 . _ -, "
            "the first a letter or a digit"
        )
    return value


def partition_count(value: Any, _base: Path) -> int:
    """Check a number of partitions; the environment gives it as text."""
    return _whole(value, 1, 1024)


def byte_count(value: Any, _base: Path) -> int:
    """Check a number of bytes; the environment gives it as text."""
    return _whole(value, 0, 2**40)


def lease(value: Any, _base: Path) -> float:
    """Check the seconds that a lease lasts; the environment gives them as text."""
    try:
        seconds = float(value) if isinstance(value, str) else value
    except ValueError:
        seconds = None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 1 <= seconds <= 600:
        raise Expectation(f"is {shown(value)}, should be seconds, from 1 to 600")
    return float(seconds)


def redis_url(value: Any, _base: Path) -> str:
    """Check a Redis URL: one that the bus can use."""
    try:
        parse_url(value if isinstance(value, str) else "")
    except BusError:
        raise Expectation(
            f"{shown(value)} should be a URL such as redis://127.0.0.1:6380, unix:///path, "
            "redis+sentinel://host:port,host:port/service or redis+cluster://host:port,host:port"
        ) from None
    return str(value)


def postgres_url(value: Any, _base: Path) -> str:
    """Check a PostgreSQL URL."""
    return _url(value, ("postgresql", "postgres"), "postgresql://user@127.0.0.1:5433/argentos")


def _choice(value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise Expectation(f"{shown(value)} should be one of {', '.join(choices)}")
    return str(value)


def _whole(value: Any, least: int, most: int) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Expectation(f"{shown(value)} should be a whole number from {least} to {most}")
    return value


def _url(value: Any, schemes: tuple[str, ...], example: str) -> str:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        fine = (
            parts is not None
            and parts.scheme in schemes
            and (parts.port is None or parts.port > 0)
            and bool(parts.hostname or parts.query)
        )
    except ValueError:
        fine = False
    if not fine:
        raise Expectation(f"{shown(value)} should be a URL such as {example}")
    return str(value)


# what goes together


def agreeing(found: Mapping[str, Any], sources: Mapping[str, Source]) -> dict[str, Any]:
    """Return `read_from` and `write_to` as they follow from the backend.

    Where an option or the environment names the backend, what the file says about reading and
    writing belongs to the file's backend, and does not count.

    Raises:
        ConfigurationError: they contradict the backend.
    """
    backend = found.get("backend", "sqlite")
    sides = _SIDES if backend == "dual" else (backend,)
    settled = {"read_from": sides[0], "write_to": sides}
    overruled = "backend" in sources and sources["backend"].layer != "file"
    named = f"backend {backend}" + ("" if "backend" in sources else " (the default)")
    for name in ("read_from", "write_to"):
        if name not in found or (overruled and sources[name].layer == "file"):
            continue
        value = found[name]
        if name == "read_from" and value not in sides:
            raise ConfigurationError(
                f"{sources[name]}: {value} contradicts {named}: it should be {' or '.join(sides)}"
            )
        if name == "write_to" and set(value) != set(sides):
            raise ConfigurationError(
                f"{sources[name]}: {json.dumps(value)} contradicts {named}: it should be "
                f"{json.dumps(sides)}"
            )
        settled[name] = value
    return settled


class SettingsFile:
    """The key `storage` of ArgentOS's settings file.

    Attributes:
        path: Where the file is, or would be.
    """

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self.path = path
        self._content = content
        for section, keys in _FILE_KEYS.items():
            self._check_names(section, keys)

    @classmethod
    def read(cls, path: Path | None, env: Mapping[str, str]) -> "SettingsFile":
        """Read the file at `path`, or the one of the user if there is one.

        Raises:
            ConfigurationError: it cannot be read, or is not JSON of the right shape.
        """
        chosen = path or Path(env.get("HOME") or Path.home()) / ".argentos" / "argent.json"
        try:
            content = json.loads(chosen.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            if path is not None:
                raise ConfigurationError(f"{path}: there is no such file") from None
            return cls(chosen, {})
        except OSError as error:
            raise ConfigurationError(f"{chosen}: cannot be read: {error.strerror}") from None
        except json.JSONDecodeError as error:
            raise ConfigurationError(
                f"{chosen}: not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
            ) from None
        except (UnicodeDecodeError, RecursionError) as error:
            raise ConfigurationError(f"{chosen}: not JSON: {error}") from None
        if not isinstance(content, dict):
            raise ConfigurationError(f"{chosen}: should be a JSON object with the key `storage`")
        storage = content.get("storage", {})
        if not isinstance(storage, dict):
            raise ConfigurationError(f"{chosen}, key storage: should be a JSON object")
        return cls(chosen, storage)

    def value(self, *keys: str) -> tuple[str, Any] | None:
        """Return where a key stands and its value, or None where it is missing or null."""
        content: Any = self._content
        for key in keys:
            content = content.get(key)
            if content is None:
                return None
        return self._place(*keys), content

    def redis(self) -> tuple[str, Any] | None:
        """Return where Redis is said to be, and its URL."""
        given = self.value("redis", "url")
        if given is not None or not self._content.get("redis"):
            return given
        port = self._port("redis", 6380)
        scheme = "rediss" if self._part("redis", "tls", bool, default=False) else "redis"
        database = self._part("redis", "db", int, default=0)
        login = self._login("redis", "username")
        host = self._host("redis")
        return self._place("redis"), f"{scheme}://{login}{host}:{port}" + (
            f"/{database}" if database else ""
        )

    def postgres(self) -> tuple[str, Any] | None:
        """Return where PostgreSQL is said to be, and its URL."""
        given = self.value("postgres", "url") or self.value("postgres", "connectionString")
        if given is not None or not self._content.get("postgres"):
            return given
        port = self._port("postgres", 5433)
        database = quote(self._part("postgres", "database", str, default="argentos"), safe="")
        login = self._login("postgres", "user")
        host = self._host("postgres")
        return self._place("postgres"), f"postgresql://{login}{host}:{port}/{database}"

    def _place(self, *keys: str) -> str:
        return f"{self.path}, key {'.'.join(('storage', *keys))}"

    def _part(self, section: str, key: str, kind: type[Any], *, default: Any) -> Any:
        value = self._content[section].get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and (isinstance(value, bool) or value < 0)):
            expected = {str: "text", int: "a whole number", bool: "true or false"}[kind]
            said = "what it is" if key == "password" else shown(value)
            raise ConfigurationError(
                f"{self._place(section, key)}: should be {expected}, not {said}"
            )
        return value

    def _host(self, section: str) -> str:
        host = self._part(section, "host", str, default="127.0.0.1")
        if not re.fullmatch(r"[A-Za-z0-9._:%-]+", host):
            raise ConfigurationError(
                f"{self._place(section, 'host')}: {shown(host)} should be a host name or address"
            )
        return f"[{host}]" if ":" in host else str(host)

    def _port(self, section: str, default: int) -> int:
        value = self._content[section].get("port")
        try:
            return default if value is None else _whole(value, 1, 65535)
        except Expectation as expected:
            raise ConfigurationError(f"{self._place(section, 'port')}: {expected}") from None

    def _login(self, section: str, user_key: str) -> str:
        user = quote(self._part(section, user_key, str, default=""), safe="")
        password = quote(self._part(section, "password", str, default=""), safe="")
        return f"{user}:{password}@" if password else f"{user}@" if user else ""

    def _check_names(self, section: str, known: tuple[str, ...]) -> None:
        """Refuse what looks like a misspelt key; what is ArgentOS's own business is left alone."""
        content = self._content.get(section, {}) if section else self._content
        if content is None:
            return
        if not isinstance(content, dict):
            raise ConfigurationError(f"{self._place(section)}: should be a JSON object")
        for key in content:
            meant = None if key in known else _meant(key, known)
            if meant is not None:
                where = self._place(section, key) if section else self._place(key)
                raise ConfigurationError(f"{where}: no such key; did you mean {meant}?")


def _meant(key: str, known: tuple[str, ...]) -> str | None:
    """The key that a misspelt one was meant to be: `namespce`, `redis_url`."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    if close:
        return close[0]
    for section in known:
        inner = key[len(section) :].strip("_-. ")
        if section in _FILE_KEYS and key.startswith(section) and inner:
            found = difflib.get_close_matches(inner.lower(), _FILE_KEYS[section], n=1)
            return f'{section}: {{"{found[0]}": ...}}' if found else section
    return None
