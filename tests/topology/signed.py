"""What the bus promises where messages are signed: a part of `acceptance`."""

import anyio

from bus import Bus, Signing
from bus.messages.signing import derive
from tests.waiting import eventually

MASTER = b"the master secret of these tests"
SCOUT = Signing({"scout": derive(MASTER, "scout")})
TRUSTED = Signing(master=MASTER)


async def signed(url: str, namespace: str) -> None:
    """What an agent says in its own name is taken, on every inlet; what nobody signed is not."""
    async with (
        Bus.connect(url, namespace=namespace, patience=20, signing=TRUSTED) as trusted,
        Bus.connect(url, namespace=namespace, patience=20, signing=SCOUT) as scouts,
        scouts.join("scout") as scout,
        trusted.join("judge") as judge,
        trusted.topic("mood", str).subscribe() as mood,
        trusted.topics("m*", str).subscribe() as pattern,
        trusted.queue("jobs", str).consume("workers") as deliveries,
        anyio.create_task_group() as tasks,
    ):
        # A bus instance is nobody's agent, and has no secret: what it sends is not signed.
        await scouts.queue("jobs", str).put("unsigned")
        await scouts.topic("mood", str).publish("unsigned")
        await scout.queue("jobs", str).put("signed")
        await scout.topic("mood", str).publish("signed")
        await scout.queue("jobs", str).schedule("tick", "* * * * * *", "tick")
        with anyio.fail_after(10):
            for feed in (mood, pattern):
                assert (await anext(feed)).body == "signed"
                assert feed.refused == 1
            for expected in ("signed", "tick"):
                async with await anext(deliveries) as delivery:
                    assert (delivery.body, delivery.sender) == (expected, "scout")

            async def set_aside() -> bool:
                letters = await trusted.queue("jobs", str).dead_letters()
                return [letter.body() for letter in letters] == ["unsigned"]

            await eventually(set_aside)

            async def answer() -> None:
                async for delivery in judge.inbox():
                    async with delivery:
                        await delivery.reply(delivery.body)

            tasks.start_soon(answer)
            assert await scout.request("judge", "guilty?", str, timeout=5) == "guilty?"
            tasks.cancel_scope.cancel()
        await scouts.log("journal").append("x", sender="scout")
        await scouts.log("journal").append("x")
        entries = await trusted.log("journal").read()
        assert [entry.envelope is not None for entry in entries] == [True, False]
