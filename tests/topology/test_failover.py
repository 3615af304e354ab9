"""Servers are taken away under load: everybody goes on, and what a replica had is there."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from argentbus.embedded import free_port
from bus import Bus, BusUnavailable
from bus.keys import Keys
from bus.servers.slots import slot_of
from tests.topology.acceptance import Job, topic
from tests.topology.load import under_load
from tests.topology.servers import HOST, ClusterServers, Sentinel, SentinelServers, role
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

#: Sentinels take up to ten seconds to make a replica of a primary that is back: once is enough.
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
ON_TRIO = pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)


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
        await load.all_handled(set(load.replicated))


@ON_ASYNCIO
async def test_the_primary_is_killed(sentinels: SentinelServers, namespace: str) -> None:
    async with under_load(sentinels.url, namespace) as load:
        primary = sentinels.primary()
        primary.kill()
        await load.goes_on()
        assert sentinels.primary() is not primary
        # It comes back, and takes itself for the primary until the sentinels tell it otherwise.
        await in_thread(sentinels.mend)
        await load.goes_on()
        await load.all_handled(set(load.replicated))


async def test_the_master_of_the_queue_hangs(cluster: ClusterServers, namespace: str) -> None:
    """Connections to it stay open and nothing answers: nobody waits for the reply's time-out."""
    async with under_load(cluster.url, namespace) as load:
        master = cluster.owner(Keys(namespace).queue("jobs"))
        master.freeze()
        try:
            await load.goes_on(without="replicated", timeout=9.5)
        finally:
            master.thaw()
        await in_thread(cluster.settle)
        await load.goes_on()
        await load.all_handled(set(load.replicated))


@ON_TRIO
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
        await load.all_handled(set(load.replicated))


async def test_master_and_replica_change_places(cluster: ClusterServers, namespace: str) -> None:
    """All servers live and say where the keys are now: nothing that was acknowledged is lost."""
    async with under_load(cluster.url, namespace) as load:
        replica = cluster.replica_of(cluster.owner(Keys(namespace).queue("jobs")))
        replica.call("CLUSTER", "FAILOVER")
        # It answers at once, and changes places later.
        key = Keys(namespace).queue("jobs")
        await eventually(lambda: cluster.owner(key) is replica, timeout=20)
        await load.goes_on()
        await load.all_handled(load.acknowledged | load.replicated)


@ON_TRIO
async def test_the_primary_is_made_a_replica(sentinels: SentinelServers, namespace: str) -> None:
    async with under_load(sentinels.url, namespace) as load:
        primary = sentinels.primary()
        sentinels.sentinels[0].call("SENTINEL", "FAILOVER", sentinels.SERVICE)
        await eventually(lambda: role(primary) == "slave", timeout=20)
        await load.goes_on()
        await load.all_handled(set(load.replicated))


@pytest.mark.parametrize(
    ("servers", "anyio_backend"),
    [("cluster", "trio"), ("sentinels", "asyncio")],
    indirect=["anyio_backend"],
)
async def test_flushall_and_a_deleted_stream_are_healed_and_reported(
    servers: str,
    request: pytest.FixtureRequest,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was there is lost; all that is put from then on is handled, and nobody is restarted."""
    there: Any = request.getfixturevalue(servers)
    masters = there.masters() if servers == "cluster" else [there.primary()]
    queue = Keys(namespace).queue("jobs")
    async with under_load(there.url, namespace) as load:
        for loss in ("FLUSHALL", "DEL"):
            caplog.clear()
            if loss == "DEL":
                there.owner(queue).call("DEL", queue)
            else:
                for server in masters:
                    server.call("FLUSHALL")
            load.mark()
            await load.goes_on()

            def reported() -> bool:
                words = "a queue or its group was gone"
                return any(
                    words in line and f'"{queue}" group=workers' in line
                    for line in caplog.text.splitlines()
                )

            await eventually(reported)
        put = set(load.since)
        assert len(put) > 20
        assert not load.expired
        await load.all_handled(put)


@ON_ASYNCIO
async def test_who_comes_before_another_is_the_primary_waits_for_it(
    sentinels: SentinelServers, namespace: str
) -> None:
    primary = sentinels.primary()
    primary.kill()
    with anyio.fail_after(20):
        async with Bus.connect(sentinels.url, namespace=namespace) as bus:
            await bus.queue("jobs", int).put(1)
    assert sentinels.primary() is not primary


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


async def test_a_key_on_its_way_is_found(cluster: ClusterServers, namespace: str) -> None:
    """A slot that stays half moved: single keys are read and written, also by who blocks."""
    async with Bus.connect(cluster.url, namespace=namespace, patience=2) as bus:
        journal = bus.log("journal")
        await journal.append(Job(0))
        slot = slot_of(journal.key)
        source = cluster.owner_of(slot)
        target = next(server for server in cluster.masters() if server is not source)
        await in_thread(cluster.begin_move, slot, target)
        try:
            with anyio.fail_after(5):
                assert len(await journal.read(after="0-0", block=1)) == 1
                assert await journal.length() == 1
                await bus.link.call("SET", f"{{{slot_tag(journal.key)}}}:new", "x")
        finally:
            await in_thread(cluster.end_move, slot, target)
        await journal.append(Job(1))
        assert await journal.length() == 2


def slot_tag(key: str) -> str:
    return key[key.index("{") + 1 : key.index("}")]


async def test_a_sentinel_that_names_a_replica(
    sentinels: SentinelServers, namespace: str, tmp_path: Path
) -> None:
    replica = next(s for s in sentinels.servers if s is not sentinels.primary())
    wrong = Sentinel(tmp_path / "wrong", free_port(), replica)
    try:
        wrong.start()
        url = f"redis+sentinel://{HOST}:{wrong.port}/{sentinels.SERVICE}"
        with anyio.fail_after(5), pytest.raises(BusUnavailable, match="is not the primary"):
            async with Bus.connect(url, namespace=namespace):
                pytest.fail("connected")
    finally:
        wrong.kill()


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
        await load.all_handled(load.acknowledged | load.replicated)
    more = {kind: cluster.errors(kind) - before for kind, before in redirections.items()}
    assert min(more.values()) > 0
    # Where a slot is now is learnt from the first redirection, not by each command anew.
    assert more["MOVED"] < 100
