"""Settings: which one wins, and what is said of a wrong one."""

import json
from pathlib import Path
from typing import Any

import pytest

from storage.config import ConfigurationError, StorageConfig

SECRET = "hunter2-hunter2"


def load(tmp_path: Path, storage: Any = None, env: dict[str, str] | None = None, **options: Any):
    """Load with a home directory of the test's own, whose settings file has `storage`."""
    file = tmp_path / ".argentos" / "argent.json"
    if storage is not None:
        file.parent.mkdir(exist_ok=True)
        file.write_text(
            storage if isinstance(storage, str) else json.dumps({"storage": storage, "ui": {}})
        )
    return StorageConfig.load(options, {"HOME": str(tmp_path), **(env or {})})


def test_defaults_are_the_seeds_ports_and_a_state_directory(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.backend == config.read_from == "sqlite"
    assert config.write_to == ("sqlite",)
    assert config.redis_url == "redis://127.0.0.1:6380"
    assert ":5433/" in config.postgres_url
    assert config.home == tmp_path / ".local/state/argentbus"
    assert config.sqlite_path == config.home / "argentbus.db"
    assert config.sources == {}


def test_an_option_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    storage = {"redis": {"url": "redis://file:1"}, "namespace": "file"}
    env = {"ARGENTBUS_REDIS_URL": "redis://env:2", "ARGENTBUS_NAMESPACE": ""}
    config = load(tmp_path, storage, env)
    assert config.redis_url == "redis://env:2"
    assert config.namespace == "file", "an empty variable is one that is not set"
    assert str(config.sources["redis_url"]) == "ARGENTBUS_REDIS_URL"
    assert "argent.json, key storage.namespace" in str(config.sources["namespace"])
    assert load(tmp_path, storage, env, redis_url="redis://opt:3").redis_url == "redis://opt:3"
    assert load(tmp_path, storage, {}, redis_url=None).redis_url == "redis://file:1"


def test_every_variable_is_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        env={
            "ARGENTBUS_REDIS_URL": "unix:///run/redis.sock",
            "ARGENTBUS_POSTGRES_URL": "postgres://h/db",
            "ARGENTBUS_SQLITE_PATH": "/data/my memory.db",
            "ARGENTBUS_SQLITE_VECTOR_CACHE": "1000000",
            "ARGENTBUS_BACKEND": "dual",
            "ARGENTBUS_NAMESPACE": "crew",
            "ARGENTBUS_PARTITIONS": "8",
            "ARGENTBUS_LEASE": "2.5",
            "ARGENTBUS_SIGNING_KEY_FILE": "/run/signing.key",
            "ARGENTBUS_EMBEDDER": "endpoint",
            "ARGENTBUS_EMBEDDING_URL": "http://me:secret@h:1/v1",
            "ARGENTBUS_EMBEDDING_MODEL": "e5",
            "ARGENTBUS_EMBEDDING_KEY_FILE": "/run/embedding.key",
            "ARGENTBUS_DIMENSIONS": "512",
            "ARGENTBUS_MASTER_KEY_FILE": "/run/master.key",
            "ARGENTBUS_HOME": "/data",
        },
    )
    assert config.settings() == {
        "backend": "dual",
        "read_from": "sqlite",
        "write_to": ["sqlite", "postgres"],
        "redis_url": "unix:///run/redis.sock",
        "postgres_url": "postgres://h/db",
        "sqlite_path": "/data/my memory.db",
        "sqlite_vector_cache": 1_000_000,
        "namespace": "crew",
        "partitions": 8,
        "lease": 2.5,
        "signing_key_file": "/run/signing.key",
        "embedder": "endpoint",
        "embedding_url": "http://***@h:1/v1",
        "embedding_model": "e5",
        "embedding_key_file": "/run/embedding.key",
        "dimensions": 512,
        "master_key_file": "/run/master.key",
        "home": "/data",
    }


def test_the_file_may_give_parts_instead_of_urls(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {
            "backend": "dual",
            "readFrom": "postgres",
            "writeTo": ["postgres", "sqlite"],
            "redis": {"host": "::1", "password": "p@ss/word", "db": 2, "tls": True},
            "postgres": {"host": "db", "user": "argent", "password": SECRET, "database": "mem"},
            "sqlite": {"path": "memory.db", "vectorCache": 0},
        },
    )
    assert config.redis_url == "rediss://:p%40ss%2Fword@[::1]:6380/2"
    assert config.postgres_url == f"postgresql://argent:{SECRET}@db:5433/mem"
    assert config.read_from == "postgres"
    assert config.sqlite_path == tmp_path / ".argentos/memory.db"
    assert config.sqlite_vector_cache == 0


def test_keys_that_are_argentos_own_business_are_left_alone(tmp_path: Path) -> None:
    assert load(tmp_path, {"vectorDimensions": 768, "redis": {"keyPrefix": "x"}}).backend


def test_passwords_are_never_shown(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {"postgres": {"url": f"postgres://me:{SECRET}@db/x"}},
        {"ARGENTBUS_REDIS_URL": f"rediss://:{SECRET}@host:1/0?password={SECRET}"},
    )
    shown = f"{config!r} {config} {list(config.__rich_repr__())} {config.settings()}"
    assert SECRET in config.redis_url
    assert SECRET not in shown
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, env={"ARGENTBUS_REDIS_URL": f"redis://:a/{SECRET}@x@host:zz"})
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, {"redis": {"password": [SECRET]}})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("storage", "key", "expected"),
    [
        ({"backend": "mysql"}, "storage.backend", "sqlite, postgres, dual"),
        ({"backend": ["sqlite"]}, "storage.backend", "sqlite, postgres, dual"),
        ({"backend": "sqlite", "readFrom": "postgres"}, "storage.readFrom", "should be sqlite"),
        ({"readFrom": "postgres"}, "storage.readFrom", "(the default)"),
        ({"backend": "dual", "writeTo": ["sqlite"]}, "storage.writeTo", '["sqlite", "postgres"]'),
        ({"writeTo": "sqlite"}, "storage.writeTo", "a list such as"),
        ({"writeTo": [{}, {}]}, "storage.writeTo", "a list such as"),
        ({"readForm": "sqlite"}, "storage.readForm", "did you mean readFrom"),
        ({"redis": {"prot": 1}}, "storage.redis.prot", "did you mean port"),
        ({"redis_url": "redis://h"}, "storage.redis_url", 'did you mean redis: {"url": ...}'),
        ({"redis": {"port": "six"}}, "storage.redis.port", "a whole number from 1 to 65535"),
        ({"redis": {"port": 70000}}, "storage.redis.port", "65535"),
        ({"redis": {"port": True}}, "storage.redis.port", "65535"),
        ({"redis": {"host": "a b"}}, "storage.redis.host", "host name"),
        ({"redis": {"db": "0"}}, "storage.redis.db", "a whole number"),
        ({"redis": {"url": "http://x"}}, "storage.redis.url", "redis://127.0.0.1:6380"),
        ({"redis": []}, "storage.redis", "a JSON object"),
        ({"postgres": {"url": 3}}, "storage.postgres.url", "postgresql://"),
        ({"sqlite": {"path": ""}}, "storage.sqlite.path", "not a path"),
        ({"sqlite": {"vectorCache": -1}}, "storage.sqlite.vectorCache", "from 0 to 1099511627776"),
        ({"sqlite": {"vectorCash": 1}}, "storage.sqlite.vectorCash", "did you mean vectorCache"),
        ({"namespace": "a b"}, "storage.namespace", "1 to 64 characters"),
        ({"partitions": 0}, "storage.partitions", "from 1 to 1024"),
        ({"lease": 0.5}, "storage.lease", "should be seconds, from 1 to 600"),
        ({"lease": True}, "storage.lease", "is True, should be seconds"),
        ({"lease": "soon"}, "storage.lease", "is 'soon', should be seconds"),
        ({"embedding": {"embedder": "magic"}}, "storage.embedding.embedder", "none, endpoint, bun"),
        ({"embedding": {"embeder": "x"}}, "storage.embedding.embeder", "did you mean embedder"),
        ({"embedding": {"dimensions": 0}}, "storage.embedding.dimensions", "from 1 to 2000"),
        ({"embedding": {"dimensions": True}}, "storage.embedding.dimensions", "from 1 to 2000"),
        ({"embedding": {"url": "ftp://h"}}, "storage.embedding.url", "http://127.0.0.1:11434/v1"),
        ({"embedding": {"url": "http://h/v1?x"}}, "storage.embedding.url", "a URL such as"),
        ({"embedding": {"model": " "}}, "storage.embedding.model", "the name of a model"),
        ({"embedding": {"model": "m"}}, "storage.embedding.model", "(the default): it belongs to"),
        ({"embedding": {"embedder": "endpoint"}}, "storage.embedding.embedder", "needs a url"),
        (
            {"embedding": {"embedder": "endpoint", "url": "http://h/v1"}},
            *("storage.embedding.embedder", "ARGENTBUS_EMBEDDING_MODEL"),
        ),
        (
            {"embedding": {"embedder": "bundled", "url": "http://h/v1"}},
            *("storage.embedding.url", "contradicts embedder bundled"),
        ),
        (
            {"embedding": {"embedder": "bundled", "dimensions": 768}},
            *("storage.embedding.dimensions", "contradicts embedder bundled"),
        ),
        ([], "storage", "a JSON object"),
    ],
)
def test_a_wrong_value_names_the_file_the_key_and_what_it_should_be(
    tmp_path: Path, storage: Any, key: str, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, storage)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / '.argentos/argent.json'}, key {key}: ")
    assert expected in message


@pytest.mark.parametrize("text", ["{", "", "[1]", '{"storage": \xff}', "[" * 100_000])
def test_a_file_that_is_not_json_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"argent\.json: "):
        load(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".argentos" / "argent.json").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"argent\.json: cannot be read"):
        load(tmp_path)
    with pytest.raises(ConfigurationError, match="no such file"):
        StorageConfig.load(path=tmp_path / "other.json")


@pytest.mark.parametrize(
    ("env", "options", "source"),
    [
        ({"ARGENTBUS_BACKEND": "mysql"}, {}, "ARGENTBUS_BACKEND: "),
        ({"ARGENTBUS_REDIS_URL": "localhost"}, {}, "ARGENTBUS_REDIS_URL: "),
        ({"ARGENTBUS_REDIS_URL": "redis://h/one"}, {}, "ARGENTBUS_REDIS_URL: "),
        ({"ARGENTBUS_PARTITIONS": "-1"}, {}, "ARGENTBUS_PARTITIONS: "),
        ({"ARGENTBUS_PARTITIONS": "4"}, {"partitions": "x"}, "--partitions: "),
        ({}, {"redis_url": "redis://h:0"}, "--redis-url: "),
        ({}, {"namespace": ""}, "--namespace: "),
        ({}, {"backend": "postgres", "read_from": "sqlite"}, "--read-from: "),
    ],
)
def test_a_wrong_variable_or_option_is_named(
    tmp_path: Path, env: dict[str, str], options: dict[str, str], source: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, None, env, **options)
    assert str(caught.value).startswith(source)


def test_the_bundled_model_says_the_dimensions(tmp_path: Path) -> None:
    assert load(tmp_path).dimensions == 768
    assert load(tmp_path, {"embedding": {"embedder": "bundled"}}).dimensions == 384
    of_file = {"embedding": {"embedder": "endpoint", "url": "http://h/v1", "model": "m"}}
    config = load(tmp_path, of_file, {"ARGENTBUS_EMBEDDER": "bundled"})
    assert (config.embedder, config.embedding_url, config.dimensions) == ("bundled", None, 384)
    assert load(tmp_path, of_file).embedding_model == "m"


def test_a_backend_from_the_environment_overrules_the_files_reading_and_writing(
    tmp_path: Path,
) -> None:
    storage = {"backend": "dual", "readFrom": "postgres", "writeTo": ["sqlite", "postgres"]}
    config = load(tmp_path, storage, {"ARGENTBUS_BACKEND": "sqlite"})
    assert (config.backend, config.read_from, config.write_to) == ("sqlite", "sqlite", ("sqlite",))
