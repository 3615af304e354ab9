"""The Redis user of one agent: it can do its work, and cannot break out."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import msgspec
import pytest

from bus import Agent, Bus, BusError, InvalidName, ServerRefused
from bus.acl import Grants, mark_of, rules, user_of
from bus.agents.giveup import GiveUp
from bus.agents.holdings import settle
from bus.keys import Keys
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

GRANTS = Grants(["researcher"], ["reviews"], ["mood"], ["heartbeat:scout"], ["plan"])


class Note(msgspec.Struct):
    text: str


@pytest.fixture
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that a granted agent does is refused behind its back."""
    caplog.set_level(logging.INFO, "argentbus")
    yield
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.fixture
async def confined(redis_server: Any, bus: Bus) -> AsyncIterator[Bus]:
    """A bus as the user of `scout`."""
    user = user_of(bus.keys, "scout")
    granted = rules(bus.keys, "scout", GRANTS, partition=1)
    await bus.link.call("ACL", "SETUSER", user, *granted, ">secret")
    url = redis_server.url.replace("redis://", f"redis://{user.replace(':', '%3A')}:secret@")
    try:
        async with Bus.connect(url, namespace=bus.namespace, ttl=1.0, patience=3.0) as confined:
            yield confined
    finally:
        await bus.link.call("ACL", "DELUSER", user)


def test_the_rules_are_made_of_checked_names() -> None:
    keys = Keys("argent")
    for wrong in ("*", "a*", "a b", "~*", "a}", "", "(+get"):
        for grants in (Grants(queues=[wrong]), Grants(topics=[wrong]), Grants(locks=[wrong]),
                       Grants(maps=[wrong]), Grants(roles=[wrong])):  # fmt: skip
            with pytest.raises(InvalidName):
                rules(keys, "scout", grants, partition=0)
        with pytest.raises(InvalidName):
            rules(keys, wrong, Grants(), partition=0)
    made = rules(keys, "scout", Grants(queues=["b", "a", "a"]), partition=3)
    assert made[:2] == ["reset", "on"], "a second grant takes the place of the first"
    assert "+client|setinfo" not in rules(keys, "scout", Grants(), partition=0, server=(7, 0))
    assert made == rules(keys, "scout", Grants(queues=["a", "b"]), partition=3)
    assert not {"allkeys", "~*", "allchannels", "&*", "+@all", "allcommands"} & set(made)
    for rule in made:
        for word in rule.strip("()").split():
            if word.lstrip("%RW").startswith(("~", "&")):
                assert word.lstrip("%RW")[1:].startswith("argent:"), word
    assert any("%W~argent:{storage:3}:log" in rule for rule in made)
    assert mark_of("argent:scout") != mark_of("argent:writer")
    assert mark_of(None) == ""


@pytest.mark.usefixtures("_quiet")
async def test_a_granted_agent_does_its_work(bus: Bus, confined: Bus) -> None:
    with anyio.fail_after(20):
        async with (
            bus.join("writer", role="author", capabilities=["ink"]) as writer,
            confined.join("scout", role="researcher", capabilities=["eyes"]) as scout,
        ):
            await scout.set_state(status="processing", activity="reading")
            await scout.progress("on")
            (found,) = await bus.registry.find(role="researcher", capabilities=["eyes"])
            assert found.agent == "scout"
            assert [p.agent for p in await confined.registry.find(role="author")] == ["writer"]
            assert set((await confined.registry.snapshot()).states) == {"scout", "writer"}

            async def answer() -> None:
                async for delivery in writer.inbox(Note):
                    async with delivery:
                        if delivery.is_request:
                            reply = await writer.request("scout", Note("you?"), Note, timeout=5)
                            await delivery.reply(reply)

            async def serve() -> None:
                async for delivery in scout.inbox(Note):
                    async with delivery:
                        await delivery.reply(Note("me"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer)
                tasks.start_soon(serve)
                await scout.send("writer", Note("hello"))
                assert await scout.request("writer", Note("who?"), Note, timeout=5) == Note("me")
                tasks.cancel_scope.cancel()

            queue = scout.queue("reviews", Note)
            await queue.put(Note("one"))
            await queue.put(Note("two"), delay=0.01, dedupe="two")
            async with queue.consume("readers") as deliveries:
                async with await anext(deliveries) as delivery:
                    assert delivery.body == Note("one")
                await (await anext(deliveries)).reject("no good")
            assert (await queue.statistics()).dead == 1
            async with scout.topic("mood", Note).subscribe() as feed:
                await scout.topic("mood", Note).publish(Note("calm"))
                assert (await anext(feed)).body == Note("calm")
            async with confined.lock("heartbeat:scout", ttl=1.0) as lease:
                await eventually(lambda: lease.remaining < 0.75)
                await eventually(lambda: lease.remaining > 0.9)  # renewed
            plan = confined.map("plan", Note)
            await plan.put("step", Note("one"))
            entry = await plan.get("step")
            assert entry is not None
            async with plan.watch() as changes:
                await anext(changes)  # the snapshot
                await plan.put("step", Note("two"), if_version=entry.version)
            await outlive(bus, scout)
            assert not scout.lost.is_set()
            assert {"scout", "writer"} == set((await bus.registry.snapshot()).agents)
        assert not (await bus.registry.snapshot()).agents


async def outlive(bus: Bus, agent: Agent) -> None:
    """Wait until the agent has beaten past the end of the TTL that it has now."""

    async def expires_at() -> float:
        return float(await bus.link.call("ZSCORE", bus.keys.presence_index, agent.id) or 0)

    before = await expires_at()

    async def so() -> bool:
        return await expires_at() > before + agent.presence.ttl * 1000

    await eventually(so)


async def test_it_cannot_break_out(bus: Bus, confined: Bus) -> None:
    keys, call = bus.keys, confined.link.call
    async with bus.join("writer") as writer, confined.join("scout") as scout:
        await scout.send("writer", Note("for the writer's eyes"))
        await bus.log("storage:1").append(Note("a write"))
        await bus.queue("secrets", Note).put(Note("x"))
        await bus.put_value("storage.partitions", b"4")
        inbox, log = keys.inbox("writer"), keys.log("storage:1")
        state, record = keys.state("writer"), keys.presence("writer")
        foreign = keys.instance(bus.instance)
        refused: list[tuple[Any, ...]] = [
            ("XRANGE", inbox, "-", "+"),
            ("XREAD", "STREAMS", inbox, "0"),
            ("XINFO", "STREAM", inbox),
            ("XGROUP", "CREATE", inbox, "mine", "0"),
            ("XGROUP", "CREATE", inbox, "mine", "0", "MKSTREAM"),
            ("XREADGROUP", "GROUP", "inbox", "me", "STREAMS", inbox, ">"),
            ("XDEL", inbox, "1-1"),
            ("XTRIM", inbox, "MAXLEN", 0),
            ("DEL", inbox),
            ("UNLINK", inbox),
            ("RENAME", inbox, keys.inbox("scout")),
            ("COPY", inbox, keys.inbox("scout")),
            ("DUMP", inbox),
            ("HSET", state, "status", "idle"),
            ("DEL", state),
            ("SET", record, "{}"),
            ("DEL", record),
            ("EXPIRE", record, 1),
            ("DEL", keys.presence_index),
            ("DEL", keys.presence_events),
            ("DEL", f"{keys.presence_index}:records"),
            ("XTRIM", keys.presence_events, "MAXLEN", 0),
            ("XRANGE", log, "-", "+"),
            ("XREAD", "STREAMS", log, "0"),
            ("XINFO", "STREAM", log),
            ("DEL", log),
            ("XADD", keys.log("storage:2"), "*", "e", "x"),
            ("GET", keys.value("storage.partitions.x")),
            ("SET", keys.value("storage.partitions"), "1"),
            ("SET", keys.value("storage.committed.1"), "x"),
            ("XADD", keys.queue("secrets"), "*", "e", "x"),
            ("XRANGE", keys.queue("secrets"), "-", "+"),
            ("XRANGE", keys.queue("storage.reads"), "-", "+"),
            ("SET", keys.lock("other"), "x"),
            ("HGETALL", keys.holdings(bus.holdings.estate)),
            ("DEL", keys.holdings(bus.holdings.estate)),
            ("DEL", keys.queues),
            ("GET", "foreign"),
            ("SET", "foreign", "x"),
            ("FLUSHALL",),
            ("FLUSHDB",),
            ("CONFIG", "GET", "*"),
            ("KEYS", "*"),
            ("SCAN", "0"),
            ("RANDOMKEY",),
            ("DBSIZE",),
            ("SWAPDB", 0, 1),
            ("MONITOR",),
            ("REPLICAOF", "NO", "ONE"),
            ("SAVE",),
            ("SHUTDOWN", "NOSAVE"),
            ("CLIENT", "LIST"),
            ("CLIENT", "KILL", "TYPE", "normal"),
            ("ACL", "LIST"),
            ("ACL", "SETUSER", "default", "on"),
            ("SCRIPT", "FLUSH"),
            ("FUNCTION", "LIST"),
            ("FUNCTION", "FLUSH"),
            ("CLIENT", "TRACKING", "ON", "BCAST"),
            ("PUBSUB", "CHANNELS"),
            ("SLOWLOG", "GET"),
            ("PUBLISH", keys.topic("other"), "x"),
            ("PUBLISH", keys.topic("storage.committed"), "x"),
            ("PUBLISH", "foreign", "x"),
            ("EVAL", "return redis.call('XRANGE', KEYS[1], '-', '+')", 1, inbox),
            ("EVAL", f"return redis.call('XRANGE', '{inbox}', '-', '+')", 0),
            ("EVAL", "return redis.call('XRANGE', KEYS[1], '-', '+')", 1, log),
            ("EVAL", "return redis.call('GET', KEYS[1])", 1, "foreign"),
            ("EVAL", "return redis.call('GET', 'foreign')", 0),
            ("EVAL", "return redis.call('DEL', KEYS[1])", 1, state),
            ("EVAL", "return redis.call('FLUSHALL')", 0),
            ("EVAL", "return redis.call('KEYS', '*')", 0),
            ("EVAL", "return redis.call('PUBLISH', 'foreign', 'x')", 0),
            ("EVAL_RO", "return redis.call('XRANGE', KEYS[1], '-', '+')", 1, inbox),
        ]
        broken_out = []
        for command in refused:
            try:
                with anyio.fail_after(5):
                    broken_out.append((command, await call(command[0], *command[1:], key=inbox)))
            except ServerRefused as error:
                assert "permission" in str(error).lower(), (command, error)
        assert not broken_out
        for channel, pattern in (
            (foreign, False),
            (keys.topic("other"), False),
            (keys.instance("*"), True),
            (keys.topic("*"), True),
            ("*", True),
        ):
            with pytest.raises(ServerRefused):
                await confined.subscriber.add(channel, confined.mailbox, pattern=pattern)
        # It answers others' requests, and is there.
        await call("PUBLISH", foreign, "x")
        assert not writer.lost.is_set()


async def test_nobody_does_for_it_after_its_death_what_it_may_not(bus: Bus, confined: Bus) -> None:
    """What it notes as held is run by a reaper, who may do more than it."""
    keys, call = bus.keys, bus.link.call
    mark = mark_of(user_of(keys, "scout"))
    estate, mine = f"{mark}estate", f"{mark}instance:id:x"
    jobs, plan = bus.queue("jobs", str), bus.map("others", str)
    await plan.put("step", "secret", ttl=3600)
    await jobs.schedule("yearly", "0 3 1 1 *", "job")
    await jobs.put("later", delay=3600)
    beside, map_key = keys.queue("jobs"), keys.map("others")
    consumers = f"{beside}:consumers:workers"
    async with (
        bus.lock("other", ttl=60),
        jobs.consume("workers") as consumer,
        bus.topic("mood", str).subscribe() as feed,
    ):
        token = (await call("GET", keys.lock("other"))).decode()
        lock = bus.lock("other")
        theirs = lock._release_call(token)
        of_map = [map_key, *(f"{map_key}:{part}" for part in ("a", "b", "c", "expiry", "d"))]
        run = keys.once("job")
        await call("HSET", run, "token", token, "state", "running", "until", 2**50, "slot", 1)
        told = [mine, keys.instance(""), 0, keys.topic("mood")]
        hostile = [
            GiveUp("agents/lapse", [f"{map_key}:expiry"], ["step"]),
            GiveUp("agents/lapse", [f"{beside}:scheduled"], ["yearly"]),
            GiveUp("agents/lapse", [f"{beside}:delayed"], ["later"]),
            GiveUp("agents/lapse", [keys.presence_index], ["scout"]),
            GiveUp("agents/lapse", [consumers], [consumer.name]),
            GiveUp("agents/lapse", [f"{map_key}:expiry"], [mine]),
            GiveUp("agents/lapse", [f"{beside}:lane:consumers:x"], [mine]),
            GiveUp("locks/release", *theirs),
            GiveUp("locks/release", of_map, [mine, keys.instance(""), 0, ""]),
            GiveUp("locks/release", lock.keys(), told),
            GiveUp("locks/release", lock.keys(), [mine, f"{keys.namespace}:topic:", 0, ""]),
            GiveUp("locks/release", [], []),
            GiveUp("locks/once_end", [run, f"{run}:fence"], [token, "failed", 0]),
            GiveUp("locks/once_end", [run, f"{map_key}:expiry"], [mine, "failed", 0]),
            GiveUp("locks/once_end", [map_key, f"{map_key}:fence"], [mine, "failed", 0]),
            GiveUp("queues/ack", [beside], [mine]),
        ]
        for number, one in enumerate(hostile):
            raw = msgspec.json.encode(one)
            await confined.link.call("HSET", keys.holdings(estate), f"n{number}", raw)
        before = [await call("ZRANGE", key, 0, -1, "WITHSCORES") for key in
                  (f"{map_key}:expiry", f"{beside}:scheduled", f"{beside}:delayed")]  # fmt: skip
        assert await settle(bus, estate) == []
        after = [await call("ZRANGE", key, 0, -1, "WITHSCORES") for key in
                 (f"{map_key}:expiry", f"{beside}:scheduled", f"{beside}:delayed")]  # fmt: skip
        assert before == after
        assert await call("GET", keys.lock("other")) == token.encode()
        assert float(await call("ZSCORE", consumers, consumer.name)) > 1
        assert await call("HGET", run, "state") == b"running"
        await bus.topic("mood", str).publish("nothing else")
        assert (await anext(feed)).body == "nothing else"
        assert feed.refused == 0


async def test_what_it_holds_itself_is_given_up_when_it_is_dead(bus: Bus, confined: Bus) -> None:
    async with confined.join("scout"):
        with pytest.raises(ServerRefused):
            async with confined.lock("other"):
                pass
        try:
            async with (
                confined.lock("heartbeat:scout", ttl=60),
                confined.queue("reviews", Note).consume("readers") as consumer,
            ):
                settled = await settle(bus, confined.holdings.estate)
                assert consumer.name in settled
                assert len(settled) == 2
                assert await bus.link.call("GET", bus.keys.lock("heartbeat:scout")) is None
        except BusError as error:  # it learns of it when it releases
            assert "no longer held" in str(error)
