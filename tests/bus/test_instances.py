"""Several instances of one agent; roles and capabilities; sending to one of them, or to all."""

from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from bus import (
    Agent,
    AgentAlreadyPresent,
    Bus,
    BusError,
    InvalidName,
    NobodyPresent,
    PresenceLost,
    RequestTimeout,
)
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def present(bus: Bus) -> set[str]:
    return set((await bus.registry.snapshot()).agents)


async def test_instances_are_shown_each_with_a_state_of_its_own(bus: Bus) -> None:
    async with bus.join("scout", shared=True) as one:
        async with bus.join("scout", shared=True) as two:
            names = {f"scout#{agent.instance}": agent for agent in (one, two)}
            await one.set_state(activity="one")
            await two.set_state(activity="two")
            snapshot = await bus.registry.snapshot()
            assert snapshot.agents == {name: agent.presence for name, agent in names.items()}
            assert snapshot.states == {name: agent.state for name, agent in names.items()}
        assert await present(bus) == {f"scout#{one.instance}"}
        state = bus.keys.state(f"scout#{two.instance}")
        assert await bus.link.call("HGET", state, "status") == b"offline"
        assert 0 < await bus.link.call("TTL", state) <= 600
    assert await present(bus) == set()
    assert not await bus.link.call("EXISTS", f"{bus.keys.presences}instances:scout")


async def test_who_is_alone_and_who_shares_exclude_each_other(bus: Bus) -> None:
    for first, second in ((False, True), (True, False)):
        async with bus.join("scout", shared=first):
            with pytest.raises(AgentAlreadyPresent, match="shared=True"):
                async with bus.join("scout", shared=second):
                    pytest.fail("joined")
        assert await present(bus) == set()


@pytest.mark.parametrize("alone_first", [True, False])
async def test_a_takeover_tells_all_who_are_there(bus: Bus, alone_first: bool) -> None:
    told: list[str] = []
    joined = 0

    async def be(shared: bool) -> None:
        nonlocal joined
        with pytest.raises(PresenceLost, match="taken over"):
            async with bus.join("scout", ttl=0.5, shared=shared):
                joined += 1
                await anyio.sleep_forever()
        told.append("told")

    count = 1 if alone_first else 3
    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(be, not alone_first)
        await eventually(lambda: joined == count)
        async with bus.join("scout", takeover=True, shared=alone_first) as after:
            with anyio.fail_after(5):
                await eventually(lambda: len(told) == count)
            assert await present(bus) == {after.presence.member}


async def test_one_dead_instance_expires_and_the_others_stay(bus: Bus) -> None:
    async with (
        bus.join("scout", shared=True, ttl=0.6) as one,
        bus.join("scout", shared=True, ttl=0.6) as two,
    ):
        bus.roll.exit(two.instance)

        async def gone() -> bool:
            return await present(bus) == {one.presence.member}

        await eventually(gone)
        async for event in bus.registry.events(after="0-0"):
            if event.kind == "expired":
                assert (event.agent, event.member) == ("scout", f"scout#{two.instance}")
                break


async def test_the_inbox_is_shared_among_the_instances(bus: Bus) -> None:
    handled: Counter[str] = Counter()
    bodies: list[int] = []

    async def work(agent: Agent) -> None:
        async for delivery in agent.inbox():
            async with delivery:
                bodies.append(delivery.body)
                handled[agent.instance] += 1
                await anyio.sleep(0.005)  # work: whoever is free takes the next

    async with AsyncExitStack() as stack:
        scouts = [await stack.enter_async_context(bus.join("scout", shared=True)) for _ in range(3)]
        sender = await stack.enter_async_context(bus.join("sender"))
        async with anyio.create_task_group() as tasks:
            for scout in scouts:
                tasks.start_soon(work, scout)
            for number in range(90):
                await sender.send("scout", number)
            await eventually(lambda: len(bodies) == 90)
            tasks.cancel_scope.cancel()
    assert sorted(bodies) == list(range(90))
    assert min(handled.values()) >= 15, handled


async def test_agents_are_found_by_role_and_capabilities(bus: Bus) -> None:
    async def found(**wanted: Any) -> set[str]:
        return {presence.agent for presence in await bus.registry.find(**wanted)}

    async with (
        bus.join("ada", role="reviewer", capabilities={"python", "sql"}),
        bus.join("bob", role="reviewer", capabilities=["python"]) as bob,
        bus.join("cyd", role="writer", capabilities=["sql"], ttl=0.6) as cyd,
    ):
        assert await found() == {"ada", "bob", "cyd"}
        assert await found(role="reviewer") == {"ada", "bob"}
        assert await found(capabilities=["python", "sql"]) == {"ada"}
        assert await found(role="reviewer", capabilities=["sql"]) == {"ada"}
        assert await found(role="nobody") == set()
        assert bob.presence.capabilities == ("python",)
        with pytest.raises(InvalidName):
            await found(role="re*")
        bus.roll.exit(cyd.instance)

        async def struck() -> bool:
            return not await bus.link.call("EXISTS", bus.keys.role("writer"))

        await eventually(struck)
        assert await found(capabilities=["sql"]) == {"ada"}
    for key in (bus.keys.role("reviewer"), bus.keys.capability("python")):
        assert not await bus.link.call("EXISTS", key)


async def test_a_message_to_any_goes_to_one_and_a_message_to_all_to_all(bus: Bus) -> None:
    async with (
        bus.join("ada", role="reviewer") as ada,
        bus.join("bob", role="reviewer"),
        bus.join("cyd", role="writer"),
    ):

        async def waiting() -> dict[str, int]:
            return {
                name: await bus.link.call("XLEN", bus.keys.inbox(name))
                for name in ("ada", "bob", "cyd")
            }

        assert await ada.send_any("x", role="reviewer") == "bob"
        assert await waiting() == {"ada": 0, "bob": 1, "cyd": 0}
        assert await ada.send_all("x", role="writer") == ["cyd"]
        assert await ada.send_all("x") == ["bob", "cyd"]
        assert await waiting() == {"ada": 0, "bob": 2, "cyd": 2}
        chosen = {await ada.send_any("x") for _ in range(50)}
        assert chosen == {"bob", "cyd"}
        with pytest.raises(NobodyPresent, match="with role editor, capability python"):
            await ada.send_any("x", role="editor", capabilities=["python"])
        with pytest.raises(NobodyPresent):
            await ada.gather("x", str, role="editor", timeout=1)


async def test_a_name_that_is_not_one_is_no_capability(bus: Bus) -> None:
    for wrong in (["{x}"], "python"):
        with pytest.raises(InvalidName, match="capability"):
            async with bus.join("scout", capabilities=wrong):
                pytest.fail("joined")


async def test_a_busy_instance_holds_no_message_that_an_idle_one_could_take(bus: Bus) -> None:
    busy: list[str] = []
    done: list[int] = []

    async def work(agent: Agent) -> None:
        async for delivery in agent.inbox():
            async with delivery:
                if delivery.body < 0:
                    busy.append(agent.instance)
                    await anyio.sleep_forever()
                done.append(delivery.body)

    async with AsyncExitStack() as stack:
        scouts = [await stack.enter_async_context(bus.join("scout", shared=True)) for _ in range(3)]
        sender = await stack.enter_async_context(bus.join("sender"))
        async with anyio.create_task_group() as tasks:
            for scout in scouts:
                tasks.start_soon(work, scout)
            for count in (1, 2):
                await sender.send("scout", -1)
                await eventually(lambda count=count: len(busy) == count)  # type: ignore[misc]
            for number in range(30):
                await sender.send("scout", number)
            await eventually(lambda: len(done) == 30, timeout=5)
            tasks.cancel_scope.cancel()
    assert done == list(range(30))


async def test_many_agents_are_all_back_after_flushall(own_redis: Any, namespace: str) -> None:
    async with (
        Bus.connect(own_redis.url, namespace=namespace) as bus,
        AsyncExitStack() as stack,
    ):
        agents = [
            await stack.enter_async_context(
                bus.join(f"agent-{n % 100}", role="tester", ttl=1.5, shared=True)
            )
            for n in range(200)
        ]
        await agents[7].set_state(activity="seventh", files=3)
        wanted = {agent.presence.member for agent in agents}
        await bus.link.call("FLUSHALL")

        async def back() -> bool:
            return await present(bus) == wanted

        await eventually(back)
        assert {presence.member for presence in await bus.registry.find(role="tester")} == wanted

        async def told() -> bool:
            states = await bus.registry.states([agents[7].presence.member])
            return states == {agents[7].presence.member: agents[7].state}

        await eventually(told)


async def test_a_join_that_is_cancelled_leaves_nothing_behind(bus: Bus) -> None:
    for steps in range(0, 40, 3):
        with anyio.CancelScope() as scope:

            async def cancel(scope: anyio.CancelScope = scope, steps: int = steps) -> None:
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel)
                async with bus.join("scout", ttl=60):
                    await anyio.sleep_forever()
        assert await present(bus) == set()
    assert bus.holdings._members == 0
    assert not bus.roll._groups


async def test_who_could_not_say_goodbye_goes_on_trying(
    own_redis: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "argentbus")
    async with Bus.connect(own_redis.url, namespace=namespace, patience=0.2) as bus:
        async with bus.join("scout", ttl=5.0):
            own_redis.kill()
        assert bus.roll._groups
        own_redis.start()
        await eventually(lambda: not bus.roll._groups)
        assert bus.holdings._members == 0
        assert await present(bus) == set()
        events = await bus.link.call("XRANGE", bus.keys.presence_events, "-", "+")
        assert [event[1][1] for event in events] == [b"joined", b"changed", b"left"]


async def test_a_join_that_was_given_up_while_redis_hung_is_undone_later(
    own_redis: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "argentbus")
    async with Bus.connect(own_redis.url, namespace=namespace, patience=0.2) as bus:
        bus.link.reply_timeout = 0.5
        own_redis.freeze()
        try:
            with anyio.move_on_after(0.2):
                async with bus.join("scout", ttl=10.0):
                    pytest.fail("joined")
        finally:
            own_redis.thaw()
        await eventually(lambda: not bus.roll._groups)
        assert await present(bus) == set()
        assert bus.holdings._members == 0


async def test_who_takes_no_messages_is_left_out(
    bus: Bus, redis_server: Any, namespace: str
) -> None:
    async with (
        Bus.connect(redis_server.url, namespace=namespace) as other,
        other.join("keeper", role="sidecar", inbox=False) as keeper,
        bus.join("ada") as ada,
    ):
        with pytest.raises(NobodyPresent, match="no other agent that takes messages"):
            await ada.send_any("x")
        with pytest.raises(NobodyPresent):
            await ada.gather("x", str, timeout=1)
        async with bus.join("bob"):
            assert await ada.send_any("x") == "bob"
            assert await ada.send_all("x") == ["bob"]
        with pytest.raises(NobodyPresent, match="keeper takes no messages .*inbox=False"):
            await ada.send("keeper", "x")
        with pytest.raises(NobodyPresent, match="keeper takes no messages"):
            await ada.request("keeper", "x", str, timeout=5)
        assert not await bus.link.call("EXISTS", bus.keys.inbox("keeper"))
        with pytest.raises(BusError, match="inbox=False"):
            keeper.inbox()
        # Who has not heard of it learns it from the request that is not answered.
        async with Bus.connect(redis_server.url, namespace=namespace) as third:
            async with third.join("cyd") as cyd:
                with pytest.raises(RequestTimeout, match="keeper takes no messages"):
                    await cyd.request("keeper", "x", str, timeout=0.3)
    async with bus.join("ada") as ada, bus.join("keeper"):  # another, by that name
        await ada.send("keeper", "x")
        with pytest.raises(TypeError, match="inbox is 'no'"):
            async with bus.join("odd", inbox="no"):  # type: ignore[arg-type]
                pass
