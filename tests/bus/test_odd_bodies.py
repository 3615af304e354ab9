"""Bodies whose decoding raises what it likes: they are refused, and everybody goes on."""

from typing import Any

import anyio
import msgspec
import pytest

from bus import Bus, MapChange, MapSnapshot, UndecodableMessage

pytestmark = pytest.mark.anyio


class Plain(msgspec.Struct):
    """What is sent."""

    n: int


class Picky(msgspec.Struct):
    """What it is read as."""

    n: int

    def __post_init__(self) -> None:
        if self.n == 1:
            raise KeyError("of a table that was edited")
        if self.n == 2:
            raise ZeroDivisionError("a share of nothing")


#: Types, bodies that raise something else than a fault of msgspec when read as one, and one that
#: is fine.
CASES: list[tuple[Any, list[Any], Any]] = [
    (Picky, [Plain(1), Plain(2)], Plain(3)),
    (set[Any], [[{}], [{"a": 1}]], ["fine"]),
]


@pytest.fixture(params=CASES, ids=["of a type that raises", "not hashable"])
def case(request: pytest.FixtureRequest) -> tuple[Any, list[Any], Any]:
    return request.param


async def test_in_a_queue_they_are_dead_letters(bus: Bus, case: tuple[Any, list[Any], Any]) -> None:
    body_type, bad, good = case
    queue = bus.queue("jobs", object)
    for body in (*bad, good):
        await queue.put(body)
    with anyio.fail_after(10):
        async with bus.queue("jobs", body_type).consume("workers") as deliveries:
            async with await anext(deliveries) as delivery:
                assert delivery.body == msgspec.convert(msgspec.to_builtins(good), body_type)
    letters = await queue.dead_letters()
    assert len(letters) == len(bad)
    assert all("is not a" in letter.reason for letter in letters)
    with pytest.raises(UndecodableMessage):
        letters[0].body(body_type)


async def test_in_an_inbox_they_are_dead_letters(bus: Bus) -> None:
    named_so = msgspec.defstruct("Picky", [("n", int)])
    async with bus.join("scout") as scout, bus.join("writer") as writer:
        inbox = scout.inbox(Picky)
        for n in (1, 2, 3):
            await writer.send("scout", named_so(n))
        with anyio.fail_after(10):
            async with await anext(inbox) as delivery:
                assert delivery.body == Picky(3)


async def test_in_a_topic_they_are_refused(bus: Bus, case: tuple[Any, list[Any], Any]) -> None:
    body_type, bad, good = case
    async with (
        bus.topic("mood", body_type).subscribe() as feed,
        bus.topics("moo*", body_type).subscribe() as all_feeds,
    ):
        for body in (*bad, good):
            await bus.topic("mood", object).publish(body)
        with anyio.fail_after(10):
            await anext(feed)
            await anext(all_feeds)
        assert feed.refused == all_feeds.refused == len(bad)


async def test_in_a_map_they_are_an_error_of_that_entry(
    bus: Bus, case: tuple[Any, list[Any], Any]
) -> None:
    body_type, [bad, worse], good = case
    plain, read = bus.map("plan", object), bus.map("plan", body_type)
    await plain.put("good", good)
    await plain.put("bad", bad)
    with pytest.raises(UndecodableMessage, match="under 'bad' of map plan"):
        await read.get("bad")
    assert list(await read.list()) == ["good"]
    with anyio.fail_after(10):
        async with read.watch() as watch:
            snapshot = await anext(watch)
            assert isinstance(snapshot, MapSnapshot)
            assert (list(snapshot.entries), list(snapshot.garbled)) == (["good"], ["bad"])
            await plain.put("bad", worse)
            change = await anext(watch)
            assert isinstance(change, MapChange)
            assert change.entry is None
            assert change.error
    with pytest.raises(UndecodableMessage, match="nothing was put"):
        await read.put("bad", bad)


async def test_as_a_reply_they_are_refused(bus: Bus, case: tuple[Any, list[Any], Any]) -> None:
    body_type, [bad, _], _ = case

    async def serve(agent: Any) -> None:
        async for delivery in agent.inbox():
            async with delivery:
                await delivery.reply(bad)

    async with (
        bus.join("asker") as asker,
        bus.join("writer", role="writer") as writer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(serve, writer)
        with anyio.fail_after(10):
            answers = await asker.gather("how?", body_type, role="writer", timeout=8)
            assert isinstance(answers.failures["writer"], UndecodableMessage)
            with pytest.raises(UndecodableMessage):
                await asker.request("writer", "how?", body_type, timeout=8)
        tasks.cancel_scope.cancel()


async def test_a_listener_that_raises_ends_nobody_else(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def deliver(self, payload: bytes) -> None:
            raise RuntimeError("a fault of its own")

        def gap(self) -> None:
            pass

    topic = bus.topic("mood", str)
    await bus.subscriber.add(bus.keys.topic("mood"), Broken())
    async with topic.subscribe() as feed:
        await topic.publish("calm")
        with anyio.fail_after(10):
            assert (await anext(feed)).body == "calm"
    assert "a fault of its own" in caplog.text


@pytest.mark.parametrize(
    "body", ["\ud800", object(), {1: object()}], ids=["surrogate", "object", "inside"]
)
async def test_what_cannot_be_encoded_is_the_same_error_everywhere(bus: Bus, body: Any) -> None:
    endless: list[Any] = []
    endless.append(endless)
    for one in (body, endless):
        with pytest.raises(UndecodableMessage, match="cannot be encoded"):
            await bus.queue("jobs", object).put(one)
        with pytest.raises(UndecodableMessage, match="cannot be encoded"):
            await bus.map("plan", object).put("k", one)


async def test_what_cannot_be_the_type_of_a_reply_is_refused_before_it_is_asked(bus: Bus) -> None:
    async with bus.join("scout") as scout:
        with pytest.raises(TypeError, match="cannot be the type"):
            await scout.request("scout", "x", 3, timeout=1)  # type: ignore[type-var]
        with pytest.raises(TypeError, match="cannot be the type"):
            scout.inbox(set[str] | list[str])
