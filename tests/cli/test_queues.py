"""`argentbus queues`: what waits, what died and why, and putting it back."""

import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from bus import Bus, Queue
from storage.log import log_of, partition_count
from tests.shell import Shell

HOSTILE = "\x1b[31mred\x1b[0m <script>alert(1)</script>\nsecond line"


class Review(msgspec.Struct):
    text: str


@pytest.fixture
async def bus(redis_server, namespace: str) -> AsyncIterator[Bus]:
    async with Bus.connect(redis_server.url, namespace=namespace) as bus:
        yield bus


@pytest.fixture
def where(redis_server, namespace: str) -> list[str]:
    return ["--redis-url", redis_server.url, "--namespace", namespace]


async def _bury(queue: Queue[Review], *texts: str) -> None:
    for text in texts:
        await queue.put(Review(text))
    async with queue.consume("readers") as deliveries:
        for _ in texts:
            delivery = await anext(deliveries)
            await delivery.reject(f"no good: {delivery.body.text}")


async def test_depth_lag_and_dead_letters_are_counted(shell: Shell, bus: Bus, where) -> None:
    queue = bus.queue("reviews", Review)
    await _bury(queue, "one")
    await queue.put(Review("two"))
    await queue.put(Review("later"), delay=3600)
    (found,) = json.loads(shell.run("queues", "--json", *where).stdout)
    assert (found["name"], found["length"], found["dead"]) == ("reviews", 1, 1)
    assert found["delayed"] == 1
    assert [group["name"] for group in found["groups"]] == ["readers"]
    assert found["groups"][0]["lag"] == 1
    table = shell.run("queues", *where).stdout
    assert "reviews" in table
    assert "readers" in table


async def test_dead_letters_are_shown_and_replayed(shell: Shell, bus: Bus, where) -> None:
    queue = bus.queue("reviews", Review)
    await _bury(queue, "one", "two", "three")
    # Options may stand before the subcommand as well as behind it.
    letters = json.loads(shell.run("queues", *where, "dead", "reviews", "--json").stdout)
    assert [letter["body"] for letter in letters] == [
        {"text": "one"},
        {"text": "two"},
        {"text": "three"},
    ]
    assert letters[0]["reason"] == "no good: one"
    first = letters[0]["id"]
    ended = shell.run("queues", "replay", "reviews", first, "--json", *where)
    assert json.loads(ended.stdout) == {"queue": "reviews", "asked": 1, "replayed": 1}
    said = shell.fails("queues", "replay", "reviews", first, *where)
    assert "not (or no longer) dead letters" in said
    assert "2 of 2" in shell.run("queues", "replay", "reviews", "--all", *where).stdout
    statistics = await queue.statistics()
    assert (statistics.length, statistics.dead) == (3, 0)


async def test_one_is_shown_in_full_and_some_or_all_are_purged(
    shell: Shell, bus: Bus, where
) -> None:
    queue = bus.queue("reviews", Review)
    await _bury(queue, "one", "two", "three")
    letters = json.loads(shell.run("queues", "dead", "reviews", "--json", *where).stdout)
    first = letters[0]["id"]
    shown = json.loads(shell.run("queues", "show", "reviews", first, "--json", *where).stdout)
    assert shown == letters[0]
    assert (shown["group"], shown["kills"], shown["type"]) == ("readers", [], "Review")
    words = shell.run("queues", "show", "reviews", first, *where).stdout
    assert "of group readers" in words
    assert "no good: one" in words
    ended = shell.run("queues", "purge", "reviews", first, "--json", *where)
    assert json.loads(ended.stdout) == {"queue": "reviews", "asked": 1, "purged": 1}
    for command in ("show", "purge"):
        said = shell.fails("queues", command, "reviews", first, *where)
        assert "1 of the ids are not (or no longer) dead letters" in said
    assert (
        "0 of 0"
        in shell.run("queues", "purge", "reviews", "--all", "--group", "others", *where).stdout
    )
    assert "2 of 2" in shell.run("queues", "purge", "reviews", "--all", *where).stdout
    statistics = await queue.statistics()
    assert (statistics.length, statistics.dead) == (0, 0)


async def test_hostile_and_garbled_dead_letters_are_shown_harmlessly(
    shell: Shell, bus: Bus, where
) -> None:
    queue = bus.queue("reviews", Review)
    await _bury(queue, HOSTILE)
    key = f"{bus.keys.queue('reviews')}:dead"
    await bus.link.call("XADD", key, "*", "reason", b"\xff\x1b", "attempts", "1", "e", b"\x00\xff")
    await bus.link.call("XADD", key, "*", "nothing", "known")
    ended = shell.run("queues", "dead", "reviews", *where)
    assert ended.returncode == 0, ended
    assert "\x1b" not in ended.stdout
    assert "not an envelope" in ended.stdout
    assert len(ended.stdout.splitlines()) == 6
    letters = json.loads(shell.run("queues", "dead", "reviews", "--json", *where).stdout)
    assert letters[0]["body"] == {"text": HOSTILE}
    assert letters[1]["hex"] == "00ff"


async def test_an_unknown_queue_is_named_with_those_there_are(
    shell: Shell, bus: Bus, where
) -> None:
    assert "none was ever used" in shell.fails("queues", "dead", "reviews", *where)
    await bus.queue("reviews", Review).put(Review("one"))
    said = shell.fails("queues", "dead", "revues", *where)
    assert "no queue revues" in said
    assert "there are reviews" in said
    assert "has no dead letters" in shell.run("queues", "dead", "reviews", *where).stdout


def test_names_and_ids_that_cannot_be_are_refused(shell: Shell, where) -> None:
    assert "cannot name a queue" in shell.fails("queues", "dead", "a {b}", *where)
    assert "not an id" in shell.fails("queues", "replay", "q", "latest", *where, status=2)
    shell.fails("queues", "replay", "q", "1-0", "--all", *where, status=2)


async def test_one_that_is_no_queue_does_not_hide_the_others(shell: Shell, bus: Bus, where) -> None:
    await bus.queue("reviews", Review).put(Review("one"))
    await bus.link.call("SADD", bus.keys.queues, "a {b}", "wrong")
    await bus.link.call("SET", bus.keys.queue("wrong"), "not a stream")
    key = f"{bus.keys.queue('reviews')}:dead"
    await bus.link.call("XADD", key, "18446744073709551-0", "attempts", "many", "e", "x")
    listed = shell.run("queues", *where)
    assert listed.returncode == 0
    assert "reviews" in listed.stdout
    assert listed.stderr.count("cannot be counted") == 2
    dead = shell.run("queues", "dead", "reviews", *where)
    assert dead.returncode == 0, dead
    assert "after 0 deliveries" in dead.stdout
    assert "Traceback" not in shell.run("doctor", *where).stderr


async def test_inboxes_and_write_logs_are_an_operators_to_see(
    shell: Shell, bus: Bus, where
) -> None:
    async with bus.join("writer") as writer, bus.join("scout") as scout:
        await scout.send("writer", Review("bad"))
        await (await anext(writer.inbox(Review))).reject("cannot be read")
        await scout.send("writer", Review("waits"))
        await partition_count(bus, 2)
        log = log_of(bus, 1)
        place = await log.place(Review("a write"), sender="scout")
        [entry] = await log.read()
        await log.reject(entry, reason="the summary is empty")
        assert place.entry_id == entry.id

        listed = {
            one["name"]: one for one in json.loads(shell.run("queues", "--json", *where).stdout)
        }
        assert set(listed) == {"inbox:writer", "log:1"}
        assert (listed["inbox:writer"]["dead"], listed["log:1"]["dead"]) == (1, 1)

        dead = shell.run("queues", "dead", "log:1", *where).stdout
        assert "the summary is empty" in dead
        assert "from scout" in dead
        assert "not put back" in shell.fails("queues", "replay", "log:1", "--all", *where)
        dropped = shell.run("queues", "purge", "log:1", "--all", *where).stdout
        assert "1 of 1" in dropped
        assert await log.dead_length() == 0

        said = {f["detail"] for f in json.loads(shell.run("doctor", "--json", *where).stdout)}
        assert any("1 dead letters in inbox:writer" in detail for detail in said), said
        [letter] = json.loads(shell.run("queues", "dead", "inbox:writer", "--json", *where).stdout)
        assert (letter["reason"], letter["body"]) == ("cannot be read", {"text": "bad"})
        assert "1 of 1" in shell.run("queues", "replay", "inbox:writer", "--all", *where).stdout
        texts = {(await anext(writer.inbox(Review))).body.text for _ in "12"}
        assert texts == {"waits", "bad"}
        assert "no queue inbox:nobody" in shell.fails("queues", "dead", "inbox:nobody", *where)


async def test_who_may_not_look_is_told_so(shell: Shell, bus: Bus, where) -> None:
    for number in range(7):
        await bus.queue(f"reviews-{number}", Review).put(Review("one"))
    granted = json.loads(shell.run("acl", "grant", "scout", "--json", *where).stdout)
    own = ["--redis-url", granted["url"], "--namespace", bus.namespace]
    try:
        findings = json.loads(shell.run("doctor", "--json", *own).stdout)
        [found] = [finding for finding in findings if finding["subject"] == "queues"]
        assert found["verdict"] == "note", found
        assert "may not look into" in found["detail"]
        assert "is no queue" not in str(findings)
        assert "may not look into" in shell.run("queues", *own).stderr
    finally:
        shell.run("acl", "revoke", "scout", *where)


async def test_a_narrow_terminal_cuts_no_name_and_no_title(shell: Shell, bus: Bus, where) -> None:
    name = "guide:a-name-that-is-rather-long"
    queue = bus.queue(name, Review)
    await _bury(queue, "one")
    lines = shell.run("queues", *where, COLUMNS="80").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["queue", "/", "group", "length", "dead", "pending", "lag", "oldest"]
    assert [line.split()[0] for line in lines[1:]] == [name, "readers"]
