"""`bus.blocking` is the surface of `bus`, by inspection: each noun, method and parameter."""

import inspect
import re
from typing import Any

import pytest

import bus
from bus import blocking

#: What the async nouns show to other rooms of the bus, and not to those who use it.
INSIDE = {
    "Agent": {"say": "set_state and progress say it"},
    "Bus": {
        "publish": "of encoded messages, for the nouns",
        "wrap": "for the nouns",
        "wrap_schedule": "for queues",
        "unwrap": "for the nouns",
        "check_size": "for the nouns",
        "new_consumer_name": "for consumers",
        "announce_queue": "for queues",
    },
    "Consumer": {
        "answer": "for deliveries",
        "answer_error": "for deliveries",
        "failed": "for deliveries",
        "consuming": "for Queue.consume",
        "keep_alive": "for Queue.work, whose portal lives on",
    },
    "Delivery": {
        "limited": "for the blocking delivery",
        "settled": "for the blocking delivery",
        "begin": "for the blocking delivery",
        "facts": "for logs",
        "trace": "for telemetry",
    },
    "Election": {
        "deliver": "for the subscriber",
        "gap": "for the subscriber",
        "look": "for Bus.election",
        "follow": "for Bus.election",
    },
    "Feed": {
        "deliver": "for the subscriber",
        "deliver_from": "for the subscriber",
        "gap": "for the subscriber",
    },
    "Gathering": {"take": "for the mailbox", "answer": "for the mailbox"},
    "Lease": {"lose": "for the lock", "kept": "for the lock"},
    "Log": {
        "losses": "for the storage client",
        "lost_tail": "for the sidecar",
        "verify": "for the storage client",
    },
    "Lock": {"keys": "for its scripts", "noun": "for messages"},
    "Semaphore": {"keys": "for its scripts", "noun": "for messages"},
    "OncePer": {"hold": "for the run", "end": "for the run"},
    "PresenceEvents": {"aclose": "close does it"},
    "Queue": {
        "put_message": "of encoded messages, for requests",
    },
    "Registry": {
        "join": "for Bus.join",
        "leave": "for Bus.join",
        "was_declared_dead": "for the roll",
        "takes_messages": "for agents that send",
        "beat": "for the roll",
        "write_state": "for the agent",
        "change_state": "for the agent",
        "retire": "for the reaper",
    },
    "Watch": {"start": "for Map.watch", "aclose": "the block does it"},
}

#: Attributes that are the async nouns' own, or reached by the `over` of these.
ATTRIBUTES_INSIDE = {
    "Agent": {"lost": "an event of the event loop; the block is ended"},
    "Bus": {
        "link": "the connection of the async bus",
        "patterns": "for topics",
        "signing": "given to connect",
    },
    "Inbox": {"prefetch": "by `inbox`", "types": "by `on`"},
    "Lock": {"noun": "for messages"},
    "Log": {"destination": "for telemetry"},
    "Queue": {"destination": "for telemetry"},
    "Semaphore": {"noun": "for messages"},
    "Topic": {"destination": "for telemetry"},
}

#: Parameters that are of another type here, where a thread needs another thing.
OTHER_TYPES = {
    ("Queue", "work", "handler"): "a function, not a coroutine function",
    ("Queue", "work", "stop"): "an event of threads, not of the event loop",
    ("Bus", "request", "queue"): "the blocking queue",
}


#: Used as it is, although something is awaited of it inside of the bus.
SHARED = {"Durability": "a struct that says what a put waits for"}


def is_async(attribute: str, member: Any) -> bool:
    return (
        inspect.iscoroutinefunction(member)
        or inspect.isasyncgenfunction(member)
        or attribute in {"__aiter__", "__aenter__"}
        or "AsyncContextManager" in str(getattr(member, "__annotations__", {}).get("return"))
    )


#: Classes of `bus` that something is awaited of: all others are used as they are.
NOUNS = [
    name
    for name in bus.__all__
    if inspect.isclass(thing := getattr(bus, name))
    and name not in SHARED
    and any(is_async(*pair) for pair in inspect.getmembers(thing))
]


def public(cls: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(cls) if not name.startswith("_")}


def documented(cls: type) -> set[str]:
    """Names in the docstring's `Attributes:`, its bases' included."""
    found: set[str] = set()
    for base in cls.__mro__:
        section = re.search(r"\n    Attributes:\n(.*?)(\n\n|\Z)", base.__doc__ or "", re.DOTALL)
        if base.__module__.startswith("bus.") and section is not None:
            found |= set(re.findall(r"^        (\w+): ", section.group(1), re.MULTILINE))
    return found


def test_there_are_nouns() -> None:
    assert {"Bus", "Queue", "Map", "Watch", "Election", "Gathering", "Topics"} <= set(NOUNS)
    assert not {"Rules", "Entry", "QueueFull", "Durability"} & set(NOUNS)


@pytest.mark.parametrize("name", NOUNS)
def test_a_noun_has_the_same_methods_with_the_same_parameters(name: str) -> None:
    there, here = getattr(bus, name), getattr(blocking, name)
    assert name in blocking.__all__
    assert (here.__doc__ or "").strip()
    wanted = public(there).keys() - INSIDE.get(name, {}).keys()
    assert wanted - public(here).keys() - documented(here) == set()
    for method in wanted:
        theirs = getattr(there, method)
        if not callable(theirs):
            continue
        ours = getattr(here, method)
        assert not inspect.iscoroutinefunction(ours), method
        assert (ours.__doc__ or "").strip(), method
        assert parameters(ours) == parameters(theirs), method
        for parameter, annotation in annotations(theirs).items():
            if (name, method, parameter) not in OTHER_TYPES:
                assert annotations(ours)[parameter] == annotation, (method, parameter)


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    own = inspect.signature(method).parameters.values()
    return [(p.name, p.kind, p.default) for p in own if p.name not in {"self", "cls"}]


def annotations(method: Any) -> dict[str, str]:
    own = inspect.signature(method).parameters.values()
    return {p.name: str(p.annotation) for p in own if p.name not in {"self", "cls"}}


@pytest.mark.parametrize("name", NOUNS)
def test_a_noun_has_the_attributes_that_are_documented(name: str) -> None:
    there, here = getattr(bus, name), getattr(blocking, name)
    wanted = documented(there) - ATTRIBUTES_INSIDE.get(name, {}).keys()
    assert wanted - public(here).keys() - documented(here) == set()


@pytest.mark.parametrize("name", NOUNS)
def test_what_is_iterated_over_or_entered_there_is_here(name: str) -> None:
    there, here = getattr(bus, name), getattr(blocking, name)
    for asynchronous, ours in (("__aiter__", "__iter__"), ("__aenter__", "__enter__")):
        if hasattr(there, asynchronous):
            assert hasattr(here, ours), ours
    if hasattr(there, "__anext__"):
        assert hasattr(here, "__next__")


@pytest.mark.parametrize("name", sorted(INSIDE))
def test_what_is_left_out_is_there_to_be_left_out(name: str) -> None:
    assert INSIDE[name].keys() <= public(getattr(bus, name)).keys()
    assert INSIDE[name].keys() & public(getattr(blocking, name)).keys() <= {"publish"}
