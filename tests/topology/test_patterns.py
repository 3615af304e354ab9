"""Topics by pattern on a Cluster: what they cost, and that they go on when nodes die."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from bus import Bus, BusError, Event, Gap
from bus.blocking import Bus as BlockingBus
from tests.topology.servers import ClusterServers
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def two(cluster: ClusterServers, namespace: str) -> AsyncIterator[tuple[Bus, Bus]]:
    async with (
        Bus.connect(cluster.url, namespace=namespace) as one,
        Bus.connect(cluster.url, namespace=namespace) as other,
    ):
        yield one, other


def broadcasts(cluster: ClusterServers) -> int:
    """How many messages the nodes were asked to carry to all others."""
    stats = (server.call("INFO", "commandstats") for server in cluster.masters())
    return sum(stat.get("cmdstat_publish", {}).get("calls", 0) for stat in stats)


async def test_nothing_is_broadcast_but_what_somebody_listens_to_by_a_pattern(
    cluster: ClusterServers, namespace: str
) -> None:
    async with two(cluster, namespace) as (one, other):
        mood, weather = one.topic("mood", str), one.topic("weather", str)
        before = broadcasts(cluster)
        for _ in range(50):
            await mood.publish("calm")
        assert broadcasts(cluster) == before
        async with other.topics("m*", str).subscribe() as feed:
            for _ in range(50):
                await mood.publish("calm")
                await weather.publish("rain")
            for _ in range(50):
                assert (await anext(feed)).body == "calm"
        assert broadcasts(cluster) == before + 50


async def test_who_is_not_async_is_heard_by_a_pattern(
    cluster: ClusterServers, namespace: str
) -> None:
    def publish() -> None:
        with BlockingBus.connect(cluster.url, namespace=namespace) as bus:
            bus.topic("mood", str).publish("calm")

    async with Bus.connect(cluster.url, namespace=namespace) as bus:
        async with bus.topics("m*", str).subscribe() as feed:
            await anyio.to_thread.run_sync(publish)
            with anyio.fail_after(5):
                assert (await anext(feed)).body == "calm"


async def test_publishers_that_could_not_know_are_a_gap(
    cluster: ClusterServers, namespace: str
) -> None:
    """As where the node with the note fails over to one that had not got it."""
    async with two(cluster, namespace) as (one, other):
        async with other.topics("m*", str).subscribe(gaps=True) as feed:
            await other.link.call("DEL", other.keys.patterns)
            with anyio.fail_after(10):
                assert isinstance(await anext(feed), Gap)
            # A moment later they know again.
            async with anyio.create_task_group() as tasks:

                async def publish() -> None:
                    while True:
                        await one.topic("mood", str).publish("calm")
                        await anyio.sleep(0.05)

                tasks.start_soon(publish)
                with anyio.fail_after(5):
                    assert isinstance(await anext(feed), Event)
                tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("victim", "anyio_backend"),
    [("carries", "asyncio"), ("hears", "trio")],
    indirect=["anyio_backend"],
)
async def test_it_goes_on_when_a_node_dies(
    cluster: ClusterServers, namespace: str, victim: str
) -> None:
    """The node that has the note and carries the broadcasts, and that which the feed is at."""
    published = 0

    async def publish(bus: Bus) -> None:
        nonlocal published
        while True:
            try:
                await bus.topic(f"mood.{published % 7}", str).publish(str(published))
            except BusError:
                continue
            published += 1
            await anyio.sleep(0.005)

    async with two(cluster, namespace) as (one, other), anyio.create_task_group() as tasks:
        async with other.topics("mood.*", str).subscribe(gaps=True, buffer=100_000) as feed:
            tasks.start_soon(publish, one)
            await eventually(lambda: published > 100)
            if victim == "carries":
                dies = cluster.owner(other.keys.patterns)
            else:
                [dies] = [s for s in cluster.servers if _patterns_at(s)]
            dies.kill()
            await anyio.to_thread.run_sync(cluster.settle)
            at = published

            def heard() -> bool:
                last = feed._items[-1]
                return isinstance(last, Event) and int(last.body) > at + 100

            await eventually(heard, timeout=20)
            tasks.cancel_scope.cancel()
        got, gapped = [], False
        for item in list(feed._items):
            gapped = gapped or isinstance(item, Gap)
            if isinstance(item, Event):
                n = int(item.body)
                # None is missed but beside a gap, and each comes once, in its order.
                assert gapped or n == len(got), (n, got[-5:])
                got.append(n)
        assert gapped
        assert got == sorted(set(got))
        assert got[-90:] == list(range(got[-1] - 89, got[-1] + 1))


def _patterns_at(server) -> int:  # type: ignore[no-untyped-def]
    return server.alive and int(server.call("PUBSUB", "NUMPAT"))
