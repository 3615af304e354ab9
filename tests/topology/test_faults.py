"""What goes wrong between a bus and one server: it goes on, says why not, and storms nobody."""

import contextlib
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from argentbus.embedded import free_port
from bus import Bus, BusUnavailable, ServerFull
from bus.messages.codec import decode_body
from bus.messages.envelope import unwrap
from tests.topology.acceptance import Job
from tests.topology.servers import HOST, Server
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


SETTINGS = ("--enable-debug-command", "yes", "--appendonly", "yes", "--aof-use-rdb-preamble", "yes")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server for this test alone."""
    server = Server(tmp_path / "redis", free_port(), *SETTINGS)
    try:
        server.start()
        yield server
    finally:
        server.kill()


async def test_a_thousand_tasks_wait_for_one_connection(server: Server, namespace: str) -> None:
    async with Bus.connect(server.url, namespace=namespace, patience=30) as bus:
        server.kill()
        attempts = 0

        async def hang_up(stream: SocketStream) -> None:
            nonlocal attempts
            attempts += 1
            await stream.aclose()

        async with anyio.create_task_group() as tasks:
            async with await anyio.create_tcp_listener(
                local_host=HOST, local_port=server.port
            ) as nobody:
                async with anyio.create_task_group() as listening:
                    listening.start_soon(nobody.serve, hang_up)
                    for n in range(1000):
                        tasks.start_soon(bus.put_value, f"value-{n}", b"x")
                    await eventually(lambda: attempts > 0)
                    await anyio.sleep(2)  # the thing under test: how often they try meanwhile
                    listening.cancel_scope.cancel()
            server.start()
            back = anyio.current_time()
        waited = anyio.current_time() - back
        received = int(server.call("INFO", "stats")["total_connections_received"])
        # At 20 ms, doubled up to 1 s: about ten in two seconds.
        assert 3 <= attempts <= 15
        # One of ours, and those of the test itself.
        assert received <= 5
        assert waited < 2.5


async def test_consumers_come_back_a_few_at_a_time(server: Server, namespace: str) -> None:
    async with (
        Bus.connect(server.url, namespace=namespace, ttl=5.0) as bus,
        contextlib.AsyncExitStack() as stack,
    ):
        for n in range(100):
            await stack.enter_async_context(bus.queue(f"jobs-{n}", Job).consume("workers"))
        await eventually(lambda: _all_there(bus))
        server.kill()
        server.start()
        await bus.link.retrying(lambda: eventually(lambda: _all_there(bus)))
        # One each, the shared one, the pub/sub one, and those of the test itself.
        assert await _figure(bus, "total_connections_received") <= 110


async def _all_there(bus: Bus) -> bool:
    return await _figure(bus, "connected_clients") > 100


async def _figure(bus: Bus, name: str) -> int:
    info = (await bus.link.call("INFO", "everything")).decode()
    return int(info.split(f"{name}:")[1].split()[0])


async def test_a_host_without_an_address() -> None:
    with anyio.fail_after(10), pytest.raises(BusUnavailable, match="its host has no address"):
        async with Bus.connect("redis://nobody.invalid:6379"):
            pytest.fail("connected")


async def test_connections_are_killed_again_and_again(server: Server, namespace: str) -> None:
    async with Bus.connect(server.url, namespace=namespace) as bus:
        await _put_once(bus, lambda: server.call("CLIENT", "KILL", "TYPE", "normal"))


async def test_connections_break_in_the_middle_of_a_reply(server: Server, namespace: str) -> None:
    async with cutting(server.port) as (port, cut):
        async with Bus.connect(f"redis://{HOST}:{port}", namespace=namespace) as bus:
            await _put_once(bus, cut)


async def _put_once(bus: Bus, disturb) -> None:
    """Put and handle while `disturb` is called: each message is in the stream once."""
    jobs = bus.queue("jobs", Job)
    count, handled = 400, set()
    # A group that reads nothing keeps the stream from being trimmed.
    await bus.link.call("XGROUP", "CREATE", bus.keys.queue("jobs"), "all", "0", "MKSTREAM")

    async def put(first: int) -> None:
        for n in range(first, count, 8):
            await jobs.put(Job(n))
            await anyio.sleep(0.01)

    async def handle() -> None:
        async with jobs.consume("workers") as deliveries:
            async for delivery in deliveries:
                async with delivery:
                    handled.add(delivery.body.n)

    async def disturbing() -> None:
        while True:
            await anyio.sleep(random.uniform(0.02, 0.08))
            await anyio.to_thread.run_sync(disturb)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(handle)
        async with anyio.create_task_group() as disturbed:
            disturbed.start_soon(disturbing)
            async with anyio.create_task_group() as producers:
                for first in range(8):
                    producers.start_soon(put, first)
            disturbed.cancel_scope.cancel()
        await eventually(lambda: len(handled) == count, timeout=20)
        tasks.cancel_scope.cancel()
    rows = await bus.link.call("XRANGE", bus.keys.queue("jobs"), "-", "+")
    assert sorted(decode_body(unwrap(row[1][1]), Job).n for row in rows) == list(range(count))


@asynccontextmanager
async def cutting(port: int) -> AsyncIterator[tuple[int, object]]:
    """A proxy to `port`; after `cut()`, each connection's next reply ends in its middle."""
    to_cut: set[SocketStream] = set()
    open_ones: set[SocketStream] = set()

    async def relay(client: SocketStream) -> None:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            async with client, await anyio.connect_tcp(HOST, port) as upstream:
                open_ones.add(client)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(forward, client, upstream, tasks)
                    async for data in upstream:
                        if client in to_cut:
                            await client.send(data[: len(data) // 2] or data)
                            break
                        await client.send(data)
                    tasks.cancel_scope.cancel()
        open_ones.discard(client)
        to_cut.discard(client)

    async def forward(client: SocketStream, upstream: SocketStream, tasks) -> None:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            async for data in client:
                await upstream.send(data)
        tasks.cancel_scope.cancel()

    async with await anyio.create_tcp_listener(local_host=HOST) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, relay)
            yield (
                listener.extra(SocketAttribute.local_port),
                lambda: to_cut.update(list(open_ones)),
            )
            tasks.cancel_scope.cancel()


async def test_all_connections_are_taken(server: Server, namespace: str) -> None:
    async with Bus.connect(server.url, namespace=namespace, patience=20) as bus:
        await bus.put_value("one", b"1")
        server.call("CONFIG", "SET", "maxclients", 1)
        with anyio.fail_after(5), pytest.raises(BusUnavailable, match="its maxclients"):
            async with Bus.connect(server.url, namespace=namespace):
                pytest.fail("connected")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_consume_one, bus)
            await bus.queue("jobs", Job).put(Job(1))
            await anyio.sleep(0.3)
            await bus.link.call("CONFIG", "SET", "maxclients", 100)


async def _consume_one(bus: Bus) -> None:
    async with bus.queue("jobs", Job).consume("workers") as deliveries:
        with anyio.fail_after(10):
            async for delivery in deliveries:
                async with delivery:
                    assert delivery.body.n == 1
                return


async def test_a_server_that_loads_its_data(server: Server, namespace: str) -> None:
    async with (
        Bus.connect(server.url, namespace=namespace, patience=20) as patient,
        Bus.connect(server.url, namespace=namespace, patience=0.3) as impatient,
    ):
        server.call("DEBUG", "POPULATE", 1500)
        server.call("SAVE")
        server.kill()
        server.settings += ("--appendonly", "no", "--key-load-delay", "1000")
        server.settings += ("--loading-process-events-interval-bytes", "1024")
        server.start(wait=False)
        await eventually(lambda: server.says("GET x").startswith("-LOADING"))
        with pytest.raises(BusUnavailable, match=r"is still loading its data"):
            await impatient.put_value("one", b"1")
        await patient.put_value("one", b"1")
        assert await patient.get_value("one") == b"1"


async def test_no_memory_is_left(server: Server, namespace: str) -> None:
    async with (
        Bus.connect(server.url, namespace=namespace, ttl=1.0) as bus,
        bus.join("scout"),
        anyio.create_task_group() as tasks,
    ):
        jobs = bus.queue("jobs", list[str])
        handled: list[int] = []
        go = anyio.Event()

        async def handle() -> None:
            async with jobs.consume("workers", prefetch=1) as deliveries:
                async for delivery in deliveries:
                    async with delivery:
                        await go.wait()
                        handled.append(int(delivery.body[0]))

        tasks.start_soon(handle)
        acknowledged = []
        server.call("CONFIG", "SET", "maxmemory", _memory(server) + (4 << 20))
        with pytest.raises(ServerFull, match="raise its maxmemory, or consume"):
            for n in range(10_000):
                await jobs.put([str(n), "x" * 100_000])
                acknowledged.append(n)
        server.call("CONFIG", "SET", "maxmemory", _memory(server) - (1 << 20))
        await anyio.sleep(1.5)  # longer than everybody's TTL: nobody can beat
        # Who consumed before goes on, and so makes room.
        go.set()
        await eventually(lambda: set(handled) == set(acknowledged), timeout=20)
        await bus.link.retrying(lambda: _put(jobs, "-1"))
        await eventually(lambda: handled[-1] == -1)
        assert "scout" in (await bus.registry.snapshot()).agents
        tasks.cancel_scope.cancel()


async def _put(jobs, n: str) -> None:
    try:
        await jobs.put([n, "x" * 100_000])
    except ServerFull as error:
        raise TimeoutError("not yet") from error


def _memory(server: Server) -> int:
    return int(server.call("INFO", "memory")["used_memory"])


async def test_a_server_that_becomes_a_replica(server: Server, namespace: str) -> None:
    async with Bus.connect(server.url, namespace=namespace, patience=0.5) as bus:
        server.call("REPLICAOF", HOST, 1)
        with pytest.raises(BusUnavailable, match=r"it is a replica: name its primary"):
            await bus.put_value("one", b"1")
        server.call("REPLICAOF", "NO", "ONE")
        await bus.put_value("one", b"1")
