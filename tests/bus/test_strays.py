"""A reply that is lost on its way: what it would have brought is found again, and handled."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from bus import Bus
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


class Losing:
    """A proxy that cuts a connection instead of bringing the next reply with `marked` in it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = ""
        self.marked: bytes | None = None

    async def serve(self, client: ByteStream) -> None:
        server = await anyio.connect_tcp("127.0.0.1", self._port)
        async with client, server, anyio.create_task_group() as tasks:

            async def pump(source: ByteStream, sink: ByteStream, *, replies: bool) -> None:
                try:
                    async for chunk in source:
                        if replies and self.marked is not None and self.marked in chunk:
                            self.marked = None
                            break
                        await sink.send(chunk)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    pass
                tasks.cancel_scope.cancel()

            async def up() -> None:
                await pump(client, server, replies=False)

            async def down() -> None:
                await pump(server, client, replies=True)

            tasks.start_soon(up)
            tasks.start_soon(down)


@asynccontextmanager
async def losing(port: int) -> AsyncIterator[Losing]:
    """A proxy before 127.0.0.1:`port`."""
    proxy = Losing(port)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        proxy.url = f"redis://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, proxy.serve)
            yield proxy
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("prefetch", [0, 8])
async def test_a_retry_whose_claim_is_lost_comes_all_the_same(
    redis_server: Any, namespace: str, prefetch: int
) -> None:
    async with (
        losing(redis_server.port) as proxy,
        Bus.connect(proxy.url, namespace=namespace, ttl=1.0) as bus,
    ):
        queue = bus.queue("jobs", str)
        await queue.put("a marked body")
        async with queue.consume("workers", prefetch=prefetch) as deliveries:
            with anyio.fail_after(15):
                first = await anext(deliveries)
                proxy.marked = b"a marked body"
                await first.nack(delay=0.2)
                again = await anext(deliveries)
            assert proxy.marked is None  # it was lost
            assert (again.body, again.attempt) == ("a marked body", 2)
            await again.ack()


async def test_what_one_that_reads_no_more_has_lost_is_found_by_it_or_by_others(
    redis_server: Any, namespace: str, bus: Bus
) -> None:
    async with (
        losing(redis_server.port) as proxy,
        Bus.connect(proxy.url, namespace=namespace, ttl=1.0) as there,
    ):
        queue = bus.queue("jobs", str)
        await queue.put("a marked body")
        for n in range(4):
            await queue.put(f"{n}")
        async with there.queue("jobs", str).consume("workers", prefetch=4) as busy:
            first = await anext(busy)
            assert first.body == "a marked body"
            proxy.marked = b"a marked body"
            await first.nack(delay=0.2)
            # It has room for one, and reads no more: its handler is at work.
            await eventually(lambda: proxy.marked is None)
            got: list[str] = []

            async def take() -> None:
                async with queue.consume("workers") as others:
                    async for delivery in others:
                        async with delivery:
                            got.append(delivery.body)

            def found() -> bool:
                ahead = [entry.attempt for entry in busy._prefetch.entries]
                return "a marked body" in got or 2 in ahead

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                await eventually(found, timeout=5)
                tasks.cancel_scope.cancel()
