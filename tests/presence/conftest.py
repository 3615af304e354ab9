"""The presence tests run on asyncio and on trio."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from bus import Bus

#: An agent as a process of its own: arguments are the URL, the namespace, its id and its TTL.
AGENT = """
import sys, anyio
from bus import Bus

async def main(url, namespace, agent_id, ttl):
    async with Bus.connect(url, namespace=namespace) as bus:
        async with bus.join(agent_id, role="tester", ttl=float(ttl)) as agent:
            await agent.set_state(status="processing", activity="being alive")
            print("joined", flush=True)
            await anyio.sleep_forever()

anyio.run(main, *sys.argv[1:])
"""


class AgentProcess:
    """A real process that has joined as an agent."""

    def __init__(self, url: str, namespace: str, agent_id: str, ttl: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", AGENT, url, namespace, agent_id, str(ttl)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"joined\n"

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self.signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def close(self) -> None:
        """End it, however it is."""
        if self._process.poll() is None:
            self.kill()


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def bus(redis_server: Any, namespace: str) -> AsyncIterator[Bus]:
    async with Bus.connect(redis_server.url, namespace=namespace, ttl=1.0, patience=10.0) as bus:
        yield bus


@pytest.fixture
def agent_process(redis_server: Any, namespace: str) -> Iterator[Callable[..., AgentProcess]]:
    started: list[AgentProcess] = []

    def start(agent_id: str, *, ttl: float = 1.0, url: str = redis_server.url) -> AgentProcess:
        started.append(AgentProcess(url, namespace, agent_id, ttl))
        return started[-1]

    yield start
    for process in started:
        process.close()
