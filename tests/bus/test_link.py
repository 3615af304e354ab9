"""The link: clear errors where there is no server, and going on where there is one again."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from anyio.abc import SocketAttribute, SocketStream

from bus import Bus, BusError, BusUnavailable, ServerRefused, UnsupportedServer
from bus.servers.address import parse_url
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class Job(msgspec.Struct):
    n: int


@asynccontextmanager
async def server(answer: Callable[[SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """A TCP server that speaks as `answer` does; yields its URL."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answer)
            yield f"redis://127.0.0.1:{port}"
            tasks.cancel_scope.cancel()


async def refuses(url: str, error: type[Exception], match: str) -> None:
    with anyio.fail_after(10), pytest.raises(error, match=match) as caught:
        async with Bus.connect(url):
            pytest.fail("connected")
    assert "\n" not in str(caught.value)


async def test_nobody_listens() -> None:
    async with server(lambda _: anyio.lowlevel.checkpoint()) as url:
        pass
    await refuses(url, BusUnavailable, r"cannot reach Redis at redis://127\.0\.0\.1:\d+.*start one")


async def test_something_else_listens() -> None:
    async def http(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with server(http) as url:
        await refuses(url, UnsupportedServer, "does not speak Redis's protocol")


async def test_something_listens_and_says_nothing() -> None:
    async def mute(stream: SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async with server(mute) as url:
        await refuses(url, BusUnavailable, "no answer within 5 s")


@pytest.mark.parametrize(
    ("reply", "version"),
    [
        (b"-ERR unknown command `HELLO`, with args beginning with: `3`\r\n", "does not know HELLO"),
        (
            b"%3\r\n+server\r\n+redis\r\n+version\r\n$6\r\n6.0.16\r\n+proto\r\n:3\r\n".replace(
                b"%3", b"%4"
            )
            + b"+id\r\n:1\r\n",
            "6.0.16",
        ),
    ],
)
async def test_a_redis_that_is_too_old(reply: bytes, version: str) -> None:
    async def old(stream: SocketStream) -> None:
        async with stream:
            async for _ in stream:
                await stream.send(reply)

    async with server(old) as url:
        await refuses(url, UnsupportedServer, f"is .*{version}.*: argentbus needs Redis 6.2")


@pytest.mark.parametrize("url", ["", "localhost", "http://x", "redis://h:port", "unix://"])
async def test_what_is_not_a_url_is_refused(url: str) -> None:
    await refuses(url, BusError, "not a Redis URL.*write redis://")


async def test_a_wrong_password_is_not_shown(redis_server: Any, namespace: str) -> None:
    async with Bus.connect(redis_server.url, namespace=namespace) as bus:
        user = f"user-{namespace}"
        await bus.link.call("ACL", "SETUSER", user, "on", ">right", "~*", "&*", "+@all")
        try:
            url = redis_server.url.replace("redis://", f"redis://{user}:s3cret-wrong@")
            with pytest.raises(ServerRefused, match="check the user and password") as caught:
                async with Bus.connect(url):
                    pytest.fail("connected")
            assert "s3cret" not in str(caught.value)
            async with Bus.connect(url.replace("s3cret-wrong", "right")) as other:
                assert "right" not in repr(other)
        finally:
            await bus.link.call("ACL", "DELUSER", user)


async def test_patience_ends(own_redis: Any, namespace: str) -> None:
    async with Bus.connect(own_redis.url, namespace=namespace, patience=0.5) as bus:
        own_redis.kill()
        with anyio.fail_after(10), pytest.raises(BusUnavailable, match="cannot reach Redis"):
            await bus.queue("jobs", Job).put(Job(1))


async def test_everything_goes_on_after_redis_was_killed_and_started_again(
    own_redis: Any, namespace: str
) -> None:
    handled: set[int] = set()
    acknowledged: set[int] = set()
    restarted = anyio.Event()

    async with Bus.connect(own_redis.url, namespace=namespace, ttl=2.0) as bus:
        queue = bus.queue("jobs", Job)
        topic = bus.topic("mood", str)

        async def work() -> None:
            async with queue.consume("workers") as deliveries:
                async for delivery in deliveries:
                    async with delivery:
                        handled.add(delivery.body.n)

        async def put() -> None:
            n = 0
            while not (restarted.is_set() and len(acknowledged) > 500):
                await queue.put(Job(n))
                acknowledged.add(n)
                n += 1

        async with (
            bus.join("scout") as agent,
            topic.subscribe() as feed,
            bus.lock("beat", ttl=20) as lease,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(work)
            async with anyio.create_task_group() as producers:
                producers.start_soon(put)
                await eventually(lambda: len(acknowledged) > 200)
                own_redis.kill()
                own_redis.start()
                restarted.set()
            await eventually(lambda: handled >= acknowledged, timeout=20)
            await eventually(lambda: feed.gaps > 0)
            await topic.publish("still here")
            with anyio.fail_after(5):
                assert (await anext(feed)).body == "still here"
            assert (await bus.registry.snapshot()).agents["scout"].instance == agent.instance
            assert lease.remaining > 0
            tasks.cancel_scope.cancel()
        async with bus.lock("beat", ttl=5, wait=1) as again:
            assert again.fence > lease.fence


def test_what_is_said_of_a_wrong_url_has_no_password_in_it() -> None:
    with pytest.raises(BusError) as raised:
        parse_url("redis://:hun/ter2@127.0.0.1:6380")
    assert "hun" not in str(raised.value)
    assert "percent-encoded" in str(raised.value)
