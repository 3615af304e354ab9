"""Signed envelopes: whatever is forged, changed or re-addressed is refused, and stops nobody."""

import logging
import pickle
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from bus import Bus, Queue, SignatureRefused, Signing, SigningKeyUnusable
from bus.messages.envelope import Envelope, unwrap, wrap
from bus.messages.signing import derive
from bus.requests.handling import CANCEL
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

MASTER = secrets.token_bytes(32)
SCOUT = Signing({"scout": derive(MASTER, "scout")})
WRITER = Signing({"writer": derive(MASTER, "writer")})
TRUSTED = Signing(master=MASTER)


class Note(msgspec.Struct):
    text: str


@pytest.fixture
async def trusted(redis_server: Any, namespace: str) -> AsyncIterator[Bus]:
    """A bus that requires signatures."""
    async with Bus.connect(redis_server.url, namespace=namespace, signing=TRUSTED) as bus:
        yield bus


@pytest.fixture
async def scouts(redis_server: Any, namespace: str) -> AsyncIterator[Bus]:
    """A bus that can sign as `scout` alone."""
    async with Bus.connect(redis_server.url, namespace=namespace, signing=SCOUT) as bus:
        yield bus


def signed(to: str, text: str = "true", **more: Any) -> Envelope:
    more = {"sender": "scout", "signing": SCOUT, "destination": to} | more
    return unwrap(wrap(Note(text), reply_to="back", deadline=9e9, **more)[1])


CHANGES = {
    "id": "0" * 32,
    "type": "Other",
    "sender": "writer",
    "sent_at": 1.0,
    "body": msgspec.Raw(msgspec.msgpack.encode(Note("false"))),
    "reply_to": None,
    "deadline": None,
    "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "signature": b"\0" * 24,
}


def forgeries(to: str) -> dict[str, tuple[Envelope, str]]:
    """Messages that are not what they say, by what is wrong; with a part of the reason."""
    true = signed(to)
    forged = signed(to, sender="writer", signing=WRITER)
    wrong = {
        "unsigned": (msgspec.structs.replace(true, signature=None), "is not signed"),
        "forged by another": (
            msgspec.structs.replace(forged, sender="scout"),
            "is not that of 'scout'",
        ),
        "empty": (msgspec.structs.replace(true, signature=b""), "is not that of 'scout'"),
        "shortened": (msgspec.structs.replace(true, signature=true.signature[:8]), "is not"),
        "re-addressed": (signed(to + "x"), "re-addressed"),
    }
    for field, value in CHANGES.items():
        wrong[f"another {field}"] = (msgspec.structs.replace(true, **{field: value}), "is not")
    return wrong


def test_every_field_is_signed() -> None:
    # A field that is added to the envelope has to be added to the signature, and here.
    assert {*CHANGES, "version"} == {*Envelope.__struct_fields__}
    for what, (envelope, reason) in forgeries("here").items():
        with pytest.raises(SignatureRefused, match=reason):
            TRUSTED.verify(envelope, "here")
            pytest.fail(what)
    TRUSTED.verify(signed("here"), "here")
    version_2 = msgspec.structs.replace(signed("here"), version=2)
    with pytest.raises(SignatureRefused):
        TRUSTED.verify(version_2, "here")


def test_only_what_is_live_grows_old() -> None:
    for sent_at in (time.time() - 400, time.time() + 400, float("nan"), float("inf")):
        old = msgspec.structs.replace(signed("here"), sent_at=sent_at)
        old = SCOUT.sign(old, "here")
        TRUSTED.verify(old, "here")
        with pytest.raises(SignatureRefused, match="of the last 300 s"):
            TRUSTED.verify(old, "here", live=True)


async def test_a_consumer_buries_what_is_not_signed_right_and_goes_on(
    trusted: Bus, scouts: Bus
) -> None:
    queue: Queue[Note] = trusted.queue("reviews", Note)
    wrong = forgeries(queue.base)
    for envelope, _ in wrong.values():
        await queue.put_message(msgspec.msgpack.encode(envelope))
    await scouts.queue("reviews", Note, sender="scout").put(Note("first"))
    await scouts.queue("reviews", Note, sender="scout").put(Note("later"), delay=0.05)
    with anyio.fail_after(10):
        async with queue.consume("readers") as deliveries:
            for text in ("first", "later"):
                async with await anext(deliveries) as delivery:
                    assert (delivery.body.text, delivery.sender) == (text, "scout")

            async def all_are_buried() -> bool:
                return len(await queue.dead_letters()) == len(wrong)

            await eventually(all_are_buried)
    reasons = {letter.message: letter.reason for letter in await queue.dead_letters()}
    for what, (envelope, reason) in wrong.items():
        assert reason in reasons[msgspec.msgpack.encode(envelope)], what


async def test_a_feed_counts_what_is_not_signed_right_as_refused(trusted: Bus, scouts: Bus) -> None:
    channel = trusted.keys.topic("mood")
    wrong = forgeries(channel)
    with anyio.fail_after(10):
        async with (
            trusted.topic("mood", Note).subscribe() as feed,
            trusted.topics("mo*", Note).subscribe() as pattern,
        ):
            for envelope, _ in wrong.values():
                await trusted.publish(channel, msgspec.msgpack.encode(envelope))
            await scouts.topic("mood", Note, sender="scout").publish(Note("calm"))
            for one in (feed, pattern):
                assert (await anext(one)).body.text == "calm"
                assert one.refused == len(wrong)


async def test_requests_replies_and_cancellations_are_signed(trusted: Bus, scouts: Bus) -> None:
    async with scouts.join("scout") as scout, trusted.join("judge") as judge:
        started, cancelled = anyio.Event(), anyio.Event()

        async def serve() -> None:
            async for delivery in judge.inbox(Note):
                async with delivery:
                    if delivery.body.text == "quick":
                        await delivery.reply(Note("yes"))
                        continue
                    # A cancellation in another's name, signed by none.
                    forged = wrap(None, sender="scout", type=CANCEL, message_id=delivery.id)[1]
                    await scouts.publish(scouts.keys.cancelling(scouts.keys.inbox("judge")), forged)
                    started.set()
                    try:
                        await anyio.sleep_forever()
                    finally:
                        cancelled.set()

        with anyio.fail_after(15):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(serve)
                reply = await scout.request("judge", Note("quick"), Note, timeout=5)
                assert reply == Note("yes")
                answers = await scout.gather(Note("quick"), Note, timeout=5)
                assert answers.replies == {"judge": Note("yes")}
                async with anyio.create_task_group() as asking:

                    async def ask() -> None:
                        await scout.request("judge", Note("slow"), Note, timeout=30)

                    asking.start_soon(ask)
                    await started.wait()
                    judges = judge._inbox._consumer
                    assert judges is not None
                    await eventually(lambda: judges.cancellations.refused == 1)
                    assert not cancelled.is_set()
                    asking.cancel_scope.cancel()
                await cancelled.wait()
                tasks.cancel_scope.cancel()


async def test_messages_of_a_schedule_bear_the_signature_of_who_stated_it(
    trusted: Bus, scouts: Bus
) -> None:
    queue = trusted.queue("reviews", Note)
    own = scouts.queue("reviews", Note, sender="scout")
    # Whoever fires it holds no secret of scout's: the trusted bus here only verifies.
    await own.schedule("tick", "* * * * * *", Note("tick"))
    with anyio.fail_after(10):
        async with queue.consume("readers") as deliveries:
            async with await anext(deliveries) as first:
                assert (first.body, first.sender) == (Note("tick"), "scout")
            async with await anext(deliveries) as second:
                assert second.id != first.id
            assert await own.unschedule("tick")
            # What stands in Redis is changed, or has nobody's signature.
            unsigned = scouts.queue("reviews", Note)
            await unsigned.schedule("unsigned", "* * * * * *", Note("x"))
            await own.schedule("changed", "* * * * * *", Note("true"))
            stored = await trusted.link.call("HGET", f"{queue.base}:schedules", "changed")
            changed = stored.replace(b"true", b"fals")
            await trusted.link.call("HSET", f"{queue.base}:schedules", "changed", changed)

            async def both_are_refused() -> bool:
                reasons = " ".join(letter.reason for letter in await queue.dead_letters())
                return "is not signed" in reasons and "is not that of 'scout'" in reasons

            async with anyio.create_task_group() as tasks:

                async def take() -> None:
                    async for delivery in deliveries:
                        pytest.fail(f"{delivery} was delivered")

                tasks.start_soon(take)
                await eventually(both_are_refused)
                tasks.cancel_scope.cancel()


def test_a_schedules_signature_is_good_for_nothing_else() -> None:
    plain = unwrap(wrap(Note("tick"), sender="scout")[1])
    true = SCOUT.sign_schedule(plain, "here")
    TRUSTED.verify(true, "here")
    for what in ({"type": "x"}, {"body": msgspec.Raw(b"\x90")}, {"sender": "writer"},
                 {"version": 2}, {"reply_to": "me"}, {"deadline": 9e9},
                 {"signature": true.signature[1:]},
                 {"signature": b"@" + true.signature}):  # fmt: skip
        with pytest.raises(SignatureRefused):
            TRUSTED.verify(msgspec.structs.replace(true, **what), "here")
            pytest.fail(str(what))
    with pytest.raises(SignatureRefused):
        TRUSTED.verify(true, "elsewhere")
    # Nor is a message's own signature that of a schedule.
    signed_once = SCOUT.sign(plain, "here")
    with pytest.raises(SignatureRefused):
        again = msgspec.structs.replace(plain, id="0" * 32, signature=b"@" + signed_once.signature)
        TRUSTED.verify(again, "here")


def test_an_ordinary_agent_verifies_in_whose_names_it_holds_secrets() -> None:
    def message(sender: str, signing: Signing | None) -> Envelope:
        return unwrap(wrap(Note("x"), sender=sender, signing=signing, destination="here")[1])

    SCOUT.verify(message("scout", SCOUT), "here")
    SCOUT.verify(message("writer", None), "here")
    SCOUT.verify(message("writer", WRITER), "here")
    for wrong in (message("scout", None), message("scout", Signing({"scout": b"x" * 16}))):
        with pytest.raises(SignatureRefused):
            SCOUT.verify(wrong, "here")
        Signing({"scout": derive(MASTER, "scout")}, required=False).verify(wrong, "here")


async def test_only_who_was_asked_can_answer(trusted: Bus, scouts: Bus) -> None:
    """A reply that is signed right, by another who read the request, is none."""
    async with scouts.join("scout") as scout, trusted.join("judge") as judge:

        async def serve() -> None:
            async for delivery in judge.inbox(Note):
                async with delivery:
                    channel = scouts.mailbox.channel
                    signature = {"signing": WRITER, "destination": channel}
                    _, forged = wrap(
                        Note("no"), sender="writer", message_id=delivery.id, **signature
                    )
                    await trusted.publish(channel, forged)
                    await delivery.reply(Note("yes"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            with anyio.fail_after(10):
                assert await scout.request("judge", Note("?"), Note, timeout=5) == Note("yes")
                answers = await scout.gather(Note("?"), Note, timeout=5)
                assert answers.replies == {"judge": Note("yes")}
            tasks.cancel_scope.cancel()
        assert scouts.mailbox.refused == 2


async def test_nobody_signs_as_another(scouts: Bus) -> None:
    with pytest.raises(SigningKeyUnusable, match="no secret of 'writer' is held here"):
        await scouts.queue("reviews", Note, sender="writer").put(Note("x"))
    # A bus instance is nobody's agent: what it sends is unsigned.
    await scouts.queue("reviews", Note).put(Note("x"))


def test_a_key_file_is_read_and_never_repeated(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "signing.key"
    path.write_text(f"# of the sidecar\n* {MASTER.hex()}\n\nscout {SCOUT.secret('scout').hex()}\n")
    with pytest.raises(SigningKeyUnusable, match="chmod 600"):
        path.chmod(0o644)
        Signing.read(path)
    path.chmod(0o600)
    signing = Signing.read(path)
    assert signing.required
    assert signing.secret("writer") == derive(MASTER, "writer")
    with pytest.raises(TypeError):
        pickle.dumps(signing)
    said = [repr(signing), str(signing), f"{signing!s}"]
    for garbage in (
        f"scout {MASTER.hex()}0",
        f"{MASTER.hex()}",
        f"sc{{ {MASTER.hex()}",
        "* 00",
        "",
    ):
        path.write_text(garbage)
        with pytest.raises(ValueError) as refused:
            Signing.read(path)
        said.append(str(refused.value))
    path.write_bytes(b"\xff\xfe" + MASTER)
    with pytest.raises(SigningKeyUnusable, match="binary") as refused:
        Signing.read(path)
    said.append(str(refused.value))
    with pytest.raises(SigningKeyUnusable, match="No such file"):
        Signing.read(tmp_path / "none")
    assert not any(MASTER.hex()[:12] in text for text in [*said, caplog.text])
