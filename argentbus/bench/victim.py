"""An agent to be killed: it joins, prints `ready`, and is present until then.

Run as `python -m argentbus.bench.victim URL NAMESPACE AGENT TTL`.
"""

import sys

import anyio

from argentbus.loop import run
from bus import Bus

from .worker import say


async def be_present(url: str, namespace: str, agent: str, ttl: float) -> None:
    """Be present as `agent`."""
    async with Bus.connect(url, namespace=namespace) as bus, bus.join(agent, ttl=ttl):
        say("ready")
        await anyio.sleep_forever()


if __name__ == "__main__":
    _, url, namespace, agent, ttl = sys.argv
    run(be_present, url, namespace, agent, float(ttl))
