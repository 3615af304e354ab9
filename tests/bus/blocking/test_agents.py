"""Agents from threads: questions to many, typed states, several instances, who comes and goes."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from bus import NobodyPresent, PresenceLost, RequestFailed, RequestTimeout
from bus.blocking import Agent, Bus
from tests.bus.blocking.waiting import eventually


class Ask(msgspec.Struct):
    what: str


class Mood(msgspec.Struct):
    courage: float = 0.5
    tools: list[str] = []


class Answering:
    """An agent that answers with `answer(body)` in a thread, until the end of the block."""

    def __init__(self, agent: Agent, answer: Any, *, count: int = 1) -> None:
        self._agent = agent
        self._pool = ThreadPoolExecutor(count)
        self._inbox = agent.inbox(Ask)
        self._ended = [self._pool.submit(self._run, answer) for _ in range(count)]

    def _run(self, answer: Any) -> None:
        for delivery in self._inbox:
            with delivery:
                delivery.reply(answer(delivery.body))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        self._inbox.stop()
        for ended in self._ended:
            ended.result(10)
        self._pool.shutdown()


def fail(body: Ask) -> str:
    raise LookupError(f"no {body.what} here")


def test_answers_come_as_they_are_given_and_the_rest_is_silent(bus: Bus, other: Bus) -> None:
    with (
        bus.join("editor") as editor,
        other.join("ada", role="reviewer", capabilities=["python"]) as ada,
        other.join("bob", role="reviewer") as bob,
        other.join("mute", role="reviewer"),
        Answering(ada, lambda body: f"{body.what}, says ada"),
        Answering(bob, fail),
    ):
        with editor.gathering(Ask("yes"), str, role="reviewer", timeout=10) as answers:
            assert answers.asked == ["ada", "bob", "mute"]
            first = {answers.receive(timeout=5).agent for _ in range(2)}
            assert first == {"ada", "bob"} == answers.answers.keys()
            assert answers.silent == ["mute"]
            assert 5 < answers.left < 10
            with pytest.raises(TimeoutError):
                answers.receive(timeout=0.05)
        assert list(answers) == []
        with editor.gathering(Ask("no"), str, role="reviewer", timeout=0.5) as answers:
            everything = answers.all()
        assert everything.replies == {"ada": "no, says ada"}
        assert isinstance(everything.failures["bob"], RequestFailed)
        assert everything.silent == ["mute"]
        with editor.gathering(Ask("one"), str, capabilities=["python"], timeout=10) as answers:
            assert [answer.reply for answer in answers] == ["one, says ada"]  # it ends by itself
        assert editor.gather(Ask("x"), str, capabilities=["python"], timeout=5).complete
        with pytest.raises(NobodyPresent), editor.gathering("?", str, role="cook", timeout=1):
            pytest.fail("nobody was there to be asked")


def test_whoever_has_not_answered_is_told_that_nobody_waits(bus: Bus, other: Bus) -> None:
    with bus.join("editor") as editor, other.join("slow", role="thinker") as slow:
        inbox = slow.inbox(Ask)
        with editor.gathering(Ask("?"), str, role="thinker", timeout=60):
            delivery = inbox.receive(timeout=10)
            delivery.__enter__()
        eventually(lambda: delivery.abandoned)
        with pytest.raises(RequestTimeout, match="nobody waits"):
            delivery.check()
        delivery.__exit__(None, None, None)
        # And where that is heard between the receiving and the handling:
        with editor.gathering(Ask("?"), str, role="thinker", timeout=60):
            delivery = inbox.receive(timeout=10)
        cancellations = delivery.over._consumer.cancellations
        eventually(lambda: delivery.id in cancellations._cancelled)
        with delivery:
            eventually(lambda: delivery.abandoned)


def test_a_state_has_fields_of_its_own_type(bus: Bus) -> None:
    with bus.join("scout", state=Mood(courage=0.9)) as scout:
        scout.set_state(status="processing", tools=["map", "rope"], mood="calm")
        assert scout.state.fields_as(Mood) == Mood(0.9, ["map", "rope"])
        assert bus.registry.states(["scout"])["scout"].fields_as(Mood).tools == ["map", "rope"]
        with pytest.raises(ValueError, match="courage"):
            scout.set_state(courage="much")
        with pytest.raises(ValueError, match="status"):
            scout.set_state(status="asleep")


def test_several_instances_share_the_work(bus: Bus, other: Bus) -> None:
    with (
        bus.join("pool", shared=True) as one,
        other.join("pool", shared=True) as two,
        bus.join("boss") as boss,
        ThreadPoolExecutor(8) as pool,
        Answering(one, lambda body: one.instance),
        Answering(two, lambda body: two.instance),
    ):
        assert one.presence.shared
        assert one.instance != two.instance
        who = set()

        def ask(n: int) -> str:
            return boss.request("pool", Ask(str(n)), str, timeout=10)

        give_up = time.monotonic() + 10
        while len(who) < 2 and time.monotonic() < give_up:
            who |= set(pool.map(ask, range(16)))
        assert who == {one.instance, two.instance}
        found = bus.registry.find(role=None)
        assert sorted(presence.agent for presence in found) == ["boss", "pool", "pool"]


def test_who_comes_and_goes_is_told(bus: Bus, other: Bus) -> None:
    with bus.join("scout", role="finder", stall_after=0.2) as scout:
        snapshot = bus.registry.snapshot()
        assert snapshot.agents["scout"].role == "finder"
        with bus.registry.events(after=snapshot.after) as events:
            with other.join("writer", role="author"):
                assert [p.agent for p in other.registry.find(role="author")] == ["writer"]
            seen = []
            for event in events:
                if event.agent == "writer" and event.kind in {"joined", "left"}:
                    seen.append(event.kind)
                    if event.kind == "left":
                        break
            assert seen == ["joined", "left"]
            eventually(lambda: bus.registry.snapshot().states["scout"].stalled)
            scout.progress("page 1")
            eventually(lambda: not bus.registry.snapshot().states["scout"].stalled)
            waiting = ThreadPoolExecutor(1).submit(list, events)
        assert isinstance(waiting.result(5), list)
        assert events.refused == bus.registry.refused == 0
        scout.check()
    with pytest.raises(PresenceLost, match="no longer present"):
        scout.check()


def test_an_agent_sends_to_one_any_and_all(bus: Bus, other: Bus) -> None:
    with (
        bus.join("boss") as boss,
        other.join("ada", role="worker", capabilities=["dig", "fill"]) as ada,
        other.join("bob", role="worker", capabilities=["dig"]) as bob,
    ):
        assert boss.send_all(Ask("all")) == ["ada", "bob"]
        assert boss.send_any(Ask("any"), capabilities=["fill"]) == "ada"
        boss.send("bob", Ask("one"))
        for agent, bodies in ((ada, ["all", "any"]), (bob, ["all", "one"])):
            inbox = agent.inbox(Ask)
            for body in bodies:
                with inbox.receive(timeout=5) as delivery:
                    assert (delivery.body, delivery.sender) == (Ask(body), "boss")
