"""Where everything is: options win over the environment, that over the file, that over defaults.

The file is ArgentOS's own, `~/.argentos/argent.json`, key `storage`:

    {"storage": {"backend": "dual", "readFrom": "sqlite", "writeTo": ["sqlite", "postgres"],
                 "redis": {"host": "127.0.0.1", "port": 6380},
                 "postgres": {"host": "127.0.0.1", "port": 5433, "database": "argentos"},
                 "sqlite": {"path": "~/argentbus.db"},
                 "embedding": {"embedder": "endpoint", "url": "http://127.0.0.1:11434/v1",
                               "model": "nomic-embed-text", "dimensions": 768}}}
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from bus import Signing

from .commands import DIMENSIONS
from .embedding.agreement import (
    agreeing_embedding,
    dimension_count,
    endpoint_url,
    model_name,
    one_embedder,
)
from .secrets.keyring import Keyring
from .settings import (
    ConfigurationError,
    Expectation,
    SettingsFile,
    Source,
    absolute_path,
    agreeing,
    backends,
    byte_count,
    lease,
    namespace,
    one_backend,
    one_side,
    partition_count,
    postgres_url,
    redis_url,
    without_password,
)
from .sqlite.vectors import VECTOR_CACHE

__all__ = ["ConfigurationError", "Source", "StorageConfig"]

Backend = Literal["sqlite", "postgres", "dual"]
Side = Literal["sqlite", "postgres"]
EmbedderKind = Literal["none", "endpoint", "bundled"]

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6380"
DEFAULT_POSTGRES_URL: Final = "postgresql://127.0.0.1:5433/argentos"


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, checked. Made by `StorageConfig.load`.

    Attributes:
        backend: Which database serves: `sqlite`, `postgres`, or `dual` (both are written).
        read_from: Which side serves reads; with one backend, that one.
        write_to: Which sides are written.
        redis_url: Where Redis is.
        postgres_url: Where PostgreSQL is.
        sqlite_path: The SQLite file.
        sqlite_vector_cache: Bytes that embeddings may take in memory, so that vector searches need
            not read them from the SQLite file each time: 512 MiB, 150,000 of 768 dimensions.
        namespace: Prefix of every key in Redis.
        partitions: Partitions of the write log in a namespace that is new; an existing one keeps
            the number it was made with.
        lease: Seconds that a sidecar's lease on a partition lasts: within them after a crash,
            another sidecar takes over.
        signing_key_file: Secrets to sign and verify with (`Signing.read`), or None: no signatures.
        embedder: What makes the embeddings that are not given: `none`, `endpoint` (anything that
            speaks OpenAI's form of `/v1/embeddings`) or `bundled` (extra `embed`).
        embedding_url: Where the endpoint is, mostly ending in `/v1`.
        embedding_model: Its model.
        embedding_key_file: Has its key; the variable `ARGENTBUS_EMBEDDING_KEY` wins.
        dimensions: Of embeddings: 768, or what the bundled model makes. It belongs to the database.
        master_key_file: Has the master keys, for who stores or reads secrets (`Keyring`); the
            variable `ARGENTBUS_MASTER_KEY`, with the keys themselves, wins.
        home: Directory for state: databases, the embedded servers' files, `up.json`.
        sources: For each setting that was given: where. What is missing here is a default.

    Example:
        config = StorageConfig.load({"namespace": "team-a"})
        print(config.namespace, config.backend)  #> team-a sqlite
        print(config.sources["namespace"])  #> --namespace
    """

    backend: Backend = "sqlite"
    read_from: Side = "sqlite"
    write_to: tuple[Side, ...] = ("sqlite",)
    redis_url: str = DEFAULT_REDIS_URL
    postgres_url: str = DEFAULT_POSTGRES_URL
    sqlite_path: Path = Path("argentbus.db")
    sqlite_vector_cache: int = VECTOR_CACHE
    namespace: str = "argent"
    partitions: int = 4
    lease: float = 10.0
    signing_key_file: Path | None = None
    embedder: EmbedderKind = "none"
    embedding_url: str | None = None
    embedding_model: str | None = None
    embedding_key_file: Path | None = None
    dimensions: int = DIMENSIONS
    master_key_file: Path | None = None
    home: Path = Path()
    sources: dict[str, Source] = msgspec.field(default_factory=dict)

    @classmethod
    def load(
        cls,
        options: Mapping[str, Any] | None = None,
        env: Mapping[str, str] = os.environ,
        path: Path | None = None,
    ) -> "StorageConfig":
        """Read the settings.

        Args:
            options: By this class's attribute names; what is None was not given.
            env: The environment: `ARGENTBUS_REDIS_URL`, `_POSTGRES_URL`, `_SQLITE_PATH`,
                `_SQLITE_VECTOR_CACHE`, `_BACKEND`, `_NAMESPACE`, `_PARTITIONS`, `_LEASE`,
                `_SIGNING_KEY_FILE`, `_HOME`, `_EMBEDDER`, `_EMBEDDING_URL`, `_EMBEDDING_MODEL`,
                `_EMBEDDING_KEY_FILE`, `_DIMENSIONS`, `_MASTER_KEY_FILE`.
            path: The settings file; by default `~/.argentos/argent.json`, which may be missing.

        Raises:
            ConfigurationError: a value is wrong, or two contradict each other. The message names
                the option, variable, or file and key, and says what it should be.
        """
        file = SettingsFile.read(path, env)
        found: dict[str, Any] = {}
        sources: dict[str, Source] = {}
        for setting in _SETTINGS:
            for source, value, base in _given(setting, options or {}, env, file):
                try:
                    found[setting.name] = setting.check(value, base)
                except Expectation as expected:
                    raise ConfigurationError(f"{source}: {expected}") from None
                sources[setting.name] = source
                break
        found.setdefault("home", _default_home(env))
        found.setdefault("sqlite_path", found["home"] / "argentbus.db")
        found.update(agreeing(found, sources))
        found.update(agreeing_embedding(found, sources))
        return cls(**found, sources=sources)

    @property
    def database(self) -> str:
        """Where what is read stands, for people to read."""
        shown = self.settings()
        return str(shown["sqlite_path" if self.read_from == "sqlite" else "postgres_url"])

    def settings(self) -> dict[str, Any]:
        """Every setting as text or numbers, without passwords, for people to read."""
        return {
            "backend": self.backend,
            "read_from": self.read_from,
            "write_to": list(self.write_to),
            "redis_url": without_password(self.redis_url),
            "postgres_url": without_password(self.postgres_url),
            "sqlite_path": str(self.sqlite_path),
            "sqlite_vector_cache": self.sqlite_vector_cache,
            "namespace": self.namespace,
            "partitions": self.partitions,
            "lease": self.lease,
            "signing_key_file": str(self.signing_key_file) if self.signing_key_file else None,
            "embedder": self.embedder,
            "embedding_url": without_password(self.embedding_url) if self.embedding_url else None,
            "embedding_model": self.embedding_model,
            "embedding_key_file": str(self.embedding_key_file) if self.embedding_key_file else None,
            "dimensions": self.dimensions,
            "master_key_file": str(self.master_key_file) if self.master_key_file else None,
            "home": str(self.home),
        }

    def signing(self) -> Signing | None:
        """What is in the signing key file, or None where none is set.

        Raises:
            SigningKeyUnusable: the file cannot be used.
        """
        return None if self.signing_key_file is None else Signing.read(self.signing_key_file)

    def keyring(self) -> Keyring | None:
        """The master keys, read when they are first needed, or None where none are set.

        Raises:
            MasterKeyUnusable: the variable has something else.
        """
        return Keyring.of(self.master_key_file)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.settings().items())
        return f"StorageConfig({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self.settings().items())


class _Setting(NamedTuple):
    name: str
    option: str
    variable: str | None
    in_file: Callable[[SettingsFile], tuple[str, Any] | None]
    check: Callable[[Any, Path], Any]


def _key(*keys: str) -> Callable[[SettingsFile], tuple[str, Any] | None]:
    return lambda file: file.value(*keys)


_SETTINGS: Final = (
    _Setting("home", "--data", "ARGENTBUS_HOME", lambda _: None, absolute_path),
    _Setting("backend", "--backend", "ARGENTBUS_BACKEND", _key("backend"), one_backend),
    _Setting("read_from", "--read-from", None, _key("readFrom"), one_side),
    _Setting("write_to", "--write-to", None, _key("writeTo"), backends),
    _Setting("redis_url", "--redis-url", "ARGENTBUS_REDIS_URL", SettingsFile.redis, redis_url),
    _Setting(
        "postgres_url",
        "--postgres-url",
        "ARGENTBUS_POSTGRES_URL",
        SettingsFile.postgres,
        postgres_url,
    ),
    _Setting(
        "sqlite_path", "--sqlite", "ARGENTBUS_SQLITE_PATH", _key("sqlite", "path"), absolute_path
    ),
    _Setting(
        "sqlite_vector_cache",
        "--sqlite-vector-cache",
        "ARGENTBUS_SQLITE_VECTOR_CACHE",
        _key("sqlite", "vectorCache"),
        byte_count,
    ),
    _Setting("namespace", "--namespace", "ARGENTBUS_NAMESPACE", _key("namespace"), namespace),
    _Setting(
        "partitions", "--partitions", "ARGENTBUS_PARTITIONS", _key("partitions"), partition_count
    ),
    _Setting("lease", "--lease", "ARGENTBUS_LEASE", _key("lease"), lease),
    _Setting(
        "signing_key_file",
        "--signing-key-file",
        "ARGENTBUS_SIGNING_KEY_FILE",
        _key("signing"),
        absolute_path,
    ),
    _Setting(
        "embedder",
        "--embedder",
        "ARGENTBUS_EMBEDDER",
        _key("embedding", "embedder"),
        one_embedder,
    ),
    _Setting(
        "embedding_url",
        "--embedding-url",
        "ARGENTBUS_EMBEDDING_URL",
        _key("embedding", "url"),
        endpoint_url,
    ),
    _Setting(
        "embedding_model",
        "--embedding-model",
        "ARGENTBUS_EMBEDDING_MODEL",
        _key("embedding", "model"),
        model_name,
    ),
    _Setting(
        "embedding_key_file",
        "--embedding-key-file",
        "ARGENTBUS_EMBEDDING_KEY_FILE",
        _key("embedding", "keyFile"),
        absolute_path,
    ),
    _Setting(
        "dimensions",
        "--dimensions",
        "ARGENTBUS_DIMENSIONS",
        _key("embedding", "dimensions"),
        dimension_count,
    ),
    _Setting(
        "master_key_file",
        "--master-key-file",
        "ARGENTBUS_MASTER_KEY_FILE",
        _key("secrets", "keyFile"),
        absolute_path,
    ),
)


def _given(
    setting: _Setting, options: Mapping[str, Any], env: Mapping[str, str], file: SettingsFile
) -> Iterator[tuple[Source, Any, Path]]:
    """Where the setting was given, the strongest first: source, value, base of relative paths."""
    if options.get(setting.name) is not None:
        yield Source("option", setting.option), options[setting.name], Path.cwd()
    if setting.variable and env.get(setting.variable):
        yield Source("environment", setting.variable), env[setting.variable], Path.cwd()
    in_file = setting.in_file(file)
    if in_file is not None:
        yield Source("file", in_file[0]), in_file[1], file.path.parent


def _default_home(env: Mapping[str, str]) -> Path:
    state = env.get("XDG_STATE_HOME", "")
    if Path(state).is_absolute():
        return Path(state) / "argentbus"
    return Path(env.get("HOME") or Path.home()) / ".local" / "state" / "argentbus"
