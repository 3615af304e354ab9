"""Servers are taken away under load: everybody goes on, and what a replica had is there."""

import anyio
import pytest

from bus import BusUnavailable
from bus.keys import Keys
from tests.topology.acceptance import topic
from tests.topology.load import under_load
from tests.topology.servers import ClusterServers, SentinelServers, role
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def in_thread(function, *args):
    return await anyio.to_thread.run_sync(lambda: function(*args))


async def test_the_master_of_the_queue_is_killed(cluster: ClusterServers, namespace: str) -> None:
    async with under_load(cluster.url, namespace) as load:
        master = cluster.owner(Keys(namespace).queue("jobs"))
        master.kill()
        # Its successor has no replica until it comes back.
        await load.goes_on(without="replicated")
        assert cluster.owner(Keys(namespace).queue("jobs")) is not master
        # It comes back as a replica of its successor.
        await in_thread(cluster.mend)
        await load.goes_on()
        load.producing = False
        await load.all_handled(set(load.replicated))


async def test_the_primary_is_killed(sentinels: SentinelServers, namespace: str) -> None:
    async with under_load(sentinels.url, namespace) as load:
        primary = sentinels.primary()
        primary.kill()
        await load.goes_on()
        assert sentinels.primary() is not primary
        # It comes back, and takes itself for the primary until the sentinels tell it otherwise.
        await in_thread(sentinels.mend)
        await load.goes_on()
        load.producing = False
        await load.all_handled(set(load.replicated))


async def test_the_master_of_the_queue_hangs(cluster: ClusterServers, namespace: str) -> None:
    """Connections to it stay open and nothing answers: nobody waits for the reply's time-out."""
    async with under_load(cluster.url, namespace) as load:
        master = cluster.owner(Keys(namespace).queue("jobs"))
        master.freeze()
        try:
            await load.goes_on(without="replicated", timeout=8)
        finally:
            master.thaw()
        await in_thread(cluster.settle)
        await load.goes_on()
        load.producing = False
        await load.all_handled(set(load.replicated))


async def test_the_primary_hangs(sentinels: SentinelServers, namespace: str) -> None:
    async with under_load(sentinels.url, namespace) as load:
        primary = sentinels.primary()
        primary.freeze()
        try:
            await load.goes_on(timeout=8)
            assert sentinels.primary() is not primary
        finally:
            primary.thaw()
        await load.goes_on()
        load.producing = False
        await load.all_handled(set(load.replicated))


async def test_master_and_replica_change_places(cluster: ClusterServers, namespace: str) -> None:
    """All servers live and say where the keys are now: nothing that was acknowledged is lost."""
    async with under_load(cluster.url, namespace) as load:
        replica = cluster.replica_of(cluster.owner(Keys(namespace).queue("jobs")))
        replica.call("CLUSTER", "FAILOVER")
        await load.goes_on()
        assert cluster.owner(Keys(namespace).queue("jobs")) is replica
        load.producing = False
        await load.all_handled(load.acknowledged | load.replicated)


async def test_the_primary_is_made_a_replica(sentinels: SentinelServers, namespace: str) -> None:
    async with under_load(sentinels.url, namespace) as load:
        primary = sentinels.primary()
        sentinels.sentinels[0].call("SENTINEL", "FAILOVER", sentinels.SERVICE)
        await eventually(lambda: role(primary) == "slave", timeout=20)
        await load.goes_on()
        load.producing = False
        await load.all_handled(set(load.replicated))


async def test_a_dead_sentinel_is_passed_over(sentinels: SentinelServers, namespace: str) -> None:
    sentinels.sentinels[0].kill()
    with anyio.fail_after(5):
        await topic(sentinels.url, namespace)
    for sentinel in sentinels.sentinels[1:]:
        sentinel.kill()
    with anyio.fail_after(10), pytest.raises(BusUnavailable, match="none of the sentinels"):
        await topic(sentinels.url, namespace)


async def test_the_last_sentinel_dies_while_the_primary_lives(
    sentinels: SentinelServers, namespace: str
) -> None:
    async with under_load(sentinels.url, namespace) as load:
        for sentinel in sentinels.sentinels:
            sentinel.kill()
        await load.goes_on()


async def test_slots_move_under_load(cluster: ClusterServers, namespace: str) -> None:
    """The queue's slot goes to another master and back: nothing is lost, nobody stops."""
    redirections = {kind: cluster.errors(kind) for kind in ("MOVED", "ASK")}
    async with under_load(cluster.url, namespace) as load:
        for _ in range(2):
            source = cluster.owner(Keys(namespace).queue("jobs"))
            target = next(s for s in cluster.masters() if s is not source)
            names = [Keys(namespace).queue("jobs"), Keys(namespace).topic("mood")]
            for name in names:
                slot = int(source.call("CLUSTER", "KEYSLOT", name))
                await in_thread(cluster.move, slot, target, 0.3)
            assert cluster.owner(names[0]) is cluster.owner(names[1]) is target
            await load.goes_on()
        load.producing = False
        await load.all_handled(load.acknowledged | load.replicated)
    assert all(cluster.errors(kind) > before for kind, before in redirections.items())
