"""An agent's own user on a Cluster and behind sentinels: it works, is confined, and outlives a
failover.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from bus import Bus, ServerRefused
from bus.acl import rules, user_of

# The very tests of one server, with the fixtures below.
from tests.bus.test_acl import (  # noqa: F401
    GRANTS,
    _quiet,
    test_a_granted_agent_does_its_work,
    test_it_cannot_break_out,
)
from tests.shell import Shell

pytestmark = pytest.mark.anyio


@pytest.fixture(
    params=[
        pytest.param(("asyncio", "cluster"), id="cluster"),
        pytest.param(("trio", "sentinels"), id="sentinels"),
    ]
)
def where(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def anyio_backend(where: Any) -> Any:
    return where[0]


@pytest.fixture
def servers(where: Any, request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(where[1])


@pytest.fixture
async def bus(servers: Any, namespace: str) -> AsyncIterator[Bus]:
    async with Bus.connect(servers.url, namespace=namespace, ttl=1.0, patience=10.0) as bus:
        yield bus


def login(url: str, user: str, password: str) -> str:
    return url.replace("://", f"://{user.replace(':', '%3A')}:{password}@")


@pytest.fixture
async def confined(servers: Any, bus: Bus) -> AsyncIterator[Bus]:
    """A bus as the user of `scout`."""
    user = user_of(bus.keys, "scout")
    granted = rules(bus.keys, "scout", GRANTS, partition=1)
    await bus.link.everywhere("ACL", "SETUSER", user, *granted, ">secret", replicas=True)
    url = login(servers.url, user, "secret")
    try:
        async with Bus.connect(url, namespace=bus.namespace, ttl=1.0, patience=3.0) as confined:
            yield confined
    finally:
        await bus.link.everywhere("ACL", "DELUSER", user, replicas=True)


async def test_a_user_outlives_a_failover(
    servers: Any, namespace: str, bus: Bus, shell: Shell
) -> None:
    where = ["--redis-url", servers.url, "--namespace", namespace]
    shown = shell.run("acl", "grant", "scout", "--queue", "jobs", *where).stdout
    url = next(line.split()[1] for line in shown.splitlines() if line.startswith("URL"))
    assert url.partition("@")[2] == servers.url.partition("://")[2]
    async with Bus.connect(url, namespace=namespace, ttl=3.0) as own, own.join("scout") as scout:
        queue = scout.queue("jobs", int)
        await queue.put(1)
        servers.lose(queue.base)
        with anyio.fail_after(25):
            await queue.put(2)
            await scout.set_state(activity="still here")
    # With one server away. (It had the user only in its memory.)
    again = json.loads(shell.run("acl", "grant", "scout", "--json", *where).stdout)
    assert again["applied"]
    assert "is removed" in shell.run("acl", "revoke", "scout", *where).stdout

    users = await bus.link.retrying(
        lambda: bus.link.everywhere("ACL", "GETUSER", again["user"], replicas=True)
    )
    assert len(users) >= 2
    assert not any(users)
    with pytest.raises(ServerRefused):
        async with Bus.connect(url, namespace=namespace):
            pass
