"""Hostile arguments: every entry of a bus refuses them at once, and says which one it was."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import Bus, BusError, Durability, InvalidName

pytestmark = pytest.mark.anyio

Entry = Callable[[Bus, Any], Any]


async def _within(context: Any) -> None:
    async with context:
        pass


async def _one(iteration: Any) -> None:
    async for _ in iteration:
        return


async def _connected(bus: Bus, **options: Any) -> None:
    await _within(Bus.connect(**{"url": f"redis://{bus.link.address.endpoints[0]}", **options}))


async def _asked(bus: Bus, timeout: Any) -> None:
    await bus.request(bus.queue("q", str), "?", str, timeout=timeout)


#: By the argument that the message has to name: numbers of seconds.
SECONDS: dict[str, tuple[str, Entry]] = {
    "connect ttl": ("ttl", lambda bus, v: _connected(bus, ttl=v)),
    "connect patience": ("patience", lambda bus, v: _connected(bus, patience=v)),
    "put delay": ("delay", lambda bus, v: bus.queue("q", str).put("x", delay=v)),
    "consume ttl": ("ttl", lambda bus, v: _within(bus.queue("q", str).consume("g", ttl=v))),
    "consume handler_timeout": (
        "handler_timeout",
        lambda bus, v: _within(bus.queue("q", str).consume("g", handler_timeout=v)),
    ),
    "work drain": ("drain", lambda bus, v: bus.queue("q", str).work("g", _one, drain=v)),
    "durability": ("timeout", lambda bus, v: Durability(fsynced=True, timeout=v)),
    "lock ttl": ("ttl", lambda bus, v: _within(bus.lock("l", ttl=v))),
    "lock wait": ("wait", lambda bus, v: _within(bus.lock("l", wait=v))),
    "locks ttl": ("ttl", lambda bus, v: _within(bus.locks("l", "m", ttl=v))),
    "locks wait": ("wait", lambda bus, v: _within(bus.locks("l", "m", wait=v))),
    "semaphore ttl": ("ttl", lambda bus, v: _within(bus.semaphore("s", permits=1, ttl=v))),
    "semaphore wait": ("wait", lambda bus, v: _within(bus.semaphore("s", permits=1, wait=v))),
    "election ttl": ("ttl", lambda bus, v: _within(bus.election("e", ttl=v))),
    "once_per period": ("period", lambda bus, v: bus.once_per("o", v)),
    "once_per ttl": ("ttl", lambda bus, v: bus.once_per("o", 60, ttl=v)),
    "join ttl": ("ttl", lambda bus, v: _within(bus.join("a", ttl=v))),
    "join stall_after": ("stall_after", lambda bus, v: _within(bus.join("a", stall_after=v))),
    "request timeout": ("timeout", _asked),
    "map put ttl": ("ttl", lambda bus, v: bus.map("m", str).put("k", "v", ttl=v)),
    "log block": ("block", lambda bus, v: bus.log("l").read(block=v)),
}

#: Whole numbers.
COUNTS: dict[str, tuple[str, Entry]] = {
    "connect bytes": ("most_message_bytes", lambda bus, v: _connected(bus, most_message_bytes=v)),
    "max_deliveries": ("max_deliveries", lambda bus, v: bus.queue("q", str, max_deliveries=v)),
    "max_kills": ("max_kills", lambda bus, v: bus.queue("q", str, max_kills=v)),
    "max_length": ("max_length", lambda bus, v: bus.queue("q", str, max_length=v)),
    "max_bytes": ("max_bytes", lambda bus, v: bus.queue("q", str, max_bytes=v)),
    "prefetch": ("prefetch", lambda bus, v: _within(bus.queue("q", str).consume("g", prefetch=v))),
    "concurrency": (
        "concurrency",
        lambda bus, v: bus.queue("q", str).work("g", _one, concurrency=v),
    ),
    "dead letters": ("limit", lambda bus, v: bus.queue("q", str).dead_letters(limit=v)),
    "replicas": ("replicas", lambda bus, v: Durability(replicas=v)),
    "lock replicated": ("replicated", lambda bus, v: bus.lock("l", replicated=v)),
    "lock above": ("above", lambda bus, v: bus.lock("l", above=v)),
    "permits": ("permits", lambda bus, v: bus.semaphore("s", permits=v)),
    "attempts": ("attempts", lambda bus, v: bus.once_per("o", 60, attempts=v)),
    "most_changes": ("most_changes", lambda bus, v: bus.map("m", str, most_changes=v)),
    "page": ("page", lambda bus, v: _one(bus.map("m", str).entries(page=v))),
    "buffer": ("buffer", lambda bus, v: _within(bus.topic("t", str).subscribe(buffer=v))),
    "map version": ("if_version", lambda bus, v: bus.map("m", str).delete("k", if_version=v)),
    "log limit": ("limit", lambda bus, v: bus.log("l").read(limit=v)),
    "if_version": ("if_version", lambda bus, v: bus.map("m", str).put("k", "v", if_version=v)),
}

#: Names, and what else is text.
NAMES: dict[str, Entry] = {
    "namespace": lambda bus, v: _connected(bus, namespace=v),
    "topic": lambda bus, v: bus.topic(v, str),
    "topic sender": lambda bus, v: bus.topic("t", str, sender=v),
    "topics": lambda bus, v: bus.topics(v, str),
    "queue": lambda bus, v: bus.queue(v, str),
    "queue sender": lambda bus, v: bus.queue("q", str, sender=v),
    "dedupe": lambda bus, v: bus.queue("q", str).put("x", dedupe=v),
    "key": lambda bus, v: bus.queue("q", str, ordered=True).put("x", key=v),
    "group": lambda bus, v: _within(bus.queue("q", str).consume(v)),
    "delete_group": lambda bus, v: bus.queue("q", str).delete_group(v),
    "schedule": lambda bus, v: bus.queue("q", str).schedule(v, "* * * * *", "x"),
    "cron": lambda bus, v: bus.queue("q", str).schedule("s", v, "x"),
    "tz": lambda bus, v: bus.queue("q", str).schedule("s", "* * * * *", "x", tz=v),
    "unschedule": lambda bus, v: bus.queue("q", str).unschedule(v),
    "replay": lambda bus, v: bus.queue("q", str).replay(v),
    "purge": lambda bus, v: bus.queue("q", str).purge(v),
    "dead_letter": lambda bus, v: bus.queue("q", str).dead_letter(v),
    "dead letters": lambda bus, v: bus.queue("q", str).dead_letters(after=v),
    "lock": lambda bus, v: bus.lock(v),
    "locks": lambda bus, v: _within(bus.locks("a", v)),
    "semaphore": lambda bus, v: bus.semaphore(v, permits=1),
    "election": lambda bus, v: _within(bus.election(v)),
    "candidate": lambda bus, v: _within(bus.election("e", candidate=v)),
    "once_per": lambda bus, v: bus.once_per(v, 60),
    "map": lambda bus, v: bus.map(v, str),
    "map sender": lambda bus, v: bus.map("m", str, sender=v),
    "map get": lambda bus, v: bus.map("m", str).get(v),
    "map put": lambda bus, v: bus.map("m", str).put(v, "x"),
    "map delete": lambda bus, v: bus.map("m", str).delete(v),
    "map watch": lambda bus, v: _within(bus.map("m", str).watch(after=v)),
    "log": lambda bus, v: bus.log(v),
    "log after": lambda bus, v: bus.log("l").read(after=v),
    "join": lambda bus, v: _within(bus.join(v)),
    "role": lambda bus, v: _within(bus.join("a", role=v)),
    "capability": lambda bus, v: _within(bus.join("a", capabilities=[v])),
    "get_value": lambda bus, v: bus.get_value(v),
    "put_value": lambda bus, v: bus.put_value(v, b"x"),
    "when_full": lambda bus, v: bus.queue("q", str, when_full=v),
    "feed when_full": lambda bus, v: _within(bus.topic("t", str).subscribe(when_full=v)),
    "start": lambda bus, v: _within(bus.queue("q", str).consume("g", start=v)),
}

_wrong_types = st.one_of(
    st.sampled_from([b"x", [], {}, (), True, object(), 1j, "5", "", float]), st.binary(max_size=5)
)
_no_seconds = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, -1, -1e-9, 1e308, 10**400, -(10**400)]),
    st.floats(max_value=-1e-6),
    st.floats(min_value=1e9 + 1),
    _wrong_types,
)
_no_counts = st.one_of(
    st.sampled_from([-1, 2**53, 2**64, 10**400, 1.5, math.nan, 1.0]),
    st.integers(max_value=-1),
    st.integers(min_value=2**53),
    st.floats(),
    _wrong_types,
)
_no_names = st.one_of(
    st.sampled_from(["", " a", "a b", "{a}", "a*[", "\x00", "a\n", "é", "x" * 129, "\ud800"]),
    st.text(max_size=3).map(lambda text: f"{{{text}"),
    st.sampled_from([5, 1.5, b"x", True, object(), 1j, ["a"], {"a": 1}, ("a",), str]),
)

_settings = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


async def _refusal(bus: Bus, entry: Entry, value: Any) -> Exception:
    try:
        with anyio.fail_after(5):
            outcome = entry(bus, value)
            if hasattr(outcome, "__await__"):
                await outcome
    except (TypeError, ValueError) as error:
        assert len(str(error)) < 400, "a message, not a value"
        return error
    raise AssertionError(f"{value!r:.80} was taken")


@_settings
@given(value=_no_seconds, entry=st.sampled_from(sorted(SECONDS)))
async def test_seconds_out_of_range_are_refused_by_name(bus: Bus, value: Any, entry: str) -> None:
    name, call = SECONDS[entry]
    assert str(await _refusal(bus, call, value)).startswith(f"{name} is ")


@_settings
@given(value=_no_counts, entry=st.sampled_from(sorted(COUNTS)))
async def test_numbers_out_of_range_are_refused_by_name(bus: Bus, value: Any, entry: str) -> None:
    name, call = COUNTS[entry]
    assert str(await _refusal(bus, call, value)).startswith(f"{name} is ")


@_settings
@given(value=_no_names, entry=st.sampled_from(sorted(NAMES)))
async def test_names_that_are_none_are_refused(bus: Bus, value: Any, entry: str) -> None:
    error = await _refusal(bus, NAMES[entry], value)
    if entry not in ("when_full", "feed when_full", "start"):
        assert isinstance(error, TypeError) == (not isinstance(value, str)), repr(error)


async def test_every_entry_refuses_every_kind_of_wrong_value(bus: Bus) -> None:
    numbers = [*SECONDS.values(), *COUNTS.values()]
    for name, call in numbers:
        for value in (math.nan, math.inf, -1, 10**400, "5", b"5", True, []):
            assert str(await _refusal(bus, call, value)).startswith(f"{name} is "), name
    for call in NAMES.values():
        for value in (5, b"a", ["a"], "{a}", "\x00", ""):
            await _refusal(bus, call, value)


@pytest.mark.parametrize("body_type", [5, "str", [int], {}, 1.5])
async def test_what_is_no_type_is_refused(bus: Bus, body_type: Any) -> None:
    for noun in (bus.topic, bus.topics, bus.queue, bus.map):
        with pytest.raises(TypeError):
            noun("a", body_type)


async def test_objects_of_another_kind_are_refused(bus: Bus) -> None:
    queue = bus.queue("q", str)
    now = datetime.now(UTC)
    refused: list[Callable[[], Any]] = [
        lambda: queue.put("x", durability=1),  # type: ignore[arg-type]
        lambda: queue.put("x", at=5),  # type: ignore[arg-type]
        lambda: queue.put("x", at=now, delay=1),
        lambda: queue.put("x", at=now.replace(tzinfo=None)),
        lambda: queue.work("g", 5),  # type: ignore[arg-type]
        lambda: bus.put_value("a", "text"),  # type: ignore[arg-type]
        lambda: _within(bus.join("a", capabilities=5)),  # type: ignore[arg-type]
        lambda: _connected(bus, signing=5),
        lambda: _connected(bus, url=5),
    ]
    for call in refused:
        with anyio.fail_after(5), pytest.raises((TypeError, ValueError)):
            await call()
    assert (await queue.statistics()).length == 0


@pytest.mark.parametrize("url", ["redis://127.0.0.1:0", "redis://h:99999", "redis://h:-1", ""])
async def test_urls_with_impossible_ports_are_refused(url: str) -> None:
    with pytest.raises(BusError, match="not a Redis URL"):
        await _within(Bus.connect(url))


async def test_a_name_that_is_no_text_is_an_error_that_shows_it(bus: Bus) -> None:
    with pytest.raises(TypeError, match=r"the name of a queue is 5 \(int\): it must be a str"):
        bus.queue(5, str)  # type: ignore[arg-type]
    with pytest.raises(InvalidName, match="one capability: give a list"):
        await _within(bus.join("a", capabilities="one"))


@pytest.mark.parametrize(
    "position",
    [f"{2**64}-0", f"0-{2**64}", "-1-0", "9" * 400 + "-0", "$", "(1-0", "1.5", "٣-0"],
)
async def test_positions_that_cannot_be_are_refused_before_redis_is_asked(
    bus: Bus, position: str
) -> None:
    queue, log = bus.queue("q", str), bus.log("l")
    for call in (
        lambda: log.read(after=position),
        lambda: log.read(after=position, block=0.1),
        lambda: log.trim(through=position, epoch=""),
        lambda: queue.dead_letters(after=position),
        lambda: queue.dead_letter(position),
        lambda: queue.replay(position),
        lambda: anext(bus.registry.events(after=position)),
        lambda: _within(bus.map("m", str).watch(after=f"{position}/1")),
        lambda: _within(bus.map("m", str).watch(after=f"1-0/{position}")),
    ):
        with anyio.fail_after(5), pytest.raises(ValueError, match="is|position"):
            await call()
