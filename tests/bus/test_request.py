"""Inboxes, and requests with replies."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
import pytest

from bus import Agent, Bus, RequestFailed, RequestTimeout, UndecodableMessage
from bus.messages.envelope import wrap
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class Ask(msgspec.Struct):
    topic: str


class Draft(msgspec.Struct):
    text: str


@asynccontextmanager
async def writer(bus: Bus) -> AsyncIterator[Agent]:
    async def serve(agent: Agent) -> None:
        async for delivery in agent.inbox(Ask):
            async with delivery:
                if delivery.body.topic == "taxes":
                    raise PermissionError("not about taxes")
                await delivery.reply(Draft(f"on {delivery.body.topic}"))

    async with bus.join("writer") as agent, anyio.create_task_group() as tasks:
        tasks.start_soon(serve, agent)
        yield agent
        tasks.cancel_scope.cancel()


async def test_a_message_waits_for_an_agent_that_is_not_there_yet(bus: Bus) -> None:
    async with bus.join("scout") as scout:
        await scout.send("writer", Ask("rivers"))
        await scout.send("writer", {"plain": "data"})
        async with bus.join("writer") as late:
            inbox = late.inbox(Ask)
            with anyio.fail_after(5):
                async with await anext(inbox) as first:
                    assert (first.body, first.sender, first.type) == (Ask("rivers"), "scout", "Ask")
                async with await anext(inbox) as second:
                    assert second.body == {"plain": "data"}


async def test_a_request_is_answered(bus: Bus) -> None:
    async with bus.join("scout") as scout, writer(bus):
        for topic in ("rivers", "stones"):
            draft = await scout.request("writer", Ask(topic), Draft, timeout=5)
            assert draft == Draft(f"on {topic}")


async def test_concurrent_requests_get_their_own_replies(bus: Bus) -> None:
    answers: dict[int, str] = {}
    async with bus.join("scout") as scout, writer(bus), anyio.create_task_group() as tasks:

        async def ask(n: int) -> None:
            reply = await scout.request("writer", Ask(str(n)), Draft, timeout=10)
            answers[n] = reply.text

        for n in range(100):
            tasks.start_soon(ask, n)
    assert answers == {n: f"on {n}" for n in range(100)}


async def test_the_handlers_error_reaches_the_caller(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL, "argentbus"):
        async with bus.join("scout") as scout, writer(bus):
            with pytest.raises(RequestFailed, match="not about taxes") as caught:
                await scout.request("writer", Ask("taxes"), Draft, timeout=5)
    assert (caught.value.error_type, caught.value.agent) == ("PermissionError", "writer")


async def test_nobody_answers_in_time(bus: Bus) -> None:
    async with bus.join("scout") as scout:
        with pytest.raises(RequestTimeout, match=r"agent writer did not answer within 0\.2 s"):
            await scout.request("writer", Ask("rivers"), Draft, timeout=0.2)
        async with bus.join("writer") as late:
            # What nobody waits for any more is not started, and what follows it is.
            await scout.send("writer", Ask("stones"))
            with anyio.fail_after(5):
                async with await anext(late.inbox(Ask)) as delivery:
                    assert delivery.body == Ask("stones")


async def test_a_reply_of_another_type_is_an_error(bus: Bus) -> None:
    async with bus.join("scout") as scout, writer(bus):
        with pytest.raises(UndecodableMessage, match="is not a int"):
            await scout.request("writer", Ask("rivers"), int, timeout=5)


async def test_a_reply_goes_only_to_where_instances_listen(bus: Bus) -> None:
    async with writer(bus), bus.topic("mood", Draft).subscribe() as feed:
        _, forged = wrap(Ask("x"), sender="evil", reply_to=bus.keys.topic("mood"))
        await bus.appender.append(bus.keys.inbox("writer"), forged)

        async def handled() -> bool:
            return int(await bus.link.call("XLEN", bus.keys.inbox("writer"))) == 0

        await eventually(handled)
        assert (feed.refused, feed.dropped) == (0, 0)
        assert not feed._items


async def test_garbage_in_an_inbox_or_a_mailbox_stops_nobody(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL, "argentbus"):
        async with bus.join("scout") as scout, writer(bus):
            await bus.link.call("XADD", bus.keys.inbox("writer"), "*", "e", b"\xc1\xff")
            await bus.link.call("XADD", bus.keys.inbox("writer"), "*", b"\xff", b"\x00")
            await scout.request("writer", Ask("a"), Draft, timeout=5)
            for garbage in (b"", b"wake:\xff", b"\xff\x00"):
                await bus.publish(bus.mailbox.channel, garbage)
            draft = await scout.request("writer", Ask("b"), Draft, timeout=5)
    assert draft == Draft("on b")


async def test_what_an_inbox_had_read_ahead_goes_to_the_next_instance(bus: Bus) -> None:
    async with bus.join("scout") as scout:
        for n in range(5):
            await scout.send("writer", Ask(str(n)))
        async with bus.join("writer") as one:
            async with await anext(one.inbox(Ask)):
                pass
        seen: list[Any] = []
        async with bus.join("writer") as two, anyio.create_task_group() as tasks:

            async def read() -> None:
                async for delivery in two.inbox(Ask):
                    async with delivery:
                        seen.append(delivery.body.topic)

            tasks.start_soon(read)
            await eventually(lambda: len(seen) == 4)
            tasks.cancel_scope.cancel()
        assert sorted(seen) == ["1", "2", "3", "4"]
