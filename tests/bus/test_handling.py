"""Deadlines and cancellation: nobody works for a reply that nobody waits for."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from bus import Agent, Bus, Delivery, RequestFailed, RequestTimeout
from bus.messages.envelope import wrap
from bus.requests.handling import CANCEL
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

Handler = Callable[[Agent, Delivery[Any]], Awaitable[None]]


@asynccontextmanager
async def serving(bus: Bus, agent_id: str, handler: Handler, **join: Any) -> AsyncIterator[Agent]:
    async def serve(agent: Agent) -> None:
        async for delivery in agent.inbox():
            async with delivery:
                await handler(agent, delivery)

    async with bus.join(agent_id, **join) as agent, anyio.create_task_group() as tasks:
        tasks.start_soon(serve, agent)
        yield agent
        tasks.cancel_scope.cancel()


class Work:
    """A handler that works until it is cancelled."""

    def __init__(self) -> None:
        self.began: list[int] = []
        self.cancelled: list[float] = []

    async def __call__(self, agent: Agent, delivery: Delivery[Any]) -> None:
        self.began.append(delivery.attempt)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(anyio.current_time())
            raise


async def drained(bus: Bus, agent: str) -> bool:
    """Whether everything in an inbox was acknowledged."""
    return int(await bus.link.call("XLEN", bus.keys.inbox(agent))) == 0


async def test_cancelling_the_caller_cancels_the_handler_which_is_not_retried(bus: Bus) -> None:
    work = Work()
    async with bus.join("scout") as scout, serving(bus, "writer", work):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: scout.request("writer", 1, int, timeout=30))
            await eventually(lambda: work.began == [1])
            tasks.cancel_scope.cancel()
        with anyio.fail_after(2):
            await eventually(lambda: len(work.cancelled) == 1)
        await eventually(lambda: drained(bus, "writer"))
        assert work.began == [1]


async def test_the_handler_is_cancelled_when_the_deadline_passes(bus: Bus) -> None:
    work = Work()
    async with bus.join("scout") as scout, serving(bus, "writer", work):
        began = anyio.current_time()
        with pytest.raises(RequestTimeout):
            await scout.request("writer", 1, int, timeout=0.5)
        await eventually(lambda: len(work.cancelled) == 1)
        assert 0.4 < work.cancelled[0] - began < 1.5
        await eventually(lambda: drained(bus, "writer"))
        assert work.began == [1]


CALLER = """
import sys, anyio
from bus import Bus

async def main(url, namespace):
    async with Bus.connect(url, namespace=namespace) as bus, bus.join("caller") as caller:
        await caller.request("writer", 1, int, timeout=1.5)

anyio.run(main, *sys.argv[1:])
"""


async def test_work_for_a_caller_that_was_killed_ends_with_its_deadline(bus: Bus) -> None:
    work = Work()
    async with serving(bus, "writer", work):
        process = subprocess.Popen(
            [sys.executable, "-c", CALLER, str(bus.link.address), bus.namespace],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            await eventually(lambda: work.began == [1])
            began = anyio.current_time()
        finally:
            process.kill()
            process.wait()
        await eventually(lambda: len(work.cancelled) == 1)
        assert work.cancelled[0] - began < 1.6


async def test_what_was_cancelled_before_it_began_is_not_started(bus: Bus) -> None:
    started: list[Any] = []
    gate = anyio.Event()

    async def handle(agent: Agent, delivery: Delivery[Any]) -> None:
        started.append(delivery.body)
        if delivery.body == "first":
            await gate.wait()

    async with bus.join("scout") as scout, serving(bus, "writer", handle):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: scout.request("writer", "first", int, timeout=30))
            await eventually(lambda: started == ["first"])
            async with anyio.create_task_group() as doomed:
                doomed.start_soon(lambda: scout.request("writer", "second", int, timeout=30))

                async def arrived() -> bool:
                    return int(await bus.link.call("XLEN", bus.keys.inbox("writer"))) == 2

                await eventually(arrived)
                doomed.cancel_scope.cancel()
            await scout.send("writer", "third")
            gate.set()
            await eventually(lambda: started[-1] == "third")
            tasks.cancel_scope.cancel()
        assert started == ["first", "third"]


async def test_after_the_reply_a_handler_may_take_its_time(bus: Bus) -> None:
    ended = anyio.Event()

    async def handle(agent: Agent, delivery: Delivery[Any]) -> None:
        await delivery.reply(delivery.body)
        await anyio.sleep(max(0.0, (delivery.deadline or 0.0) - time.time()) + 0.2)
        with pytest.raises(ValueError, match="give a timeout"):
            await agent.request("nobody", 1, int)
        ended.set()

    async with bus.join("scout") as scout, serving(bus, "writer", handle):
        assert await scout.request("writer", 7, int, timeout=0.5) == 7
        with anyio.fail_after(5):
            await ended.wait()


async def test_requests_within_a_request_inherit_its_deadline(bus: Bus) -> None:
    deadlines: dict[str, float] = {}

    async def inner(agent: Agent, delivery: Delivery[Any]) -> None:
        deadlines[delivery.body] = delivery.deadline or 0.0
        await delivery.reply(0)

    async def outer(agent: Agent, delivery: Delivery[Any]) -> None:
        deadlines["outer"] = delivery.deadline or 0.0
        await agent.request("inner", "longer", int, timeout=60)
        await agent.request("inner", "shorter", int, timeout=1)
        await agent.request("inner", "none", int)
        await agent.request("inner", "own", int, timeout=60, inherit_deadline=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: agent.request("inner", "in a task", int, timeout=60))
        await delivery.reply(0)

    async with bus.join("scout") as scout, serving(bus, "inner", inner):
        async with serving(bus, "outer", outer):
            await scout.request("outer", 0, int, timeout=5)
        # Outside of any request there is nothing to inherit.
        with pytest.raises(ValueError, match="give a timeout"):
            await scout.request("inner", "x", int)
    whole = deadlines["outer"]
    assert deadlines["longer"] == deadlines["none"] == deadlines["in a task"] == whole
    assert deadlines["shorter"] < whole - 2
    assert deadlines["own"] > whole + 40


async def test_cancelling_the_caller_reaches_the_handlers_handler(bus: Bus) -> None:
    work = Work()

    async def outer(agent: Agent, delivery: Delivery[Any]) -> None:
        await agent.request("inner", 1, int)

    async with bus.join("scout") as scout, serving(bus, "inner", work):
        async with serving(bus, "outer", outer):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: scout.request("outer", 1, int, timeout=30))
                await eventually(lambda: work.began == [1])
                tasks.cancel_scope.cancel()
            await eventually(lambda: len(work.cancelled) == 1)


async def test_a_stranger_cannot_cancel_a_request(bus: Bus) -> None:
    seen: list[Delivery[Any]] = []

    async def handle(agent: Agent, delivery: Delivery[Any]) -> None:
        seen.append(delivery)
        channel = bus.keys.cancelling(bus.keys.inbox("writer"))
        _, forged = wrap(None, sender="evil", type=CANCEL, message_id=delivery.id)
        assert await bus.publish(channel, forged) == 1
        for garbage in (b"", b"\xff", wrap(1, sender="scout", message_id=delivery.id)[1]):
            await bus.publish(channel, garbage)
        await delivery.reply(1)

    async with bus.join("scout") as scout, serving(bus, "writer", handle):
        assert await scout.request("writer", 1, int, timeout=5) == 1
        await eventually(lambda: seen[0]._consumer.cancellations.refused == 3)


SERVER = """
import sys, anyio
from bus import Bus

async def main(url, namespace):
    async with Bus.connect(url, namespace=namespace, ttl=60) as bus:
        async with bus.join("writer", shared=True, ttl=1.0) as agent:
            async with await anext(agent.inbox()):
                print("began", flush=True)
                await anyio.sleep_forever()

anyio.run(main, *sys.argv[1:])
"""


async def test_a_request_whose_receiver_died_is_handled_by_another_instance(bus: Bus) -> None:
    attempts: list[int] = []

    async def handle(agent: Agent, delivery: Delivery[Any]) -> None:
        attempts.append(delivery.attempt)
        await delivery.reply(delivery.body)

    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(bus.link.address), bus.namespace],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    replies: list[int] = []
    assert process.stdout is not None
    try:
        async with bus.join("scout") as scout, anyio.create_task_group() as tasks:

            async def ask() -> None:
                replies.append(await scout.request("writer", 7, int, timeout=15))

            tasks.start_soon(ask)
            with anyio.fail_after(15):
                assert await anyio.to_thread.run_sync(process.stdout.readline) == b"began\n"
            async with serving(bus, "writer", handle, shared=True):
                process.kill()
                killed = anyio.current_time()
                await eventually(lambda: replies == [7])
                assert anyio.current_time() - killed < 2.0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert attempts == [2]


async def test_a_handler_that_is_cancelled_from_outside_gives_the_request_back(bus: Bus) -> None:
    work = Work()

    async def handle(agent: Agent, delivery: Delivery[Any]) -> None:
        await delivery.reply(delivery.attempt)

    async with bus.join("scout") as scout, anyio.create_task_group() as tasks:
        replies: list[int] = []

        async def ask() -> None:
            replies.append(await scout.request("writer", 7, int, timeout=15))

        async with serving(bus, "writer", work, shared=True):
            tasks.start_soon(ask)
            await eventually(lambda: work.began == [1])
        async with serving(bus, "writer", handle, shared=True):
            await eventually(lambda: replies == [2])


async def test_an_error_behind_the_reply_is_not_sent_twice(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "argentbus")

    async def handle(agent: Agent, delivery: Delivery[Any]) -> None:
        if delivery.body == "fail":
            raise KeyError("lost")
        await delivery.reply("well")
        raise KeyError("later")

    async with bus.join("scout") as scout, serving(bus, "writer", handle):
        assert await scout.request("writer", "x", str, timeout=5) == "well"
        with pytest.raises(RequestFailed, match="KeyError: 'lost'"):
            await scout.request("writer", "fail", str, timeout=5)
