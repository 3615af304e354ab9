"""A blocking bus, and how it reaches Redis."""

from collections.abc import Iterator
from typing import Any

import pytest

from bus.blocking import Bus
from bus.blocking.direct import Direct


@pytest.fixture
def bus(redis_server: Any, namespace: str) -> Iterator[Bus]:
    with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0, patience=10.0) as bus:
        yield bus


@pytest.fixture
def other(redis_server: Any, namespace: str) -> Iterator[Bus]:
    """Another process's, as far as Redis can tell."""
    with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0, patience=10.0) as bus:
        yield bus


@pytest.fixture(params=["redis-py", "portal"])
def either(
    redis_server: Any,
    namespace: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bus]:
    """Both ways for puts: to a Cluster or a sentinel's primary only the portal leads."""
    if request.param == "portal":
        monkeypatch.setattr(Direct, "serves", lambda address: False)
    with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0, patience=10.0) as bus:
        yield bus
