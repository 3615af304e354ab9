"""The embedded Redis: kill -9 at any moment loses nothing that was acknowledged."""

import threading
from pathlib import Path

import pytest
import redis

from argentbus.embedded import EmbeddedRedis, free_port
from argentbus.errors import EmbeddedServerFailed, PortTaken
from tests.conftest import RedisServer


def test_kill_9_under_load_loses_no_acknowledged_write(own_redis: RedisServer) -> None:
    # Large entries, so that a sync is under way for most of the time: with `appendfsync everysec`
    # that is when Redis answers before it has written.
    body = b"x" * 50_000
    acknowledged = [0] * 4
    loaded = threading.Event()

    def write(number: int) -> None:
        client = redis.Redis(port=own_redis.port)
        try:
            while True:
                client.xadd(f"s{number}", {"b": body})
                acknowledged[number] += 1
                if sum(acknowledged) >= 2000:
                    loaded.set()
        except redis.ConnectionError:
            pass  # it was killed, as it should be

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    assert loaded.wait(30)
    own_redis.kill()
    for thread in threads:
        thread.join()
    own_redis.start()
    client = redis.Redis(port=own_redis.port)
    kept = [client.xlen(f"s{number}") for number in range(4)]
    missing = [a - k for a, k in zip(acknowledged, kept, strict=True) if k < a]
    assert not missing


def test_its_settings_are_those_that_lose_nothing(redis_server: RedisServer) -> None:
    client = redis.Redis(port=redis_server.port)
    assert client.config_get("append*")["appendonly"] == "yes"
    assert client.config_get("appendfsync")["appendfsync"] == "always"
    assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    assert client.config_get("bind")["bind"] == "127.0.0.1"
    assert client.info("server")["redis_version"].startswith("8.")


def test_a_taken_port_and_a_server_that_ends_are_told_apart(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with pytest.raises(PortTaken, match="taken by a Redis"):
        EmbeddedRedis(tmp_path / "a", redis_server.port).start()
    settings = {"maxmemory-policy": "nonsense"}
    with pytest.raises(EmbeddedServerFailed, match="status 1"):
        EmbeddedRedis(tmp_path / "b", free_port(), settings=settings).start()


def test_it_may_be_frozen_killed_and_started_again(own_redis: RedisServer) -> None:
    redis.Redis(port=own_redis.port).set("kept", "yes")
    own_redis.freeze()
    assert not own_redis.answers()
    own_redis.thaw()
    assert own_redis.answers()
    own_redis.kill()
    assert not own_redis.answers()
    own_redis.start()
    assert redis.Redis(port=own_redis.port).get("kept") == b"yes"
