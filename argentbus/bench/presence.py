"""Many present agents: what their heartbeat costs, and how soon a death among them is seen."""

import random
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import anyio
import msgspec
import redis.asyncio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from bus import Bus, Presence
from bus.agents.agent import Agent
from bus.messages.envelope import new_id

from .figures import Figure

#: The TTL of an agent unless it says otherwise, and of those that are killed, in seconds.
TTL: Final = 30.0
DYING_TTL: Final = 2.0

#: Agents that are written in one call.
_SOME: Final = 1000

#: Present agents, written at once; see `bus/agents/lua/join.lua`.
_PRESENT: Final = """
for i = 2, #ARGV, 2 do
  redis.call('SET', KEYS[1] .. 'agent:' .. ARGV[i], ARGV[i + 1], 'PX', ARGV[1])
  redis.call('ZADD', KEYS[1] .. 'index', redis.call('TIME')[1] * 1000 + ARGV[1], ARGV[i])
  redis.call('HSET', KEYS[1] .. 'index:records', ARGV[i], ARGV[i + 1])
end
"""


async def heartbeat(url: str, agents: int) -> Figure:
    """Share of one core that the heartbeat of `agents` in one process takes, at the default TTL.

    Only this process's CPU time is counted; a beat is due every third of the TTL.
    """
    beats = 5
    async with Bus.connect(url, namespace=f"bench-{new_id()}", ttl=TTL) as bus:
        members = [
            Agent(bus, Presence(instance=new_id(), agent=f"agent-{n}", ttl=TTL))
            for n in range(agents)
        ]
        limiter = anyio.CapacityLimiter(200)

        async def join(agent: Agent) -> None:
            async with limiter:
                await bus.registry.join(agent.presence, takeover=False)

        async with anyio.create_task_group() as tasks:
            for agent in members:
                tasks.start_soon(join, agent)
        began = time.process_time()
        for _ in range(beats):
            await bus.roll.beat(members)
        ours = (time.process_time() - began) / beats
        # What the process does besides: the pump's own looks, the reaper's.
        began = time.process_time()
        await anyio.sleep(2.0)
        idle = (time.process_time() - began) / 2.0
    async with redis.asyncio.Redis.from_url(url) as client:
        prefix = f"bench-{new_id()}"
        began = time.process_time()
        async with client.pipeline(transaction=False) as pipeline:
            for n in range(agents):
                pipeline.set(f"{prefix}:{n}", "here", px=int(TTL * 1000))
            await pipeline.execute()
        bare = time.process_time() - began
    return Figure(
        path=f"heartbeat of {agents:,} agents, share of a core",
        ours=(ours / (TTL / 3) + idle) * 100,
        bare=bare / (TTL / 3) * 100,
        unit="%",
        beside=f"redis.asyncio: one pipeline of {agents:,} SET PX",
    )


async def death(url: str, present: int, kills: int) -> Figure:
    """Most milliseconds from a kill -9 to the `expired` event, among `present` agents."""
    namespace = f"bench-{new_id()}"
    delays: list[float] = []
    async with Bus.connect(url, namespace=namespace) as bus:
        await _fill(bus, present)
        events = bus.registry.events(after="0-0")
        for number in range(kills):
            agent = f"victim-{number}"
            async with _victim(url, namespace, agent) as process:
                # Anywhere between two of its beats.
                await anyio.sleep(random.uniform(0, DYING_TTL / 3))  # noqa: S311
                process.kill()
                killed = time.perf_counter()
                async for event in events:
                    if (event.kind, event.agent) == ("expired", agent):
                        delays.append((time.perf_counter() - killed) * 1000)
                        break
    return Figure(
        path=f"death seen among {present:,} agents, worst of {kills}",
        ours=max(delays),
        bare=DYING_TTL * 1000,
        unit="ms",
        beside="the agent's TTL",
    )


@asynccontextmanager
async def _victim(url: str, namespace: str, agent: str) -> AsyncGenerator[Process]:
    command = [sys.executable, "-m", "argentbus.bench.victim", url, namespace, agent]
    async with await anyio.open_process([*command, str(DYING_TTL)], stderr=None) as process:
        assert process.stdout is not None
        try:
            await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 100)
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def _fill(bus: Bus, count: int) -> None:
    for start in range(0, count, _SOME):
        pairs: list[str | bytes] = []
        for n in range(start, min(count, start + _SOME)):
            presence = Presence(instance=new_id(), agent=f"agent-{n}", ttl=600.0)
            pairs += [presence.agent, msgspec.json.encode(presence)]
        await bus.link.call("EVAL", _PRESENT, 1, bus.keys.presences, 600_000, *pairs)
