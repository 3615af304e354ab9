"""What the bus promises of many agents together: a part of `acceptance`."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from bus import Agent, Bus, LockLost
from tests.waiting import eventually


async def gathering(one: Bus, other: Bus) -> None:
    """One asks all of a role, and gets what there is: replies, failures, silence."""
    async with (
        one.join("editor") as editor,
        other.join("ada", role="reviewer", capabilities=["python"]) as ada,
        other.join("bob", role="reviewer") as bob,
        other.join("cyd", role="reviewer"),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_review, ada)
        tasks.start_soon(_review, bob)
        asking = editor.gathering("page", str, role="reviewer", timeout=20)
        async with asking as gathered:
            found = [await anext(gathered) for _ in range(2)]
            assert {answer.agent: answer.reply for answer in found} == {
                "ada": "ada: page",
                "bob": None,
            }
            assert gathered.silent == ["cyd"]
        assert await editor.send_any("x", role="reviewer", capabilities=["python"]) == "ada"
        assert sorted(await editor.send_all("y", role="reviewer")) == ["ada", "bob", "cyd"]
        tasks.cancel_scope.cancel()


async def _review(agent: Agent) -> None:
    async for delivery in agent.inbox():
        async with delivery:
            if agent.id == "bob" and delivery.is_request:
                raise ValueError("no glasses")
            if delivery.is_request:
                await delivery.reply(f"{agent.id}: {delivery.body}")


async def holdings(one: Bus, other: Bus) -> None:
    """What a dead agent held is with others within its TTL and a second, whatever the TTLs."""
    jobs = one.queue("held", int)
    await jobs.put(1)
    async with other.join("watcher"), one.join("holder", ttl=1.0) as holder, _held(one):
        got: dict[str, float] = {}

        async def lock() -> None:
            async with other.lock("held", ttl=60):
                got["lock"] = anyio.current_time()

        async def claim() -> None:
            async with other.queue("held", int).consume("workers", ttl=60) as deliveries:
                async with await anext(deliveries) as delivery:
                    assert (delivery.body, delivery.attempt) == (1, 2)
                    got["claim"] = anyio.current_time()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lock)
            tasks.start_soon(claim)
            waiters = f"{one.keys.lock('held')}:waiters"
            await eventually(lambda: _length(one, waiters))
            assert not got
            # As if its process had been killed: nobody beats for it any more.
            one.roll.exit(holder.instance)
            died_at = anyio.current_time()
            await eventually(lambda: len(got) == 2, timeout=10)
        assert max(got.values()) - died_at < 2.0


@asynccontextmanager
async def _held(bus: Bus) -> AsyncIterator[None]:
    """A lock and a claim, both with TTLs of a minute."""
    with contextlib.suppress(LockLost):  # it is another's by then
        async with (
            bus.lock("held", ttl=60),
            bus.queue("held", int).consume("workers", ttl=60) as deliveries,
        ):
            await anext(deliveries)
            yield


async def _length(bus: Bus, key: str) -> bool:
    return bool(await bus.link.call("ZCARD", key))
