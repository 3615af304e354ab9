"""Which faults of the link to Redis pass by themselves, and what to do about those that stay."""

import random
import socket
from collections.abc import Iterator
from typing import Final

from coredis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 (the driver's name for it)
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
    UnblockedError,
)

from bus.errors import BusUnavailable

from .tls import Tls, advice


class NotReady(ConnectionError):
    """The server answered, but cannot do it now: it loads, follows another, is full of clients."""


#: Faults that pass: worth trying again, for as long as the caller is patient.
TRANSIENT: Final = (
    ConnectionError,
    TimeoutError,
    OSError,
    ReadOnlyError,
    TryAgainError,
    ClusterDownError,
    UnblockedError,
    MovedError,
    AskError,
)

#: What is said where a server ends a connection before it has greeted.
BROKE_OFF: Final = "it broke off at once"

#: Those of them that say for certain that nothing was carried out.
UNDONE: Final = (
    ReadOnlyError,
    TryAgainError,
    ClusterDownError,
    MovedError,
    AskError,
    NotReady,
    BusyLoadingError,
)

#: What a loop that never gives up goes on from: `TRANSIENT`, and the end of somebody's patience.
AWAY: Final = (*TRANSIENT, BusUnavailable)

#: Replies of a server that is no longer the primary: its connection is of no use.
DEMOTED: Final = (ReadOnlyError, UnblockedError)

#: Replies of a node of a Cluster that name another one for the key (`MOVED` is an `AskError`).
REDIRECTED: Final = (MovedError, AskError)

#: Beginnings of error replies that pass, where the driver has no class for them.
_PASSING: Final = ("BUSY ", "MASTERDOWN", "NOREPLICAS", "LOADING", "max number of clients")


def passing(error: ResponseError) -> RedisError:
    """The error as one of `TRANSIENT` where it passes, also where a script's error wraps it."""
    if isinstance(error, TRANSIENT):
        return error
    text = str(error)
    if "READONLY You can't write" in text:
        return ReadOnlyError(text)
    if text.startswith(_PASSING) or any(f"-{word}" in text for word in _PASSING):
        return NotReady(text)
    return error


def backoff(first: float = 0.02, most: float = 1.0) -> Iterator[float]:
    """Endless delays in seconds: doubling from `first` to `most`, each with up to half jitter."""
    delay = first
    while True:
        yield delay * random.uniform(0.5, 1.0)  # noqa: S311 (spreads retries, guards nothing)
        delay = min(most, delay * 2)


def is_full(error: RedisError) -> bool:
    """Whether the server has no memory or no disk left for what is new."""
    return out_of_memory(error) or out_of_disk(error)


def out_of_memory(error: RedisError) -> bool:
    """Whether the server has no memory left for what is new."""
    return "OOM" in str(error) or "maxmemory" in str(error)


def out_of_disk(error: RedisError) -> bool:
    """Whether the server cannot write its files, and takes nothing new for that."""
    return "MISCONF" in str(error) or "No space" in str(error)


def is_wrong_type(error: RedisError) -> bool:
    """Whether a key holds something else than the command, or the script, is for."""
    return "wrong kind of value" in str(error)


def refusal_remedy(error: RedisError) -> str:
    """What to do where the server answered with an error that stays; empty if that is unknown."""
    text = str(error)
    if out_of_memory(error):
        return " (raise its maxmemory, or consume what waits in its queues)"
    if out_of_disk(error):
        return " (its disk is full or cannot be written: nothing new is accepted until it can)"
    if isinstance(error, AuthenticationError | AuthorizationError) or "NOPERM" in text:
        return " (check the user and password in the URL, and what that user may do)"
    if isinstance(error, ClusterCrossSlotError) or "CROSSSLOT" in text:
        return " (its keys are of different nouns: a Cluster does nothing with several at once)"
    return ""


#: By the error's class, or by a word in it: the driver takes the words it knows out of the text.
_ABSENCE_REMEDIES: Final[tuple[tuple[type[BaseException] | str, str], ...]] = (
    ("none of the sentinels", "start them, or name those that run (--redis-url)"),
    ("is not the primary", "no other has taken its place: see SENTINEL MASTER at a sentinel"),
    ("max number of clients", "raise its maxclients, or end some of its clients"),
    (BusyLoadingError, "it is still loading its data: wait, or be more patient"),
    (ReadOnlyError, "it is a replica: name its primary, or its sentinels (redis+sentinel://)"),
    (ClusterDownError, "some of its slots have no master: CLUSTER NODES shows which"),
    (TryAgainError, "its slot is being moved: finish that, or undo it"),
    (AskError, "its nodes do not agree on who has the key: CLUSTER NODES shows why"),
    ("NOREPLICAS", "too few replicas follow it: start them, or lower min-replicas-to-write"),
    ("MASTERDOWN", "it is a replica that lost its primary: name the primary"),
    ("BUSY ", "a script keeps it busy: see SLOWLOG there, and SCRIPT KILL"),
)


def absence_remedy(error: BaseException, tls: Tls | None) -> str:
    """What to do where the server could not be used for as long as one was willing to wait."""
    text = str(error)
    # What was met on the way says more than what could not be had for it.
    for cause in causes(error):
        if isinstance(cause, socket.gaierror):
            return "its host has no address: check the name, or say where it is"
        if (remedy_of_tls := advice(cause)) is not None:
            return remedy_of_tls
    for sign, remedy in _ABSENCE_REMEDIES:
        if sign in text if isinstance(sign, str) else isinstance(error, sign):
            return remedy
    if BROKE_OFF in text:
        if tls is None:
            return "if it speaks TLS, write rediss://; if clients fill it, raise its maxclients"
        return (
            "it may not accept our certificate: cert=FILE should be signed by one it trusts"
            if tls.cert
            else "perhaps it wants a certificate of ours: name one with cert=FILE&key=FILE"
        )
    if tls is not None and isinstance(error, TimeoutError):
        return "if it does not speak TLS there, write redis://, or name its TLS port"
    return "start one (`argentbus up`), or say where it is (ARGENTBUS_REDIS_URL, --redis-url)"


def reason(error: BaseException) -> str:
    """Why, in as few words as there are: the driver's own say less than what they came from."""
    cause = None if isinstance(error, NotReady) or BROKE_OFF in str(error) else error.__cause__
    while cause is not None and not str(cause):
        cause = cause.__cause__
    return str(cause or error) or error.__class__.__name__


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and whatever led to it, the members of groups among it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
