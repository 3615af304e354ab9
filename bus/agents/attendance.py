"""Attendance: being present as an agent for the length of a `with` block."""

import os
import socket
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from bus.arguments import instance, seconds, seconds_or_none
from bus.errors import BusError, PresenceLost, ServerFull
from bus.keys import check_name, check_names
from bus.messages.envelope import new_id
from bus.scope import background
from bus.telemetry.journal import Journal

from .agent import Agent
from .presence import Presence

if TYPE_CHECKING:
    from bus.bus import Bus

log = Journal("argentbus.presence")

#: Seconds: what lasts for less cannot be refreshed in time.
LEAST_TTL: Final = 0.1


@asynccontextmanager
async def joined(
    bus: "Bus",
    agent_id: str,
    *,
    role: str | None,
    capabilities: Iterable[str],
    ttl: float,
    takeover: bool,
    shared: bool,
    inbox: bool,
    stall_after: float | None,
    state: msgspec.Struct | type[msgspec.Struct] | None,
) -> AsyncGenerator[Agent]:
    """Be present as `agent_id` until the context ends. See `Bus.join`."""
    seconds("ttl", ttl, least=LEAST_TTL)
    seconds_or_none("stall_after", stall_after, least=0.001)
    presence = Presence(
        instance=new_id(),
        agent=check_name("agent", agent_id),
        role=None if role is None else check_name("role", role),
        capabilities=tuple(check_names("capability", capabilities)),
        shared=shared,
        inbox=instance("inbox", inbox, bool),
        host=socket.gethostname(),
        pid=os.getpid(),
        since=time.time(),
        ttl=ttl,
        stall_after=stall_after,
        estate=bus.holdings.estate,
    )
    agent = Agent(bus, presence, state)
    await bus.holdings.open()
    try:
        await bus.registry.join(presence, takeover=takeover)
        bus.roll.enter(agent)
        try:
            await bus.registry.write_state(presence, agent.state)
        except ServerFull as error:  # nobody is told, but it is here, and may be who makes room
            log.warning("an agent joined without a state", agent=agent_id, error=error)

        async def watch() -> None:
            await agent.lost.wait()
            raise PresenceLost(
                f"agent {agent_id} was taken over by another instance: this one must stop"
            )

        bus.telemetry.joined(presence.role)
        try:
            async with background(watch) as agent.tasks:
                yield agent
        finally:
            bus.telemetry.left(presence.role)
    finally:
        # Whatever became of the join: a presence that stays behind would expire.
        agent.leaving = True
        bus.roll.enter(agent)
        with anyio.CancelScope(shield=True), anyio.move_on_after(bus.link.reply_timeout):
            await _leave(agent)


async def _leave(agent: Agent) -> None:
    try:
        await agent.bus.roll.leave(agent)
    except BusError as error:
        log.warning("an agent could not say goodbye, and tries again", agent=agent.id, error=error)
